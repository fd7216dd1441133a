"""Tables below the raw folder, CSV or Parquet, as text."""

import io
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import PurePosixPath
from typing import Any

import pandas as pd

from reid_pipeline.readers.custom._rows import Rows
from reid_pipeline.schema.columns import PATH
from reid_pipeline.schema.errors import UserError, first_few, nearest
from reid_pipeline.schema.raw_folder import RawFolder

TEXT_SUFFIXES = (".csv", ".tsv", ".txt")
PARQUET_SUFFIX = ".parquet"

_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
_HEADER_LINE = 1
_ALIKE = 0.8  # below it, words such as `image_id` would be taken for `viewid`


def load_table(raw: RawFolder, path: str) -> tuple[Rows, list[str]]:
    """Read a table as text, with a note where its separators are not commas. Linear in its size.

    Rows without one filled cell are left out; cells that a row lacks at its end are empty.

    Raises:
        UserError: there is no such file, it is no table, it has no row, or two columns of one name.
    """
    suffix = PurePosixPath(path).suffix.lower()
    if suffix == PARQUET_SUFFIX:
        rows, notes = _parquet(raw, path), list[str]()
    elif suffix in TEXT_SUFFIXES:
        rows, notes = _csv(raw, path)
    else:
        raise UserError(
            f"{path} cannot be read as a table: its name ends in {suffix!r}. Allowed are"
            f" {', '.join([*TEXT_SUFFIXES, PARQUET_SUFFIX])}."
        )
    twice = sorted(set(rows.table.columns[rows.table.columns.duplicated()]))
    if twice:
        raise UserError(f"{path} has several columns of the same name: {first_few(twice)}. Rename or remove.")
    if rows.table.empty:
        raise UserError(f"{path} lists no image: there is no row below its header.")
    return rows, notes


def check_columns(
    rows: Rows, *, required: Sequence[str], optional: Sequence[str], aliases: dict[str, str]
) -> list[str]:
    """Return the columns that nobody reads, after making sure that none of them was meant to be read.

    Args:
        rows: the table.
        required: columns that must be there.
        optional: columns that may be there.
        aliases: other names for them, in small letters and digits only, to the column they mean.

    Raises:
        UserError: a required column is missing, or a name looks like that of a column that is not there.
    """
    present = [str(name) for name in rows.table.columns]
    absent = [name for name in (*required, *optional) if name not in present]
    extra = [name for name in present if name not in (*required, *optional)]
    meant = {name: _meant(name, absent, aliases) for name in extra}
    for column in required:
        if column in absent:
            likely = [name for name, column_meant in meant.items() if column_meant == column]
            hint = f" Did you mean {likely[0]!r}? Rename it to {column}." if likely else ""
            raise UserError(
                f"Column {column!r} is missing in {rows.source}; its columns are"
                f" {first_few([_quoted(name) for name in present], 12)}.{hint}"
            )
    for name, column_meant in meant.items():
        if column_meant:
            raise UserError(
                f"{rows.source} has a column {name!r}, which is not read. Did you mean {column_meant!r}?"
                " Rename it; or, if it means something else, rename it to something that looks less like"
                " it, or remove it."
            )
    return extra


def extra_columns_note(extra: list[str]) -> list[str]:
    """Return the sentence about columns that are not read."""
    return [f"Columns not used: {first_few([_quoted(name) for name in extra], 12)}."] if extra else []


def _meant(name: str, absent: Sequence[str], aliases: dict[str, str]) -> str:
    """Return the absent column that a name is a misspelling or a usual other name of, or an empty string."""
    key = "".join(letter for letter in name.casefold() if letter.isalnum())
    if aliases.get(key) in absent:
        return aliases[key]
    plain = {column.replace("_", ""): column for column in absent}
    close = get_close_matches(key, list(plain), n=1, cutoff=_ALIKE)
    return plain[close[0]] if close else ""


def _quoted(name: str) -> str:
    return name or "(without a name)"


def _csv(raw: RawFolder, path: str) -> tuple[Rows, list[str]]:
    text = raw.read_text(path)
    if not text.strip():
        raise UserError(f"{path} is empty. Its first line names the columns.")
    separator = _separator(text.split("\n", 1)[0])
    try:
        # The header is read as a row like any other: else a row with too many cells would shift its columns.
        cells = pd.read_csv(
            io.StringIO(text), sep=separator, header=None, dtype=str, keep_default_na=False, skip_blank_lines=False
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise UserError(
            f"{path} cannot be read as cells between {_SEPARATORS[separator]}: {str(error).strip()}."
            ' Put cells that hold a separator or a quotation mark between quotation marks ("...").'
        ) from error
    cells.index = pd.RangeIndex(_HEADER_LINE, _HEADER_LINE + len(cells))
    table = cells.iloc[1:].set_axis([str(name).strip() for name in cells.iloc[0]], axis="columns")
    filled = (table != "").any(axis="columns")
    note = f"{path} separates its cells by {_SEPARATORS[separator]}."
    return Rows(path, table[filled], "line"), [] if separator == "," else [note]


def _separator(header: str) -> str:
    """Return the first separator by which the header has a cell `path`, else the comma."""
    for separator in _SEPARATORS:
        if PATH in [cell.strip(' \r"') for cell in header.split(separator)]:
            return separator
    return ","


def _parquet(raw: RawFolder, path: str) -> Rows:
    try:
        table = pd.read_parquet(io.BytesIO(raw.read_bytes(path)))
    except (OSError, ValueError) as error:  # pyarrow's errors are among these
        raise UserError(f"{path} cannot be read as Parquet: {str(error).splitlines()[0]}.") from error
    if any(name is not None for name in table.index.names):
        table = table.reset_index()  # a named index is a column to whoever wrote it
    table.columns = pd.Index([str(name) for name in table.columns])
    table.index = pd.RangeIndex(1, len(table) + 1)
    return Rows(path, table, "row")


def text_of(column: "pd.Series[Any]") -> "pd.Series[str]":
    """Return a column's values as a CSV file would hold them; numbers that are whole without a fraction.

    pandas makes fractions of whole numbers where some are missing; 7.0 is 7 again here.
    """
    missing = column.isna()
    if isinstance(column.dtype, pd.StringDtype) and not missing.any():
        return column.astype("str")
    if pd.api.types.is_float_dtype(column) and (column[~missing] % 1 == 0).all():
        column = column.astype("Int64")
    words = column.astype(object).where(~missing, "").map(str)
    return words.astype("str")


def table_at(raw: RawFolder, usual: Sequence[str]) -> str | None:
    """Return which of the usual names lies at the root, or None.

    Raises:
        UserError: two of them do, or one is there in a form that only looks like it.
    """
    present = [name for name in usual if name in set(raw.files)]
    if len(present) > 1:
        raise UserError(
            f"{raw.root} holds {' and '.join(present)}, and they may differ. Remove one, or give"
            f" ingestion.table={present[0]}."
        )
    return present[0] if present else None


def refuse_misnamed(raw: RawFolder, usual: Sequence[str]) -> None:
    """Refuse a table at the root whose name nearly is a usual one: to leave it aside would lose its labels.

    Raises:
        UserError: there is such a file.
    """
    at_root = [path for path in raw.files if "/" not in path]
    for path in at_root:
        if not path.lower().endswith((*TEXT_SUFFIXES, PARQUET_SUFFIX)):
            continue
        if get_close_matches(path.casefold(), usual, n=1, cutoff=_ALIKE):
            raise UserError(
                f"{raw.root} holds {path}, which is not read by that name.{nearest(path.casefold(), usual)}"
                f" Rename it, or give ingestion.table={path}; ingestion.variant=folders leaves it aside."
            )
