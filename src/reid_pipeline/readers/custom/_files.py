"""Files below the folder: which are images, which of them the paths of a table mean, and what folders alone name."""

import unicodedata
from pathlib import PurePosixPath

import pandas as pd

from reid_pipeline.readers._folder import is_system_file
from reid_pipeline.readers.custom._columns import SPLIT_WORDS, reading_of
from reid_pipeline.readers.custom._rows import Rows, shown
from reid_pipeline.schema.benchmark import Reading
from reid_pipeline.schema.columns import IDENTITY, PATH, PID, SPLIT
from reid_pipeline.schema.errors import UserError, first_few, nearest
from reid_pipeline.schema.raw_folder import RawFolder

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm")

_OTHER_WAYS = "List the images in manifest.csv, or give ingestion.variant=unlabelled to read all without identities."
_ENDINGS = ", ".join(IMAGE_SUFFIXES)
# Files beside images that are no images, and that nobody expects to be read as such.
_COMPANIONS = r"(?i)(?:(?:readme|licen[cs]e)[^/]*|[^/]+\.(?:md|txt|csv|tsv|json|ya?ml|dvc|parquet))"
_OUTSIDE = r"^(?:/|[A-Za-z]:|[A-Za-z][A-Za-z0-9+.-]*://)|(?:^|/)\.\.(?:/|$)"
_COMPARED = 500  # names among which a similar one is sought


def _is_image(paths: "pd.Series[str]") -> "pd.Series[bool]":
    return paths.str.lower().str.endswith(IMAGE_SUFFIXES)


def _is_hidden(paths: "pd.Series[str]") -> "pd.Series[bool]":
    """Return which paths are hidden, or left by file managers and archivers."""
    return paths.str.contains(r"(?:^|/)(?:\.|__MACOSX/)", regex=True) | paths.map(is_system_file).astype(bool)


def _image_files(raw: RawFolder) -> tuple["pd.Series[str]", list[str]]:
    """Return the images below the folder, indexed by themselves, and notes on what else lies there. Linear."""
    files = pd.Series(raw.files, index=list(raw.files), dtype="str")
    hidden = _is_hidden(files)
    image = _is_image(files) & ~hidden
    companion = ~hidden & ~image & files.str.fullmatch(_COMPANIONS)
    foreign = files[~hidden & ~image & ~companion]
    if len(foreign):
        raise UserError(
            f"{len(foreign)} files below {raw.root} are no images: {first_few(foreign.tolist())}. Images end"
            f" in {_ENDINGS}. Move the others away, or list the images in manifest.csv."
        )
    if not image.any():
        raise UserError(
            f"There is no image below {raw.root}. Images end in {_ENDINGS}. Put or link them"
            " there, or pass --params raw_root=<folder>."
        )
    notes = []
    if companion.any():
        notes.append(f"Beside the images, and not read: {first_few(files[companion].tolist())}.")
    if hidden.any():
        notes.append(f"{int(hidden.sum())} hidden files and files of file managers were left aside.")
    return files[image], notes


def files_named_by(rows: Rows, raw: RawFolder, *, if_twice: str = "") -> tuple["pd.Series[str]", list[str]]:
    r"""Return the file on disk that each row's path means, and notes.

    A path is taken as it stands; one that is not there is tried with `/` for `\`, without `./`, and in the
    other Unicode form, since macOS writes a letter with an accent as two characters. Linear.
    A path that is empty, leads outside the raw folder, names no image, is not there, or is named twice is a
    `UserError`; `if_twice` is a remedy for the last.
    """
    given = rows.table[PATH]
    rows.refuse(
        given.str.strip() == "",
        "Column path of {source} is empty in {count} rows: {places}. Fill these cells, or remove the rows.",
    )
    rows.refuse(
        ~_is_image(given),
        "{count} paths in {source} do not name an image: {cases}. Images end in {endings}. Remove these rows.",
        endings=_ENDINGS,
    )
    files = pd.Series(raw.files, dtype="str")
    path = given.copy()
    notes = _repair(rows, raw, path, files)
    _refuse_twice(rows, path, if_twice)
    unlisted = files[~_among(files, set(path))]
    unlisted = unlisted[_is_image(unlisted) & ~_is_hidden(unlisted)]
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
    rows.refuse(
        plain.str.contains(_OUTSIDE, regex=True).reindex(path.index, fill_value=False),
        "{count} paths in {source} are absolute or lead outside the folder: {cases}. Write them relative to {root},"
        " without `..`.",
        root=raw.root,
    )
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
        likely = _likely(str(rows.table.loc[missing, PATH].iloc[0]), raw.files)
        rows.refuse(
            missing,
            "{count} of {total} paths in {source} are not below {root}: {cases}.{likely} Paths are relative to that"
            " folder.",
            root=raw.root,
            likely=likely,
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


def _likely(path: str, files: tuple[str, ...]) -> str:
    """Return a hint at the file that was meant: one of the same name elsewhere, or of a similar name."""
    name, folder = PurePosixPath(path).name.casefold(), PurePosixPath(path).parent.as_posix()
    same_name = [file for file in files if PurePosixPath(file).name.casefold() == name]
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


def read_unlabelled(raw: RawFolder) -> Reading:
    """Take every image below the folder, at any depth, as an unlabelled training image."""
    images, notes = _image_files(raw)
    return _reading(images, ["Read as unlabelled images: {} images.", *notes], **{PID: ""})


def read_folders(raw: RawFolder) -> Reading:
    """Take folders as identities: `<identity>/<image>`, or `<split>/<identity>/<image>`."""
    images, notes = _image_files(raw)
    depth = images.str.count("/")
    if (depth == 0).all():
        return read_unlabelled(raw)
    if (depth == 0).any():
        raise UserError(
            f"{int((depth == 0).sum())} images lie beside folders: {first_few(images[depth == 0].tolist())}."
            f" Where folders are identities, every image lies in one. {_OTHER_WAYS}"
        )
    parts = images.str.split("/", expand=True)
    top = parts[0]
    splits = top.isin(SPLIT_WORDS)
    if splits.any():
        _refuse_mixed(raw, top, splits)
        _refuse_depth(images, depth, "<split>/<identity>/<image>")
        first = "Read as folders <split>/<identity>/<image>: {} images."
        return _reading(images, [first, *notes], **{PID: parts[1], SPLIT: top})
    _refuse_depth(images, depth, "<identity>/<image>")
    if top.nunique() == 1:
        raise UserError(
            f"All images lie in one folder, {top.iloc[0]}/: one identity alone cannot be told from"
            f" others. If the images are unlabelled, pass --params raw_root={raw.root / top.iloc[0]} or"
            " give ingestion.variant=unlabelled."
        )
    return _reading(images, ["Read as folders <identity>/<image>: {} images.", *notes], **{PID: top})


def _reading(images: "pd.Series[str]", notes: list[str], **columns: "pd.Series[str] | str") -> Reading:
    """Return the reading of images with further columns; the first note has a place for their number."""
    table = pd.DataFrame({PATH: images, **columns}, dtype="str")
    rows = Rows("the folders", table, names={PID: IDENTITY})
    return reading_of(rows, images, [notes[0].format(len(images)), *notes[1:]])


def _refuse_mixed(raw: RawFolder, top: "pd.Series[str]", splits: "pd.Series[bool]") -> None:
    """Refuse splits beside other folders, and splits that hold no image."""
    if not splits.all():
        raise UserError(
            f"{raw.root} holds splits ({first_few(sorted(top[splits].unique()))}) and other folders:"
            f" {first_few(sorted(top[~splits].unique()))}. Put these into train, query, gallery or test, or"
            " move them away."
        )
    used = set(top)
    empty = [word for word in SPLIT_WORDS if word not in used and (raw.root / word).is_dir()]
    if empty:
        raise UserError(f"Folder {first_few(empty)} of {raw.root} holds no image. Put images there, or remove it.")


def _refuse_depth(images: "pd.Series[str]", depth: "pd.Series[int]", form: str) -> None:
    for wrong, words in ((depth < form.count("/"), "not deep enough"), (depth > form.count("/"), "too deep")):
        if wrong.any():
            raise UserError(
                f"{int(wrong.sum())} of {len(images)} images lie {words} for folders {form}:"
                f" {first_few(images[wrong].tolist())}. Move them; or pass as raw_root the folder that holds"
                f" the splits or identities. {_OTHER_WAYS}"
            )
