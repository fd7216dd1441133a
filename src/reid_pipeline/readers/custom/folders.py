"""Forms (b) and (d): what folders alone say."""

import pandas as pd

from reid_pipeline.readers.custom._paths import IMAGE_SUFFIXES, is_hidden, is_image
from reid_pipeline.readers.custom._reading import reading_of
from reid_pipeline.readers.custom._rows import Rows
from reid_pipeline.readers.custom._subsets import SPLIT_WORDS
from reid_pipeline.schema.benchmark import Reading
from reid_pipeline.schema.columns import IDENTITY, PATH, PID, SPLIT
from reid_pipeline.schema.errors import UserError, first_few
from reid_pipeline.schema.raw_folder import RawFolder

# Files beside images that are no images, and that nobody expects to be read as such.
_COMPANIONS = r"(?i)(?:(?:readme|licen[cs]e)[^/]*|[^/]+\.(?:md|txt|csv|tsv|json|ya?ml|dvc|parquet))"
_SOURCE = "the folders"
_NAMES = {PID: IDENTITY}


def image_files(raw: RawFolder) -> tuple["pd.Series[str]", list[str]]:
    """Return the images below the folder, indexed by themselves, and notes on what else lies there. Linear.

    Raises:
        UserError: there is no image, or a file among them is none.
    """
    files = pd.Series(raw.files, index=list(raw.files), dtype="str")
    hidden = is_hidden(files)
    image = is_image(files) & ~hidden
    companion = ~hidden & ~image & files.str.fullmatch(_COMPANIONS)
    foreign = files[~hidden & ~image & ~companion]
    if len(foreign):
        raise UserError(
            f"{len(foreign)} files below {raw.root} are no images: {first_few(foreign.tolist())}. Images end"
            f" in {', '.join(IMAGE_SUFFIXES)}. Move the others away, or list the images in manifest.csv."
        )
    if not image.any():
        raise UserError(
            f"There is no image below {raw.root}. Images end in {', '.join(IMAGE_SUFFIXES)}. Put or link them"
            " there, or pass --params raw_root=<folder>."
        )
    notes = []
    if companion.any():
        notes.append(f"Beside the images, and not read: {first_few(files[companion].tolist())}.")
    if hidden.any():
        notes.append(f"{int(hidden.sum())} hidden files and files of file managers were left aside.")
    return files[image], notes


def read_unlabelled(raw: RawFolder) -> Reading:
    """Take every image below the folder, at any depth, as an unlabelled training image.

    Raises:
        UserError: there is no image, or a file among them is none.
    """
    images, notes = image_files(raw)
    first = f"Read as unlabelled images: {len(images)} images."
    rows = Rows(_SOURCE, pd.DataFrame({PATH: images, PID: pd.Series("", images.index, dtype="str")}), "")
    return reading_of(rows, images, [first, *notes])


def read_folders(raw: RawFolder) -> Reading:
    """Take folders as identities: `<identity>/<image>`, or `<split>/<identity>/<image>`.

    Raises:
        UserError: images lie where neither form has them, some folders are splits and others are not, or a
            split is empty.
    """
    images, notes = image_files(raw)
    depth = images.str.count("/")
    if (depth == 0).all():
        return read_unlabelled(raw)
    if (depth == 0).any():
        raise UserError(
            f"{int((depth == 0).sum())} images lie beside folders: {first_few(images[depth == 0].tolist())}."
            f" Where folders are identities, every image lies in one. {_OTHER_WAYS}"
        )
    top = images.str.split("/", n=1).str[0]
    splits = top.isin(SPLIT_WORDS)
    if not splits.any():
        return _identities(raw, images, notes)
    if not splits.all():
        raise UserError(
            f"{raw.root} holds splits ({first_few(sorted(top[splits].unique()))}) and other folders:"
            f" {first_few(sorted(top[~splits].unique()))}. Put these into train, query, gallery or test, or"
            " move them away."
        )
    _refuse_empty(raw, set(top))
    _refuse_depth(images, depth, 2, "<split>/<identity>/<image>")
    parts = images.str.split("/", expand=True)
    table = pd.DataFrame({PATH: images, PID: parts[1], SPLIT: parts[0]})
    first = f"Read as folders <split>/<identity>/<image>: {len(images)} images."
    return reading_of(Rows(_SOURCE, table, "", _NAMES), images, [first, *notes])


_OTHER_WAYS = "List the images in manifest.csv, or give ingestion.variant=unlabelled to read all without identities."


def _identities(raw: RawFolder, images: "pd.Series[str]", notes: list[str]) -> Reading:
    _refuse_depth(images, images.str.count("/"), 1, "<identity>/<image>")
    identity = images.str.split("/", n=1).str[0]
    if identity.nunique() == 1:
        raise UserError(
            f"All images lie in one folder, {identity.iloc[0]}/: one identity alone cannot be told from"
            f" others. If the images are unlabelled, pass --params raw_root={raw.root / identity.iloc[0]} or"
            " give ingestion.variant=unlabelled."
        )
    table = pd.DataFrame({PATH: images, PID: identity})
    first = f"Read as folders <identity>/<image>: {len(images)} images."
    return reading_of(Rows(_SOURCE, table, "", _NAMES), images, [first, *notes])


def _refuse_depth(images: "pd.Series[str]", depth: "pd.Series[int]", wanted: int, form: str) -> None:
    for wrong, words in ((depth < wanted, "not deep enough"), (depth > wanted, "too deep")):
        if wrong.any():
            raise UserError(
                f"{int(wrong.sum())} of {len(images)} images lie {words} for folders {form}:"
                f" {first_few(images[wrong].tolist())}. Move them; or pass as raw_root the folder that holds"
                f" the splits or identities. {_OTHER_WAYS}"
            )


def _refuse_empty(raw: RawFolder, used: set[str]) -> None:
    empty = [word for word in SPLIT_WORDS if word not in used and (raw.root / word).is_dir()]
    if empty:
        raise UserError(f"Folder {first_few(empty)} of {raw.root} holds no image. Put images there, or remove it.")
