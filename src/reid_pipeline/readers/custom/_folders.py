"""Folders as identities, as splits of identities, or images alone."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from reid_pipeline.readers.custom import _rows
from reid_pipeline.readers.custom._columns import SPLIT_WORDS, SUBSET_NAMES, reading_of
from reid_pipeline.readers.custom._rows import Rows
from reid_pipeline.schema.benchmark import Reading
from reid_pipeline.schema.columns import IDENTITY, PATH, PID, SPLIT
from reid_pipeline.schema.errors import UserError, first_few
from reid_pipeline.schema.raw_folder import RawFolder

_FORMS = (
    "Folders are read as <identity>/<image>; as <split>/<identity>/<image>, where the splits are train, query and"
    " gallery, or train and test; or as images alone, directly in the folder."
)
_OTHER_WAYS = (
    "List the images in manifest.csv, or give ingestion.variant=unlabelled to read all without identities. " + _FORMS
)
# Files beside images that are no images, and that nobody expects to be read as such.
_COMPANIONS = r"(?i)(?:(?:readme|licen[cs]e)[^/]*|[^/]+\.(?:md|txt|csv|tsv|json|ya?ml|dvc|parquet))"


def read_folders(raw: RawFolder, *, unlabelled: bool = False) -> Reading:
    """Take folders as identities: `<identity>/<image>`, or `<split>/<identity>/<image>`; or images alone."""
    images, notes = _image_files(raw)
    depth = images.str.count("/")
    if unlabelled or (depth == 0).all():
        return _reading(images, "unlabelled images", notes, {PID: ""})
    if (depth == 0).any():
        raise UserError(
            f"{int((depth == 0).sum())} images lie beside folders: {first_few(images[depth == 0].tolist())}."
            f" Where folders are identities, every image lies in one. {_OTHER_WAYS}"
        )
    parts = images.str.split("/", expand=True)
    top = parts[0]
    if _are_splits(top, depth):
        _refuse_mixed(raw, top)
        form = "<split>/<identity>/<image>"
        _refuse_depth(raw, images, depth, form)
        _note_empty(raw, top + "/" + parts[1], top.unique() + "/", notes)
        return _reading(images, f"folders {form}", notes, {PID: parts[1], SPLIT: top})
    form = "<identity>/<image>"
    _refuse_depth(raw, images, depth, form)
    if top.nunique() == 1:
        raise UserError(
            f"All images lie in one folder, {top.iloc[0]}/: one identity alone cannot be distinguished from others. If"
            f" a table names their identities, give it: --params ingestion.table=<file>. If they are unlabelled, pass"
            f" --params raw_root={raw.root / top.iloc[0]} or give ingestion.variant=unlabelled. {_FORMS}"
        )
    _note_empty(raw, top, [""], notes)
    return _reading(images, f"folders {form}", notes, {PID: top})


def _are_splits(top: "pd.Series[str]", depth: "pd.Series[int]") -> bool:
    """Return whether folders at the top are splits; an individual may be called Val or Dev."""
    word = top.str.casefold().isin(SPLIT_WORDS)
    return bool(top.isin(SUBSET_NAMES).any() or word.all() or (word & (depth > 1)).any())


def _folders_in(folder: Path) -> list[str]:
    """Return the names of folders, with escapes where they are no UTF-8."""
    try:
        return [os.fsencode(each.name).decode(errors="backslashreplace") for each in folder.iterdir() if each.is_dir()]
    except OSError:  # listing the images has answered for what cannot be read
        return []


def _note_empty(raw: RawFolder, used: "pd.Series[str]", parents: Iterable[str], notes: list[str]) -> None:
    """Note folders of individuals without an image: nobody would miss them."""
    below = {f"{parent}{name}" for parent in parents for name in _folders_in(raw.root / parent)}
    if empty := sorted(name for name in below - set(used) if not name.rsplit("/", 1)[-1].startswith((".", "__MACOSX"))):
        notes.append(f"{len(empty)} folders hold no image, and are no individuals: {first_few(empty)}.")


def _image_files(raw: RawFolder) -> tuple["pd.Series[str]", list[str]]:
    """Return the images below the folder, indexed by themselves, and notes on what else lies there. Linear."""
    files = pd.Series(raw.files, index=list(raw.files), dtype="str")
    hidden = _rows.is_hidden(files)
    image = _rows.is_image(files) & ~hidden
    companion = ~hidden & ~image & files.str.fullmatch(_COMPANIONS)
    foreign = files[~hidden & ~image & ~companion]
    if len(foreign):
        raise UserError(
            f"{len(foreign)} files below {raw.root} are no images: {first_few(foreign.tolist())}. Images end"
            f" in {_rows.ENDINGS}. Move the others away, or list the images in manifest.csv."
            + "".join(f" {note}" for note in raw.notes)
        )
    if not image.any():
        raise UserError(
            f"There is no image below {raw.root}. Images end in {_rows.ENDINGS}. Put or link them"
            " there, or pass --params raw_root=<folder>."
        )
    notes = []
    if companion.any():
        notes.append(f"Beside the images, and not read: {first_few(files[companion].tolist())}.")
    if hidden.any():
        notes.append(f"{int(hidden.sum())} hidden files and files of file managers were left aside.")
    return files[image], notes


def _reading(images: "pd.Series[str]", form: str, notes: list[str], columns: Mapping[str, object]) -> Reading:
    """Return the reading of images with further columns."""
    table = pd.DataFrame({PATH: images, **columns}, dtype="str")
    noted = [f"Read as {form}: {len(images)} images.", *notes]
    return reading_of(Rows("the folders", table, names={PID: IDENTITY}, notes=noted), images)


def _refuse_mixed(raw: RawFolder, top: "pd.Series[str]") -> None:
    """Refuse splits beside other folders, and splits that hold no image."""
    splits = top.str.casefold().isin(SPLIT_WORDS)
    if not splits.all():
        raise UserError(
            f"{raw.root} holds splits ({first_few(sorted(top[splits].unique()))}) and other folders:"
            f" {first_few(sorted(top[~splits].unique()))}. Put these into train, query, gallery or test, or"
            f" move them away. {_FORMS}"
        )
    used = set(top)
    beside = sorted(name for name in _folders_in(raw.root) if name not in used)
    if empty := [name for name in beside if name.casefold() in SPLIT_WORDS]:
        raise UserError(f"Folder {first_few(empty)} of {raw.root} holds no image. Put images there, or remove it.")


def _refuse_depth(raw: RawFolder, images: "pd.Series[str]", depth: "pd.Series[int]", form: str) -> None:
    top = images.str.split("/", n=1).str[0].unique()
    pass_as_root = f"{raw.root / top[0]}, which holds them all" if len(top) == 1 else "the folder that holds"
    remedy = f"Move them; or pass as raw_root {pass_as_root}{'' if len(top) == 1 else ' the splits or identities'}."
    if any(name.startswith("bounding_box_") for name in top):
        remedy = "Folders of these names are Market-1501's layout, which --env=market1501 reads."
    for wrong, words in ((depth < form.count("/"), "not deep enough"), (depth > form.count("/"), "too deep")):
        if wrong.any():
            raise UserError(
                f"{int(wrong.sum())} of {len(images)} images lie {words} for folders {form}:"
                f" {first_few(images[wrong].tolist())}. {remedy} {_OTHER_WAYS}"
            )
