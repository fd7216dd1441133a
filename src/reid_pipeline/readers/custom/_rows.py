"""Rows of text about images, read from a CSV or Parquet table, and how messages name them."""

import io
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import PurePosixPath
from typing import Any

import pandas as pd

from reid_pipeline.schema.columns import PATH
from reid_pipeline.schema.errors import UserError, first_few, nearest
from reid_pipeline.schema.raw_folder import RawFolder

TEXT_SUFFIXES = (".csv", ".tsv", ".txt")
PARQUET_SUFFIX = ".parquet"

_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
_ALIKE = 0.8  # below it, words such as `image_id` would be taken for `viewid`
_LONGEST_SHOWN = 80  # characters of a cell in a message


@dataclass(frozen=True)
class Rows:
    """What a table, or the folders, give for the images, before anything is concluded from it.

    Attributes:
        source: the table's file, or "the folders".
        table: columns of text, "" where nothing is given; the index is the number of the row as its user
            sees it, or the path itself where there is no table.
        unit: what the index counts: "line" of a CSV file, "row" of a Parquet file, "" for paths.
        names: column to the name that the source has for it, where it differs.
    """

    source: str
    table: pd.DataFrame
    unit: str = ""
    names: Mapping[str, str] = field(default_factory=dict)

    def name(self, column: str) -> str:
        """Return the source's name of a column."""
        return self.names.get(column, column)

    def text(self, column: str) -> "pd.Series[str]":
        """Return a column's cells without surrounding blanks, all empty where there is no such column."""
        if column not in self.table:
            return pd.Series("", self.table.index, dtype="str")
        return self.table[column].str.strip()

    def place(self, row: object) -> str:
        """Return how a row is named in messages: "line 7", or its path."""
        return f"{self.unit} {row}" if self.unit else str(row)

    def cases(self, column: str, selected: "pd.Series[bool]") -> str:
        """Return the first selected cells with their places, and how many more there are."""
        cells = self.table.loc[selected, column]
        return first_few([f"{shown(cell)} ({self.place(row)})" for row, cell in cells.items()])

    def refuse(self, wrong: "pd.Series[bool]", message: str, column: str = PATH, **words: object) -> None:
        """Raise a `UserError` where rows are wrong.

        `message` may hold {count} and {places} of these rows, {cases} of their cells, the {total} of rows, {source},
        {column}, and `words`.
        """
        if wrong.any():
            facts = {"count": int(wrong.sum()), "total": len(wrong), "cases": self.cases(column, wrong)}
            places = first_few([self.place(row) for row in wrong.index[wrong]])
            raise UserError(
                message.format(**facts, places=places, column=self.name(column), source=self.source, **words)
            )


def shown(cell: str) -> str:
    """Return a cell quoted, cut where it is long."""
    return repr(cell if len(cell) <= _LONGEST_SHOWN else f"{cell[:_LONGEST_SHOWN]}...")


def load_table(raw: RawFolder, path: str) -> tuple[Rows, list[str]]:
    """Read a table as text, with a note where its separators are not commas. Linear in its size.

    Rows without one filled cell are left out; cells that a row lacks at its end are empty.
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


def _csv(raw: RawFolder, path: str) -> tuple[Rows, list[str]]:
    text = raw.read_text(path)
    if not text.strip():
        raise UserError(f"{path} is empty. Its first line names the columns.")
    header = text.split("\n", 1)[0]
    has_path = (mark for mark in _SEPARATORS if PATH in [cell.strip(' \r"') for cell in header.split(mark)])
    separator = next(has_path, ",")
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
    cells.index = pd.RangeIndex(1, len(cells) + 1)
    table = cells.iloc[1:].set_axis([str(name).strip() for name in cells.iloc[0]], axis="columns")
    filled = (table != "").any(axis="columns")
    note = f"{path} separates its cells by {_SEPARATORS[separator]}."
    return Rows(path, table[filled], "line"), [] if separator == "," else [note]


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
    """Return a column's values as a CSV file would hold them.

    pandas makes fractions of whole numbers where some are missing; 7.0 is 7 again here.
    """
    missing = column.isna()
    if isinstance(column.dtype, pd.StringDtype) and not missing.any():
        return column.astype("str")
    if pd.api.types.is_float_dtype(column) and (column[~missing] % 1 == 0).all():
        column = column.astype("Int64")
    return column.astype(object).where(~missing, "").map(str).astype("str")


def unread_columns(
    rows: Rows, required: Collection[str], optional: Collection[str], aliases: dict[str, str]
) -> list[str]:
    """Return the columns that nobody reads, after making sure that none of them was meant to be read.

    `aliases` has other names of columns, in small letters and digits only, to the column they mean.
    """
    present = [str(name) for name in rows.table.columns]
    absent = [name for name in (*required, *optional) if name not in present]
    extra = [name for name in present if name not in (*required, *optional)]
    meant = {name: column for name in extra if (column := _meant(name, absent, aliases))}
    for column in required:
        if column in absent:
            likely = [name for name, column_meant in meant.items() if column_meant == column]
            hint = f" Did you mean {likely[0]!r}? Rename it to {column}." if likely else ""
            names = first_few([name or "(without a name)" for name in present], 12)
            raise UserError(f"Column {column!r} is missing in {rows.source}; its columns are {names}.{hint}")
    for name, column in meant.items():
        raise UserError(
            f"{rows.source} has a column {name!r}, which is not read. Did you mean {column!r}? Rename it; or, if it"
            " means something else, rename it to something that looks less like it, or remove it."
        )
    return extra


def _meant(name: str, absent: Collection[str], aliases: dict[str, str]) -> str:
    """Return the absent column that a name is a misspelling or a usual other name of, or an empty string."""
    key = "".join(letter for letter in name.casefold() if letter.isalnum())
    if aliases.get(key) in absent:
        return aliases[key]
    plain = {column.replace("_", ""): column for column in absent}
    close = get_close_matches(key, list(plain), n=1, cutoff=_ALIKE)
    return plain[close[0]] if close else ""


def refuse_misnamed(raw: RawFolder, usual: Collection[str]) -> None:
    """Refuse a table at the root whose name nearly is a usual one: to leave it aside would lose its labels."""
    for path in raw.files:
        name = path.casefold()
        is_table = "/" not in path and name.endswith((*TEXT_SUFFIXES, PARQUET_SUFFIX))
        if is_table and get_close_matches(name, usual, n=1, cutoff=_ALIKE):
            raise UserError(
                f"{raw.root} holds {path}, which is not read by that name.{nearest(name, usual)}"
                f" Rename it, or give ingestion.table={path}; ingestion.variant=folders leaves it aside."
            )
