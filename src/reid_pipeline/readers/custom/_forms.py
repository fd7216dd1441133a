"""The forms of table, the names that their columns have, and which of a table's columns is read as which."""

import json
import shlex
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple

import pandas as pd

from reid_pipeline.readers.custom._rows import Rows, names_image
from reid_pipeline.schema.columns import CAMID, IDENTITY, MANIFEST_COLUMNS, PATH, PID, SPLIT, TRACKID, VIEWID
from reid_pipeline.schema.errors import UserError, first_few, nearest

_NEEDED = (PATH, PID)
_ALIKE = 0.8  # below it, words such as `image_id` would be taken for `viewid`
_OTHER_NAMES = {
    PATH: ("file", "filename", "filepath", "image", "imagepath", "imgpath"),
    PID: ("pid", "id", IDENTITY, "individual", "label", "name", "personid", "vehicleid"),
    CAMID: ("cam", "camid", "camera", "cameraid", "camids", "cameras"),
    VIEWID: ("view", "viewid", "viewpoint", "orientation"),
    TRACKID: ("track", "tracklet", "trackletid"),
    SPLIT: ("subset", "originalsplit", "set"),
}
"""Of a column, in small letters and digits only. One that has such a name and is not read is refused."""
_LIKELY_NAMES = {
    PATH: ("imagename", "img", "imgname", "imagefile", "photo", "picture", "relativepath"),
    PID: ("animal", "animalid", "individualid", "subject", "subjectid", "person", "vehicle", "ident", "class"),
    CAMID: ("site", "station", "location", "place", "trap", "device", "sensor"),
    VIEWID: ("side", "pose", "angle", "direction"),
    TRACKID: ("sequence", "sequenceid", "seqid", "burst", "event"),
    SPLIT: ("partition", "fold"),
}
"""Names that mean other things as well: only looked at where path or pid is missing."""


class Form(NamedTuple):
    """A form of table."""

    title: str  # for the note on what was read
    files: tuple[str, ...]  # its usual names
    columns: Mapping[str, str]  # the manifest's columns to the usual names of its own


FORMS = {
    "manifest": Form(
        title="manifest", files=("manifest.csv", "manifest.parquet"), columns={name: name for name in MANIFEST_COLUMNS}
    ),
    "metadata": Form(
        title="metadata table of wildlife-datasets",
        files=("metadata.csv", "metadata.parquet"),
        # `split` is called so in the merged collections of wildlife-datasets.
        columns={PATH: PATH, PID: IDENTITY, CAMID: "camera", VIEWID: "orientation", SPLIT: "original_split"},
    ),
}

Mapped = Mapping[str, str | None]
"""`ingestion.columns`: a column of the manifest to the table's, or to None where it has none."""


def read_columns(rows: Rows, form: Form, mapped: Mapped) -> tuple[Rows, list[str]]:
    """Return the rows with the manifest's columns alone, as text, and which columns are left unread.

    Raises:
        UserError: a column that is needed or was named is missing; one is read twice, or was probably meant to be read.
    """
    present = [str(name) for name in rows.table.columns]
    usual = dict(form.columns)
    if SPLIT in present and usual[SPLIT] not in present:
        usual[SPLIT] = SPLIT
    names = {column: name for column, name in {**usual, **mapped}.items() if name is not None}
    _refuse_wrong_mapping(rows.source, present, names, mapped)
    found = {column: name for column, name in names.items() if name in present}
    extra = [name for name in present if name not in found.values()]
    _refuse_meant(rows, extra, {column: name for column, name in names.items() if column not in found})
    notes = list(rows.notes)
    if mapped:
        notes.append(f"Columns as ingestion.columns says: {_mapping_of(mapped)}.")
    if extra:
        notes.append(f"Columns not used: {_listed(extra)}.")
    table = pd.DataFrame({column: text_of(rows, name) for column, name in found.items()}, index=rows.table.index)
    return Rows(rows.source, table, rows.unit, names=found, notes=notes), extra


def _refuse_wrong_mapping(source: str, present: list[str], names: Mapping[str, str], mapped: Mapped) -> None:
    """Refuse a column that was named and is not there, and one that two are read from."""
    for column, name in mapped.items():
        if name is not None and name not in present:
            raise UserError(
                f"Parameter ingestion.columns.{column}: {source} has no column {name!r}.{nearest(name, present)} Its"
                f" columns are {_listed(present)}."
            )
    by_name: dict[str, list[str]] = {}
    for column, name in names.items():
        by_name.setdefault(name, []).append(column)
    for name in present:
        if len(both := by_name.get(name, [])) > 1:
            unnamed = next((column for column in both if column not in mapped), both[1])
            none = "" if unnamed in _NEEDED else ", or null where there is none"
            raise UserError(
                f"Parameter ingestion.columns: column {name!r} of {source} would be read as {' and as '.join(both)}."
                f" Give ingestion.columns.{unnamed} a column of its own{none}."
            )


def _refuse_meant(rows: Rows, extra: list[str], absent: Mapping[str, str]) -> None:
    """Refuse a table without a column that is needed, or with one whose name is nearly that of one that is absent."""
    meant: dict[str, str] = {}  # column of the manifest to that of the table
    for name in extra:
        if (column := _meant(name, absent)) and column not in meant:
            meant[column] = name
    if needed := [column for column in _NEEDED if column in absent]:
        meant |= _likely(rows, extra, [column for column in absent if column not in meant])
        pairs = {column: meant[column] for column in MANIFEST_COLUMNS if column in meant}
        columns = (
            f"Column {absent[needed[0]]!r} is"
            if len(needed) == 1
            else "Columns " + " and ".join(repr(absent[column]) for column in needed) + " are"
        )
        raise UserError(f"{columns} missing in {rows.source}; its columns are {_listed(rows.table)}. {_pairs(pairs)}")
    for column, name in meant.items():
        raise UserError(
            f"{rows.source} has a column {name!r}, which is not read. Did you mean {absent[column]!r}? Rename it, or"
            f" give ingestion.columns: {_mapping_of({column: name})}; if it means something else, give"
            f" {_mapping_of({column: None})}, or remove it."
        )


def _pairs(pairs: Mapped) -> str:
    """Return what the columns of a table look like, and how to say that they are it."""
    if not pairs:
        return "Rename those that are meant, or name them: ingestion.columns: {path: <column>, pid: <column>}."
    looks = ", ".join(
        f"{name!r} {'looks ' if not place else ''}like {column}" for place, (column, name) in enumerate(pairs.items())
    )
    given = ",".join(f"ingestion.columns.{column}={name}" for column, name in pairs.items())
    readable = not any(set(str(name)) & set(",=") for name in pairs.values())  # by Kedro, on the command line
    where = f"as --params {shlex.quote(given)}" if readable else "in conf/custom/parameters.yml"
    return f"{looks}: rename them, or give ingestion.columns: {_mapping_of(pairs)}, {where}."


def _meant(name: str, absent: Mapping[str, str]) -> str:
    """Return the absent column that a name is a misspelling or a usual other name of, or an empty string."""
    key = _key(name)
    plain = {_key(usual): column for column, usual in absent.items()}
    other = next((column for column in absent if key in _OTHER_NAMES[column]), "")
    close = get_close_matches(key, list(plain), n=1, cutoff=_ALIKE)
    return other or (plain[close[0]] if close else "")


def _likely(rows: Rows, extra: Collection[str], absent: Collection[str]) -> dict[str, str]:
    """Return absent columns to those that are likely to be meant, by their names, and paths by what they hold."""
    found: dict[str, str] = {}
    for name in extra:
        holds_paths = bool(name) and names_image(str(rows.table[name].iloc[0]))
        named = (column for column in absent if _key(name) in _LIKELY_NAMES[column])
        column = PATH if holds_paths else next(named, "")
        if column in absent:
            found.setdefault(column, name)
    return found


def _key(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def _listed(names: Collection[Any]) -> str:
    return first_few([str(name) or "(without a name)" for name in names], 12)


def _mapping_of(pairs: Mapped) -> str:
    """Return a mapping as YAML writes it in one line."""
    written = {
        column: "null"
        if name is None
        else name
        if name.replace("_", "").isalpha()
        else json.dumps(name, ensure_ascii=False)
        for column, name in pairs.items()
    }
    return "{" + ", ".join(f"{column}: {name}" for column, name in written.items()) + "}"


def text_of(rows: Rows, name: str) -> "pd.Series[str]":
    """Return a column's values as a CSV file would hold them: 7 for a 7.0 that pandas made where cells are missing."""
    column = rows.table[name]
    missing = column.isna()
    if isinstance(column.dtype, pd.StringDtype) and not missing.any():
        return column.astype("str")
    if pd.api.types.is_float_dtype(column):
        finite = column[~missing & (column.abs() != float("inf"))]
        if (finite % 1 == 0).all():
            column = column.astype(object).map(lambda value: f"{value:.0f}", na_action="ignore")
    elif column.dtype == object:
        plain = column.map(pd.api.types.is_scalar) & ~column.map(lambda value: isinstance(value, bytes))
        if not plain.all():
            places = first_few([rows.place(row) for row in column.index[~plain]])
            raise UserError(
                f"Column {name} of {rows.source} holds lists, records or bytes in {int((~plain).sum())} rows: {places}."
                " Write text or whole numbers, one in each row."
            )
    return column.astype(object).where(~missing, "").map(str).astype("str")
