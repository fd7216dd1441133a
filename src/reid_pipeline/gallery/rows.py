"""The rows of a gallery, one per vector: checked as they come from a user, and as Arrow tables in the segments."""

import contextlib
import hashlib
import unicodedata
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from reid_pipeline.schema.errors import UserError, first_few, nearest

Float32s = NDArray[np.float32]
Ids = NDArray[np.int64]
Mask = NDArray[np.bool_]

UNKNOWN_TIME = np.iinfo(np.int64).min
"""In the column `time`, which else counts microseconds since 1970, UTC; numpy's NaT."""
SCHEMA = pa.schema(
    {
        "id": pa.int64(),
        "identity": pa.int64(),  # a key of the manifest's identities
        "path": pa.string(),
        "camera": pa.dictionary(pa.int32(), pa.string()),
        "time": pa.int64(),
        "collection": pa.dictionary(pa.int32(), pa.string()),
        "trackid": pa.int64(),
        "digest": pa.int64(),  # of what makes an entry the same when it is enrolled again
    }
)
_DEFAULTS: dict[str, Any] = {"camera": "", "time": "", "collection": "", "trackid": -1, "confirmed": True}
_COLUMNS = ("path", "identity", *_DEFAULTS)
_OFF = 1e-3  # of a unit vector's norm: vectors may have been stored in half precision


def plain_name(name: str) -> str:
    """Return a name without spaces around it, its accents composed: what is read alike is one name."""
    return unicodedata.normalize("NFC", name).strip()


def checked_vectors(vectors: ArrayLike, width: int, what: str) -> Float32s:
    """Return unit vectors `[n, width]` as float32.

    Args:
        vectors: as given.
        width: of the gallery's vectors.
        what: they are called in messages: "vectors to enrol".

    Raises:
        UserError: no such matrix, not finite or not of unit length (which rows).
    """
    try:
        given = np.asarray(vectors)
    except ValueError as error:
        raise UserError(f"The {what} are no matrix [n, {width}]: their rows differ in length.") from error
    if given.ndim != 2 or given.shape[1] != width or given.dtype.kind not in "fiu":
        raise UserError(
            f"The {what} have shape {list(given.shape)} and dtype {given.dtype}; a matrix of numbers [n, {width}] is"
            f" needed, since the gallery holds vectors of {width} components."
        )
    found = np.ascontiguousarray(given, dtype=np.float32)
    norms = np.sqrt(np.einsum("nd,nd->n", found, found))
    if (bad := np.flatnonzero(~np.isfinite(norms))).size:
        raise UserError(
            f"{bad.size} of the {len(found)} {what} have NaN or infinite values: rows {first_few(bad.tolist())}."
            " Check the model that made them, or drop those rows."
        )
    if (bad := np.flatnonzero(np.abs(norms - 1) > _OFF)).size:
        raise UserError(
            f"{bad.size} of the {len(found)} {what} are not of unit length: rows {first_few(bad.tolist())}, the first"
            f" with norm {norms[bad[0]]:.4g}. Divide each vector by its norm, as `load_embedder(...).embed` does."
        )
    return found


def checked_entries(entries: pd.DataFrame, count: int) -> pd.DataFrame:
    """Return entries with all columns, `time` in microseconds.

    Raises:
        UserError: a column is missing, unknown or holds what it cannot; an entry has no identity or no path; or there
            are not `count` of them.
    """
    for name in map(str, entries.columns):
        if name not in _COLUMNS:
            raise UserError(
                f"The entries have a column {name!r}, which a gallery does not know.{nearest(name, _COLUMNS)}"
                f" Columns are {', '.join(_COLUMNS)}."
            )
    if absent := [name for name in ("path", "identity") if name not in entries.columns]:
        raise UserError(f"The entries have no column {' and none '.join(absent)}; every entry needs both.")
    if len(entries) != count:
        raise UserError(f"There are {len(entries)} entries for {count} vectors; each vector needs one.")
    found = entries.reset_index(drop=True).assign(
        **{name: value for name, value in _DEFAULTS.items() if name not in entries.columns}
    )
    for name in ("path", "identity", "camera", "collection"):
        found[name] = _text(found[name], name)
        found[name] = found[name].map(plain_name) if name == "identity" else found[name]
        if name in {"path", "identity"} and (empty := np.flatnonzero(found[name] == "")).size:
            raise UserError(
                f"{empty.size} entries have no {name}: rows {first_few(empty.tolist())}. Name each individual; clusters"
                ' that nobody has named yet are enrolled as "cluster 12" with confirmed=False, and renamed later.'
            )
    found["trackid"] = _whole(found["trackid"])
    found["confirmed"] = _whether(found["confirmed"])
    found["time"] = microseconds(found["time"])
    return found


def _text(values: "pd.Series[Any]", name: str) -> "pd.Series[Any]":
    filled = values.astype(object).where(values.notna(), "")
    if bad := [row for row, value in enumerate(filled) if not isinstance(value, str)]:
        raise UserError(
            f"The column {name} of the entries holds no text in {len(bad)} rows: {first_few(bad)}, the first with"
            f" {filled[bad[0]]!r}. Give it as text: {str(filled[bad[0]])!r}."
        )
    return filled


def _whether(values: "pd.Series[Any]") -> "pd.Series[Any]":
    if bad := [row for row, value in enumerate(values) if not isinstance(value, bool | np.bool_)]:
        raise UserError(
            f"The column confirmed of the entries is neither True nor False in {len(bad)} rows: {first_few(bad)}, the"
            f" first with {values.iloc[bad[0]]!r}. A text is none of them, 'False' neither."
        )
    return values.astype(bool)


def _whole(values: "pd.Series[Any]") -> "pd.Series[Any]":
    try:
        found = values.fillna(-1).astype("int64")
    except (TypeError, ValueError, OverflowError) as error:
        raise UserError(f"The column trackid of the entries holds what is no whole number: {error}.") from None
    if bad := [row for row, each in enumerate(values.fillna(-1)) if isinstance(each, float) and not each.is_integer()]:
        raise UserError(
            f"The column trackid of the entries holds what is no whole number: rows {first_few(bad)}, the first with"
            f" {values.iloc[bad[0]]}."
        )
    return found


def microseconds(times: "pd.Series[Any]") -> Ids:
    """Return times as microseconds since 1970 in UTC; empty ones as `UNKNOWN_TIME`.

    Raises:
        UserError: a time is not ISO 8601 (which rows).
    """
    filled = times.astype(object).where(times.notna(), "")
    parsed = pd.to_datetime(filled.where(filled != "", None), utc=True, errors="coerce", format="ISO8601")
    if (bad := np.flatnonzero(parsed.isna() & (filled != ""))).size:
        raise UserError(
            f"{bad.size} times are not ISO 8601: rows {first_few(bad.tolist())}, the first {str(filled[bad[0]])!r}."
            " Write them like 2026-11-28T20:15:00Z."
        )
    return parsed.dt.tz_localize(None).to_numpy().astype("datetime64[us]").astype(np.int64)


def moment(value: Any, name: str) -> int:
    """Return one time, a text or a `datetime`, in microseconds.

    Raises:
        UserError: it is empty or no ISO 8601.
    """
    with contextlib.suppress(UserError):  # which speaks of rows
        found = int(microseconds(pd.Series([value], dtype=object))[0])
        if found != UNKNOWN_TIME:
            return found
    raise UserError(f"{name} is {value!r}; a date or time is needed, like 2026-11-28 or 2026-11-28T20:15:00Z.")


def iso_times(times: Ids) -> list[str]:
    """Return times as ISO 8601 texts in UTC, to the second where that is all; unknown ones are empty."""
    texts = np.datetime_as_string(times.astype(np.int64).view("datetime64[us]")).tolist()
    return ["" if text == "NaT" else f"{text.removesuffix('.000000')}Z" for text in texts]


def digests_of(entries: pd.DataFrame, vectors: Float32s) -> Ids:
    """Return 64 bits of the SHA-256 of each entry's place, time and vector, `[n]` int64; names do not count."""
    places = zip(entries["collection"], entries["path"], entries["time"], entries["trackid"], vectors, strict=True)
    return np.array([_digest(repr(place).encode() + vector.tobytes()) for *place, vector in places], dtype=np.int64)


def _digest(content: bytes) -> int:
    return int.from_bytes(hashlib.sha256(content).digest()[:8], "little", signed=True)


def table_of(entries: pd.DataFrame, ids: Ids, keys: Ids, digests: Ids) -> pa.Table:
    """Return checked entries as a segment holds them."""
    columns = {name: entries[name] for name in ("path", "camera", "time", "collection", "trackid")}
    return pa.table({"id": ids, "identity": keys, "digest": digests, **columns}).select(SCHEMA.names).cast(SCHEMA)
