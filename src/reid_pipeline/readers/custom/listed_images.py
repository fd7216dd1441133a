"""Images to be embedded: a table, a list of paths, one file, or a folder whose folders may be identities."""

import os
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import pandas as pd

from reid_pipeline.readers.custom import _rows
from reid_pipeline.readers.custom._columns import SPLIT_WORDS, numbers_of, refuse_two_forms
from reid_pipeline.readers.custom._forms import FORMS, text_of
from reid_pipeline.readers.custom._rows import Rows
from reid_pipeline.readers.custom._tables import load_table
from reid_pipeline.schema.columns import CAMERA, CAMID, IDENTITY, NAME, PATH, PID, TIME, TRACKID
from reid_pipeline.schema.embedded_images import EMBEDDED_COLUMNS
from reid_pipeline.schema.errors import UserError, first_few
from reid_pipeline.schema.listed_images import ListedImages
from reid_pipeline.schema.raw_folder import RawFolder

COLUMNS: Mapping[str, tuple[str, ...]] = {
    PATH: (PATH,),
    IDENTITY: (IDENTITY, PID, NAME),
    CAMERA: (CAMERA, CAMID),
    TIME: (TIME,),
    TRACKID: (TRACKID,),
}
"""By column of the result, the columns of a table that it is read from, the first of them that is there."""
TABLES = (".csv", ".tsv", ".parquet")
LIST = ".txt"
_JUNK, _UNKNOWN = "-1", "unknown"
_ALIKE = 0.8
_TIMES = "ISO 8601, such as 2024-05-06T07:08:09Z (without a zone: UTC)"


def images_of_folder(raw: RawFolder) -> ListedImages:
    """Return the images below a folder, by path.

    A manifest or metadata table of a usual name at its root says which, and what is known of them. Without one, folders
    are identities where every image lies in `<identity>/<image>` or `<split>/<identity>/<image>`; else nobody is named.

    Args:
        raw: the folder, listed.

    Raises:
        UserError: there is no image below it, or the table cannot be read.
    """
    usual = [file for form in FORMS.values() for file in form.files if file in raw.files]
    if usual:
        return images_of_table(raw.root / usual[0], [f"{usual[0]} says which images there are."])
    files = pd.Series(raw.files, dtype="str")
    image = _rows.is_image(files) & ~_rows.is_hidden(files)
    paths = files[image].reset_index(drop=True)
    raw.require_text(paths)
    if paths.empty:
        raise UserError(f"There is no image below {raw.root}. Images end in {_rows.ENDINGS}. Give another folder.")
    notes = list(raw.notes)
    if others := int((~image).sum()):
        notes.append(f"{others} other files below {raw.root} were left aside: {first_few(files[~image].tolist(), 3)}.")
    names = _folder_names(paths)
    if names is None:
        return ListedImages(raw.root, _table({PATH: paths}), tuple(notes))
    notes.append(
        f"Identities are the names of folders: {first_few(sorted(names.unique()))}. If these are no individuals:"
        " --params embed.identities=none."
    )
    return ListedImages(raw.root, _table({PATH: paths, IDENTITY: names}), tuple(notes), by_folder=True)


def _folder_names(paths: "pd.Series[str]") -> "pd.Series[str] | None":
    """Return the identity of each image by its folder, None where folders are none."""
    depth, parts = paths.str.count("/"), paths.str.split("/")
    if (depth == 1).all():
        return parts.str[0].astype("str")
    if (depth == 2).all() and parts.str[0].str.casefold().isin(SPLIT_WORDS).all():
        return parts.str[1].astype("str")
    return None


def images_of_file(file: Path) -> ListedImages:
    """Return the images that a file lists, or the one that it is: by its ending a table, a list of paths, an image.

    Raises:
        UserError: the ending is none of these, the file cannot be read, or what it lists is not there.
    """
    ending = file.suffix.lower()
    if ending in TABLES:
        return images_of_table(file)
    if ending == LIST:
        return images_of_list(file)
    if _rows.names_image(file.name):
        return ListedImages(file.parent, _table({PATH: pd.Series([file.name], dtype="str")}))
    raise UserError(
        f"{file} is no list of images: its name ends in {ending!r}. Give a folder, an image ({_rows.ENDINGS}), a list"
        f" of paths ({LIST}), or a table ({', '.join(TABLES)}) with a column path."
    )


def images_of_list(file: Path) -> ListedImages:
    """Return the images of a text with a path in each line; relative ones begin at its folder."""
    lines = RawFolder(file.parent, ()).read_text(file.name).splitlines()
    paths = pd.Series(lines, index=range(1, len(lines) + 1), dtype="str").str.strip()
    table = pd.DataFrame({PATH: paths[paths != ""]})
    if table.empty:
        raise UserError(f"{file} lists no image. Write the path of one in each line.")
    rows = Rows(file.name, table, "line")
    return ListedImages(file.parent, _table({PATH: _files(rows, file.parent)}), tuple(rows.notes))


def images_of_table(file: Path, notes: list[str] | None = None) -> ListedImages:
    """Return the images of a table, CSV or Parquet, and what it says of them; relative paths begin at its folder.

    Its columns are `COLUMNS`; rows of individual -1, junk, are left out.

    Raises:
        UserError: a column is missing or nearly called like one that is read, or a cell is wrong; says where.
    """
    loaded = load_table(RawFolder(file.parent, ()), file.name, {each for names in COLUMNS.values() for each in names})
    present = [str(name) for name in loaded.table.columns]
    found = {column: next((each for each in names if each in present), "") for column, names in COLUMNS.items()}
    found = {column: name for column, name in found.items() if name}
    _refuse_meant(file, present, found)
    table = pd.DataFrame({column: text_of(loaded, name) for column, name in found.items()}, index=loaded.table.index)
    rows = Rows(loaded.source, table, loaded.unit, names=found, notes=[*(notes or []), *loaded.notes])
    if unread := [name for name in present if name and name not in found.values()]:
        rows.notes.append(f"Columns not used: {first_few(unread, 12)}.")
    junk = rows.text(IDENTITY) == _JUNK
    if junk.any():
        rows.notes.append(f"{int(junk.sum())} images have {rows.name(IDENTITY)} {_JUNK}: junk, and left out.")
        rows = Rows(rows.source, table[~junk], rows.unit, names=found, notes=rows.notes)
    return ListedImages(file.parent, _known(rows, file.parent), tuple(rows.notes))


def _known(rows: Rows, root: Path) -> pd.DataFrame:
    """Return the table of the images, with what the rows say of them."""
    for column in {IDENTITY, CAMERA} & {*rows.table}:
        refuse_two_forms(rows, column)
    identity = rows.text(IDENTITY)
    columns: dict[str, pd.Series[Any]] = {
        PATH: _files(rows, root),
        IDENTITY: identity.mask(identity.str.casefold() == _UNKNOWN, ""),
        CAMERA: rows.text(CAMERA),
        TIME: _times(rows),
        TRACKID: numbers_of(rows, TRACKID).fillna(-1),
    }
    return _table(columns)


def _table(columns: "Mapping[str, pd.Series[Any]]") -> pd.DataFrame:
    """Return `schema.tables.EMBEDDED_IMAGES`; what is not given is not known."""
    table = pd.DataFrame(dict(columns))
    for name in EMBEDDED_COLUMNS:
        if name not in table:
            table[name] = -1 if name == TRACKID else ""
    types = {name: "int64" if name == TRACKID else "str" for name in EMBEDDED_COLUMNS}
    return table[list(EMBEDDED_COLUMNS)].astype(types).reset_index(drop=True)


def _refuse_meant(file: Path, present: list[str], found: Mapping[str, str]) -> None:
    """Refuse a table without paths, or with a column that is nearly called like one that is absent."""
    absent = {name: column for column, names in COLUMNS.items() if column not in found for name in names}
    for name in present:
        if name not in found.values() and (near := get_close_matches(name.casefold(), absent, 1, _ALIKE)):
            raise UserError(
                f"{file} has a column {name!r}, which is not read. Did you mean {near[0]!r}? Rename it; if it means"
                " something else, give it a name of its own."
            )
    if PATH not in found:
        raise UserError(
            f"{file} has no column path; its columns are {first_few(present, 12)}. Call that of the images' files path."
        )


def _files(rows: Rows, root: Path) -> "pd.Series[str]":
    """Return the path of each row's file, relative to the root or absolute; what is not there is refused."""
    path = rows.text(PATH)
    rows.refuse(
        path == "", "Column path of {source} is empty in {count} rows: {places}. Fill these cells, or remove the rows."
    )
    absent = ~_there(path, root)
    plain = path.str.replace("\\", "/", regex=False)
    path = path.mask(absent & _there(plain, root), plain)
    rows.refuse(
        ~_there(path, root),
        "{count} of {total} images of {source} are not there: {cases}. Relative paths begin at {root}.",
        root=root,
    )
    twice = path.duplicated(keep=False)
    rows.refuse(
        twice, "{count} rows of {source} name an image that another row names: {cases}. Give one row for each image."
    )
    return path


def _there(paths: "pd.Series[str]", root: Path) -> "pd.Series[bool]":
    found = [os.path.lexists(os.path.join(root, path)) for path in paths]  # noqa: PTH118 - a Path takes its time
    return pd.Series(found, index=paths.index, dtype=bool)


def _times(rows: Rows) -> "pd.Series[str]":
    """Return when each image was taken, in UTC; empty where that is not given."""
    text = rows.text(TIME)
    moments = pd.to_datetime(text.where(text != ""), format="ISO8601", utc=True, errors="coerce")
    rows.refuse(
        (text != "") & (moments.isna() | text.str.fullmatch(r"[0-9.]+")),
        "Column {column} of {source} is no time in {count} rows: {cases}. Write {form}, or nothing.",
        TIME,
        form=_TIMES,
    )
    whole = moments.dt.strftime("%Y-%m-%dT%H:%M:%S")
    parts = moments.dt.microsecond.fillna(0).astype("int64").map(lambda count: f".{count:06d}" if count else "")
    return (whole + parts + "Z").where(text != "", "").astype("str")
