"""Form (c): a metadata table as wildlife-datasets writes it."""

import pandas as pd

from reid_pipeline.readers.custom._paths import files_named_by
from reid_pipeline.readers.custom._reading import reading_of
from reid_pipeline.readers.custom._rows import Rows
from reid_pipeline.readers.custom._table import check_columns, extra_columns_note, text_of
from reid_pipeline.schema.benchmark import Reading
from reid_pipeline.schema.columns import CAMID, IDENTITY, PATH, PID, SPLIT, VIEWID
from reid_pipeline.schema.raw_folder import RawFolder

FILES = ("metadata.csv", "metadata.parquet")
SPLIT_COLUMNS = ("original_split", "split")  # the second is what its merged collections call it

_REQUIRED = (PATH, IDENTITY)
_CAMERA, _ORIENTATION = "camera", "orientation"
_UNKNOWN = "unknown"  # what wildlife-datasets writes for an individual that is not known
_ALLOWED = ("train", "val", "query", "gallery", "test")
_ALIASES = {
    **dict.fromkeys(("file", "filename", "filepath", "image", "imagepath"), PATH),
    **dict.fromkeys(("pid", "id", "individual", "label", "name"), IDENTITY),
    **dict.fromkeys(("cam", "camid", "cameraid", "cameras"), _CAMERA),
    **dict.fromkeys(("view", "viewid", "viewpoint"), _ORIENTATION),
    **dict.fromkeys(("subset", "set"), SPLIT_COLUMNS[0]),
}


def read_metadata(raw: RawFolder, rows: Rows, notes: list[str]) -> Reading:
    """Turn a metadata table into the manifest of the project.

    Args:
        raw: the folder that the paths are below.
        rows: the table as it was loaded.
        notes: what was noted when it was loaded.

    Raises:
        UserError: a column, a path or a value is wrong; the message says where.
    """
    split = next((name for name in SPLIT_COLUMNS if name in rows.table), SPLIT_COLUMNS[0])
    optional = (_CAMERA, _ORIENTATION, split)
    extra = check_columns(rows, required=_REQUIRED, optional=optional, aliases=_ALIASES)
    ours = {PATH: PATH, IDENTITY: PID, _CAMERA: CAMID, _ORIENTATION: VIEWID, split: SPLIT}
    known = [name for name in ours if name in rows.table]
    table = rows.table[known].apply(text_of).rename(columns=ours)
    boxes = " Cut the individuals of one picture out into files of their own." if "bbox" in extra else ""
    path, path_notes = files_named_by(Rows(rows.source, table, rows.unit), raw, if_twice=boxes)
    meanings = _without_unknown(table) + _val_to_train(table)
    first = f"Read as a metadata table of wildlife-datasets: {rows.source}, {len(path)} images."
    if "bbox" in extra:
        path_notes.append("Images are taken whole; bbox is not read.")
    return reading_of(
        Rows(rows.source, table, rows.unit, {ours[name]: name for name in known}),
        path,
        [first, *notes, *extra_columns_note(extra), *path_notes, *meanings],
        allowed=_ALLOWED,
    )


def _without_unknown(table: pd.DataFrame) -> list[str]:
    """Empty, in place, the cells that say that nobody is known; return a note."""
    unknown = table[PID].str.strip().str.casefold() == _UNKNOWN
    table.loc[unknown, PID] = ""
    count = int(unknown.sum())
    return [f"{count} images have identity 'unknown': nobody is known there."] if count else []


def _val_to_train(table: pd.DataFrame) -> list[str]:
    """Make, in place, validation images training images; return a note."""
    if SPLIT not in table:
        return []
    validation = table[SPLIT].str.strip() == "val"
    table.loc[validation, SPLIT] = "train"
    count = int(validation.sum())
    return [f"{count} images of val were joined to train."] if count else []
