"""Rows of text about images, how messages name them, and the files they mean."""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import pandas as pd

from reid_pipeline.readers._folder import is_system_file
from reid_pipeline.schema import image_formats
from reid_pipeline.schema.columns import PATH
from reid_pipeline.schema.errors import UserError, first_few, nearest
from reid_pipeline.schema.raw_folder import RawFolder

ENDINGS = ", ".join(image_formats.ENDINGS)

_OUTSIDE = r"^(?:/|[A-Za-z]:|[A-Za-z][A-Za-z0-9+.-]*://)|(?:^|/)\.\.(?:/|$)"
_LONGEST_SHOWN = 80  # characters of a cell in a message
_ABSENT = (
    "{count} of {total} paths in {source} are not below {root}: {cases}.{likely} Paths are relative to that folder."
)
_COMPARED = 500  # names among which a similar one is sought


@dataclass(frozen=True)
class Rows:
    """What a table, or the folders, give for the images: columns of text, "" where nothing is given.

    The table's index is the number of the row as its user sees it, or the path itself where there is no table.
    """

    source: str  # the table's file, or "the folders"
    table: pd.DataFrame
    unit: str = ""  # what the index counts: "line" of a CSV file, "row" of a Parquet file, "" for paths
    names: Mapping[str, str] = field(default_factory=dict)  # column to its name in the source, where it differs
    notes: list[str] = field(default_factory=list)  # for the dataset page; whoever concludes something appends to them

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
        """Raise a `UserError` for wrong rows; its {count}, {places} and {cases} are theirs, {total} is of all rows."""
        if wrong.any():
            facts = {"count": int(wrong.sum()), "total": len(wrong), "cases": self.cases(column, wrong)}
            places = first_few([self.place(row) for row in wrong.index[wrong]])
            raise UserError(
                message.format(**facts, places=places, column=self.name(column), source=self.source, **words)
            )


def shown(cell: str) -> str:
    """Return a cell quoted, cut where it is long."""
    return repr(cell if len(cell) <= _LONGEST_SHOWN else f"{cell[:_LONGEST_SHOWN]}...")


def is_image(paths: "pd.Series[str]") -> "pd.Series[bool]":
    """Return which paths end as images do."""
    return paths.str.lower().str.endswith(image_formats.ENDINGS)


def names_image(cell: str) -> bool:
    """Return whether one cell ends as images do."""
    return cell.strip().lower().endswith(image_formats.ENDINGS)


def is_hidden(paths: "pd.Series[str]") -> "pd.Series[bool]":
    """Return which paths are hidden, or left by file managers and archivers."""
    return paths.str.contains(r"(?:^|/)(?:\.|__MACOSX/)", regex=True) | paths.map(is_system_file).astype(bool)


def files_named_by(rows: Rows, raw: RawFolder, *, if_twice: str = "") -> "pd.Series[str]":
    r"""Return the file on disk that each row's path means. Linear.

    One that is not there is tried with `/` for `\`, without `./`, and in the other Unicode form, since macOS writes a
    letter with an accent as two characters. `if_twice` is a remedy for files that are named twice.
    """
    given, files = rows.table[PATH], pd.Series(raw.files, dtype="str")
    rows.refuse(
        given.str.strip() == "",
        "Column path of {source} is empty in {count} rows: {places}. Fill these cells, or remove the rows.",
    )
    others = ~is_image(given.str.strip())
    rows.refuse(
        others,
        "{count} paths in {source} do not name an image: {cases}.{likely} Images end in {endings}. Remove these rows,"
        " or write whole names.",
        endings=ENDINGS,
        likely=_likely(str(next(iter(given[others]), "")), tuple(files[is_image(files)])) if others.any() else "",
    )
    path = files_meant(rows, raw)
    _refuse_twice(rows, path, if_twice)
    unlisted = files[~_among(files, set(path))]
    unlisted = unlisted[is_image(unlisted) & ~is_hidden(unlisted)]
    if len(unlisted):
        rows.notes.append(
            f"{len(unlisted)} images below the folder are not in {rows.source} and were left aside:"
            f" {first_few(unlisted.tolist())}."
        )
    return path


def files_meant(rows: Rows, raw: RawFolder, absent: str = _ABSENT) -> "pd.Series[str]":
    """Return the rows' paths, with what is meant in place of those that are not there; `absent` refuses the rest."""
    files = pd.Series(raw.files, dtype="str")
    path, known = rows.table[PATH].copy(), set(files)
    missing = ~_among(path, known)
    if not missing.any():
        return path
    plain = path[missing].str.strip().str.replace("\\", "/", regex=False)
    rows.refuse(
        plain.str.contains(_OUTSIDE, regex=True).reindex(path.index, fill_value=False),
        "{count} paths in {source} are absolute or lead outside the folder: {cases}. Write them relative to {root},"
        " without `..`.",
        root=raw.root,
    )
    plain = plain.str.replace(r"/(?:\.?/)+", "/", regex=True).str.replace(r"^(?:\./)+", "", regex=True)
    if backslashes := int((path[missing].str.contains("\\", regex=False) & _among(plain, known)).sum()):
        rows.notes.append(f"{backslashes} paths are written with \\ and were read with /.")
    if blanks := int(((path[missing].str.strip() != path[missing]) & _among(plain, known)).sum()):
        rows.notes.append(f"{blanks} paths have blanks around them and were read without.")
    path[missing] = plain
    missing &= ~_among(path, known)
    if missing.any():
        alone = files[~files.map(_composed).duplicated(keep=False)]
        found = path[missing].map(_composed).map(dict(zip(alone.map(_composed), alone, strict=True))).dropna()
        path[found.index] = found
        missing[found.index] = False
        if len(found):
            rows.notes.append(
                f"{len(found)} paths were found by their letters and not by their bytes: table and folder"
                " write accents in different Unicode forms."
            )
    if missing.any():
        rows.refuse(
            missing, absent, root=raw.root, likely=_likely(str(rows.table.loc[missing, PATH].iloc[0]), raw.files)
        )
    return path


def _among(paths: "pd.Series[str]", known: set[str]) -> "pd.Series[bool]":
    """As `isin`, which with pyarrow's strings makes the set anew each time, and slowly."""
    return pd.Series([path in known for path in paths], index=paths.index, dtype=bool)


def _composed(path: str) -> str:
    return unicodedata.normalize("NFC", path)


def _likely(path: str, files: tuple[str, ...]) -> str:
    """Return a hint at the file that was meant: one of the same name elsewhere, or of a similar name."""
    name, folder = PurePosixPath(path).name.casefold(), PurePosixPath(path).parent.as_posix()
    same_name = [file for file in files if PurePosixPath(file).name.casefold() == name]
    if not PurePosixPath(path).suffix:
        same_name = [file for file in files if PurePosixPath(file).stem.casefold() == name]
    if same_name:
        return f" Did you mean {same_name[0]!r}?"
    beside = [file for file in files if PurePosixPath(file).parent.as_posix() == folder]
    return nearest(path, (beside or list(files))[:_COMPARED])


def _refuse_twice(rows: Rows, path: "pd.Series[str]", remedy: str) -> None:
    again = path[path.duplicated(keep=False)]
    if again.empty:
        return
    places = again.index.to_series().groupby(again.to_numpy(), sort=False).agg(list)
    cases = [
        f"{shown(str(file))} ({first_few([rows.place(row) for row in found], 3)})" for file, found in places.items()
    ]
    raise UserError(
        f"{len(places)} files are named more than once in {rows.source}: {first_few(cases)}. One row per"
        f" image: remove the others.{remedy}"
    )
