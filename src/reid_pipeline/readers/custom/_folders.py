"""The forms without a table: folders that name identities, and images alone."""

import pandas as pd

from reid_pipeline.readers.custom._columns import SPLIT_WORDS, reading_of
from reid_pipeline.readers.custom._files import image_files
from reid_pipeline.readers.custom._rows import Rows
from reid_pipeline.schema.benchmark import Reading
from reid_pipeline.schema.columns import IDENTITY, PATH, PID, SPLIT
from reid_pipeline.schema.errors import UserError, first_few
from reid_pipeline.schema.raw_folder import RawFolder

_OTHER_WAYS = "List the images in manifest.csv, or give ingestion.variant=unlabelled to read all without identities."


def read_unlabelled(raw: RawFolder) -> Reading:
    """Take every image below the folder, at any depth, as an unlabelled training image.

    Raises:
        UserError: there is no image, or a file among them is none.
    """
    images, notes = image_files(raw)
    return _reading(images, ["Read as unlabelled images: {} images.", *notes], **{PID: ""})


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
