"""Rows of text from a CSV or Parquet file, whatever program wrote it; what a message says of one that is damaged."""

import codecs
import csv
import io
import re
from collections.abc import Collection
from difflib import get_close_matches
from pathlib import PurePosixPath

import pandas as pd

from reid_pipeline.readers.custom._rows import Rows, names_image
from reid_pipeline.schema.errors import UserError, first_few, nearest
from reid_pipeline.schema.raw_folder import RawFolder

_PARQUET = ".parquet"
_SUFFIXES = (".csv", ".tsv", ".txt", _PARQUET)
_OTHER_TABLES = (".xlsx", ".xls", ".xlsm", ".ods", ".numbers", ".jsonl", ".ndjson", ".feather")
_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
_EXCEL_SEPARATOR = re.compile(r'"?sep=(?P<mark>[,;\t|])"?(?:\r\n?|\n)')  # a line that Excel writes and takes out again
_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)  # what Excel calls Unicode text
_SAVE = "Save it as UTF-8; in Excel that is 'CSV UTF-8'."
_SAVE_AS_CSV = "Save it as CSV in UTF-8; in Excel that is 'CSV UTF-8'."
_OTHER_CONTENT = {
    b"PK\x03\x04": f"is a spreadsheet by its content, whatever its name. {_SAVE_AS_CSV}",
    b"\xd0\xcf\x11\xe0": f"is a spreadsheet by its content, whatever its name. {_SAVE_AS_CSV}",
    b"PAR1": "is Parquet by its content. Let its name end in .parquet.",
}
_ALIKE = 0.8


def load_table(raw: RawFolder, path: str, columns: Collection[str]) -> Rows:
    """Read a table as text, without the rows that have no filled cell; what a row lacks at its end is empty. Linear.

    Args:
        raw: the folder.
        path: of the table below it.
        columns: what its header is expected to hold, by which the separator is found.
    """
    suffix = PurePosixPath(path).suffix.lower()
    if any(file.startswith(f"{path.rstrip('/')}/") for file in raw.files):
        raise UserError(f"{path} in {raw.root} is a folder, not a table. Give ingestion.table=<file in it>.")
    if suffix in _OTHER_TABLES:
        raise UserError(f"{path} cannot be read as a table: its name ends in {suffix!r}. {_SAVE_AS_CSV}")
    if suffix not in _SUFFIXES:
        raise UserError(
            f"{path} cannot be read as a table: its name ends in {suffix!r}. Allowed are {', '.join(_SUFFIXES)}."
        )
    rows = _parquet(raw, path) if suffix == _PARQUET else _csv(raw, path, columns)
    names = rows.table.columns
    if twice := sorted(set(names[names.duplicated() & (names != "")])):
        raise UserError(f"{path} has several columns of the same name: {first_few(twice)}. Rename or remove.")
    if rows.table.empty:
        raise UserError(f"{path} lists no image: there is no row below its header.")
    return rows


def refuse_misnamed(raw: RawFolder, usual: Collection[str]) -> None:
    """Refuse a table at the root whose name nearly is a usual one: to leave it aside would lose its labels."""
    stems = {PurePosixPath(name).stem for name in usual}
    for path in [path for path in raw.files if "/" not in path]:
        name = path.casefold()
        if name.endswith(_SUFFIXES) and get_close_matches(name, usual, n=1, cutoff=_ALIKE):
            raise UserError(
                f"{raw.root} holds {path}, which is not read by that name.{nearest(name, usual)}"
                f" Rename it, or give ingestion.table={path}; ingestion.variant=folders leaves it aside."
            )
        if name.endswith(_OTHER_TABLES) and PurePosixPath(name).stem in stems:
            raise UserError(
                f"{raw.root} holds {path}, which cannot be read as a table. Save it as {PurePosixPath(name).stem}.csv"
                " in UTF-8 (in Excel: 'CSV UTF-8'), and move this one away."
            )


def _csv(raw: RawFolder, path: str, columns: Collection[str]) -> Rows:
    text = _decoded(raw.read_bytes(path), path)
    first = _EXCEL_SEPARATOR.match(text)
    separator = first["mark"] if first else _separator(text, columns)
    lines = _lines(text, separator, path)[1 if first else 0 :]
    if not lines:
        raise UserError(f"{path} is empty. Its first line names the columns.")
    (number, header), *lines = lines
    if any(map(names_image, header)):
        raise UserError(
            f"{path} has no header: line {number}, its first, names an image. Put a line with the names of the"
            f" columns above it: path{separator}pid, and what else there is."
        )
    # A separator at the end of each line, as some programs write, makes no column.
    filled = [_filled(cells) for _, cells in lines]
    full = max([_filled(header), *filled])
    if long := [f"line {place}" for (place, _), count in zip(lines, filled, strict=True) if count > len(header)]:
        raise UserError(
            f"{path}: {len(long)} rows have more cells than its header, which has {len(header)}: {first_few(long)}."
            f" Cells are between {_SEPARATORS[separator]}; put one that holds this sign, or a quotation mark, between"
            ' quotation marks ("...").'
        )
    notes = [] if separator == "," else [f"{path} separates its cells by {_SEPARATORS[separator]}."]
    if short := [f"line {place}" for place, cells in lines if len(cells) < _filled(header)]:
        notes.append(
            f"{len(short)} rows of {path} have fewer cells than its header: {first_few(short)}. What they lack is"
            " taken as empty."
        )
    names = [name.strip() for name in header[:full]]
    cells = [found if len(found) == full else [*found[:full], *[""] * (full - len(found))] for _, found in lines]
    table = pd.DataFrame(cells, index=[place for place, _ in lines], columns=names, dtype="str")
    return Rows(path, table, "line", notes=notes)


def _decoded(content: bytes, path: str) -> str:
    """Return a file's text: UTF-8, with or without a byte order mark, or UTF-16 with one."""
    for beginning, fault in _OTHER_CONTENT.items():
        if content.startswith(beginning):
            raise UserError(f"{path} {fault}")
    encoding = "utf-16" if content.startswith(_WIDE) else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding == "utf-16":
            raise UserError(f"{path} begins as UTF-16 text and is none from byte {error.start} on. {_SAVE}") from error
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path} is no UTF-8 text (line {line}, byte {error.start}). {_SAVE}") from error
    if (nul := text.find("\0")) >= 0:
        line = text.count("\n", 0, nul) + 1
        raise UserError(f"{path} holds a NUL byte in line {line}: it is damaged, or of another encoding. {_SAVE}")
    return text


def _separator(text: str, columns: Collection[str]) -> str:
    """Return what separates the cells of the header: by its expected columns, else what makes most cells of it."""
    header = next((line for line in io.StringIO(text, newline="") if line.strip()), "")
    cells = {mark: {cell.strip() for cell in next(csv.reader([header], delimiter=mark))} for mark in _SEPARATORS}
    return max(_SEPARATORS, key=lambda mark: (len(cells[mark].intersection(columns)), len(cells[mark])))


def _lines(text: str, separator: str, path: str) -> list[tuple[int, list[str]]]:
    """Return the rows that have a filled cell, each with the number of the line on which it begins."""
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))  # outlines of animals are long cells
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    found, line, columns = [], 1, 0
    try:
        for cells in reader:
            columns = columns or len(cells)
            if reader.line_num > line and _swallows_rows(cells, separator, columns):
                raise csv.Error("rows with images lie within one cell")
            if "".join(cells).strip():
                found.append((line, cells))
            line = reader.line_num + 1
    except csv.Error as error:
        raise UserError(
            f"{path}: the quotation mark that opens in line {line} is not closed as it should be ({error}). Close the"
            ' cell by another (") before the next separator, or remove it; within such a cell write "" for one.'
        ) from error
    return found


def _swallows_rows(cells: list[str], separator: str, columns: int) -> bool:
    """Return whether a cell of several lines holds one that could be a row of its own, with an image and all cells."""
    inner = [line.split(separator) for cell in cells for line in cell.splitlines()[1:] if separator in line]
    rows = [parts for parts in inner if len(parts) >= columns or len(cells) != columns]
    return any(names_image(part.replace('"', "")) for parts in rows for part in parts)


def _filled(cells: list[str]) -> int:
    """Return how many cells there are up to the last that is not empty."""
    count = len(cells)
    while count and not cells[count - 1].strip():
        count -= 1
    return count


def _parquet(raw: RawFolder, path: str) -> Rows:
    content = raw.read_bytes(path)
    try:
        table = pd.read_parquet(io.BytesIO(content))
    except (OSError, ValueError, LookupError, TypeError, NotImplementedError) as error:  # whatever pyarrow raises
        reason = next(iter(str(error).splitlines()), "it is damaged").rstrip(".")
        raise UserError(
            f"{path} cannot be read as Parquet: {reason}. Write it again, or save it as CSV in UTF-8."
        ) from error
    if any(name is not None for name in table.index.names):
        table = table.reset_index()  # a named index is a column to whoever wrote it
    table.columns = pd.Index([str(name) for name in table.columns])
    table.index = pd.RangeIndex(1, len(table) + 1)
    return Rows(path, table, "row")
