"""Paths that a table gives, against the files on disk."""

import unicodedata
from pathlib import PurePosixPath

import pandas as pd

from reid_pipeline.readers._manifest import is_litter
from reid_pipeline.readers.custom._rows import Rows, shown
from reid_pipeline.schema.columns import PATH
from reid_pipeline.schema.errors import UserError, first_few, nearest
from reid_pipeline.schema.raw_folder import RawFolder

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm")

_OUTSIDE = r"^(?:/|[A-Za-z]:|[A-Za-z][A-Za-z0-9+.-]*://)|(?:^|/)\.\.(?:/|$)"
_COMPARED = 500  # names among which a similar one is sought


def is_image(paths: "pd.Series[str]") -> "pd.Series[bool]":
    """Return which paths have the name of an image."""
    return paths.str.lower().str.endswith(IMAGE_SUFFIXES)


def is_hidden(paths: "pd.Series[str]") -> "pd.Series[bool]":
    """Return which paths are hidden, or left by file managers and archivers."""
    hidden = paths.str.contains(r"(?:^|/)(?:\.|__MACOSX/)", regex=True)
    return hidden | pd.Series([is_litter(path) for path in paths], index=paths.index, dtype=bool)


def files_named_by(rows: Rows, raw: RawFolder, *, if_twice: str = "") -> tuple["pd.Series[str]", list[str]]:
    r"""Return the file on disk that each row's path means, and notes.

    A path is taken as it stands; one that is not there is tried with `/` for `\`, without `./`, and in the
    other Unicode form, since macOS writes a letter with an accent as two characters. Linear.

    Args:
        rows: with column path.
        raw: the folder that the paths are below.
        if_twice: a remedy for files that are named twice.

    Raises:
        UserError: a path is empty, leads outside the raw folder, names no image, is not there, or is named
            twice.
    """
    given = rows.table[PATH]
    empty, foreign = given.str.strip() == "", ~is_image(given)
    if empty.any():
        raise UserError(
            f"Column path of {rows.source} is empty in {int(empty.sum())} rows: {rows.places(empty)}. Fill"
            " these cells, or remove the rows."
        )
    if foreign.any():
        raise UserError(
            f"{int(foreign.sum())} paths in {rows.source} do not name an image: {rows.cases(PATH, foreign)}."
            f" Images end in {', '.join(IMAGE_SUFFIXES)}. Remove these rows."
        )
    files = pd.Series(raw.files, dtype="str")
    path = given.copy()
    notes = _repair(rows, raw, path, files)
    _refuse_twice(rows, path, if_twice)
    unlisted = files[~_among(files, set(path))]
    unlisted = unlisted[is_image(unlisted) & ~is_hidden(unlisted)]
    if len(unlisted):
        notes.append(
            f"{len(unlisted)} images below the folder are not in {rows.source} and were left aside:"
            f" {first_few(unlisted.tolist())}."
        )
    return path, notes


def _repair(rows: Rows, raw: RawFolder, path: "pd.Series[str]", files: "pd.Series[str]") -> list[str]:
    """Write in place, for the paths that are not there, those that they mean; return notes."""
    notes, known = list[str](), set(files)
    missing = ~_among(path, known)
    if not missing.any():
        return notes
    plain = path[missing].str.replace("\\", "/", regex=False)
    _refuse_outside(rows, raw, plain.str.contains(_OUTSIDE, regex=True).reindex(path.index, fill_value=False))
    plain = plain.str.replace(r"/(?:\.?/)+", "/", regex=True).str.replace(r"^(?:\./)+", "", regex=True)
    backslashes = int((path[missing].str.contains("\\", regex=False) & _among(plain, known)).sum())
    if backslashes:
        notes.append(f"{backslashes} paths are written with \\ and were read with /.")
    path[missing] = plain
    missing &= ~_among(path, known)
    if missing.any():
        found = path[missing].map(_composed).map(_by_composed_form(files)).dropna()
        path[found.index] = found
        missing[found.index] = False
        if len(found):
            notes.append(
                f"{len(found)} paths were found by their letters and not by their bytes: table and folder"
                " write accents in different Unicode forms."
            )
    if missing.any():
        first = str(rows.table.loc[missing, PATH].iloc[0])
        raise UserError(
            f"{int(missing.sum())} of {len(missing)} paths in {rows.source} are not below {raw.root}:"
            f" {rows.cases(PATH, missing)}.{_likely(first, raw.files)} Paths are relative to that folder."
        )
    return notes


def _among(paths: "pd.Series[str]", known: set[str]) -> "pd.Series[bool]":
    """As `isin`, which with pyarrow's strings makes the set anew each time, and slowly."""
    return pd.Series([path in known for path in paths], index=paths.index, dtype=bool)


def _composed(path: str) -> str:
    return unicodedata.normalize("NFC", path)


def _by_composed_form(files: "pd.Series[str]") -> dict[str, str]:
    """Return NFC form to file, where one file alone has that form."""
    composed = files.map(_composed)
    alone = ~composed.duplicated(keep=False)
    return dict(zip(composed[alone], files[alone], strict=True))


def _refuse_outside(rows: Rows, raw: RawFolder, outside: "pd.Series[bool]") -> None:
    if outside.any():
        raise UserError(
            f"{int(outside.sum())} paths in {rows.source} are absolute or lead outside the folder:"
            f" {rows.cases(PATH, outside)}. Write them relative to {raw.root}, without `..`."
        )


def _likely(path: str, files: tuple[str, ...]) -> str:
    """Return a hint at the file that was meant: one of the same name elsewhere, or of a similar name."""
    name, folder = PurePosixPath(path).name.casefold(), PurePosixPath(path).parent.as_posix()
    same_name = [file for file in files if PurePosixPath(file).name.casefold() == name]
    if same_name:
        return f" Did you mean {same_name[0]!r}?"
    beside = [file for file in files if PurePosixPath(file).parent.as_posix() == folder]
    return nearest(path, (beside or list(files))[:_COMPARED])


def _refuse_twice(rows: Rows, path: "pd.Series[str]", remedy: str) -> None:
    twice = path.duplicated(keep=False)
    if not twice.any():
        return
    again = path[twice]
    places = again.index.to_series().groupby(again.to_numpy(), sort=False).agg(list)
    cases = [
        f"{shown(str(file))} ({first_few([rows.place(row) for row in found], 3)})" for file, found in places.items()
    ]
    raise UserError(
        f"{len(places)} files are named more than once in {rows.source}: {first_few(cases)}. One row per"
        f" image: remove the others.{remedy}"
    )
