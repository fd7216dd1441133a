"""The images that a dataset page shows, as thumbnails. Imports no torch, so that ingestion starts fast."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from reid_pipeline.images.picture import PictureError, load_picture, rest_of_picture, to_rgb, upright
from reid_pipeline.reporting.contact_sheets import Picture, thumbnail
from reid_pipeline.reporting.dataset_pictures import DatasetPictures, SheetRow
from reid_pipeline.reporting.dataset_problems import named_identities, problems
from reid_pipeline.reporting.formats import counted
from reid_pipeline.schema.columns import CAMERA, DISTRACTOR_PID, IDENTITY, PATH, PID, SPLIT, SPLITS
from reid_pipeline.schema.raw_folder import RawFolder
from reid_pipeline.schema.regular_files import read_regular
from reid_pipeline.schema.summary import DatasetSummary
from reid_pipeline.splits import white_value

ROWS, IMAGES = 5, 10
"""Identities of a contact sheet, and images of each."""
MOST = 24
"""Images of a row that shows one of each identity, or images without one."""
_HEIGHT = 80  # pixels
_OF_A_PROBLEM = 4  # images of each split of an identity


def dataset_pictures(summary: DatasetSummary, split_table: pd.DataFrame, raw_images: RawFolder) -> DatasetPictures:
    """Return some images of each split and of each problem: 75 of a split at most, and what the summary lists.

    An image is read once, and no larger than its thumbnail held in memory; the same tables give the same images.
    """
    groups = {split: split_table[split_table[SPLIT] == split] for split in SPLITS}
    sheets = {split: _sheet(rows) for split, rows in groups.items() if len(rows)}
    identities = {
        name: [path for _, rows in of_one.groupby(SPLIT, sort=True) for path in _spread(rows, _OF_A_PROBLEM)[PATH]]
        for name in named_identities(summary)
        if len(of_one := split_table[(split_table[IDENTITY] == name) & (split_table[PID] > DISTRACTOR_PID)])
    }
    shown = [path for sheet in sheets.values() for row in sheet for path in row.paths]
    shown += [path for problem in problems(summary, identities) for paths in problem.paths for path in paths]
    return DatasetPictures(sheets, identities, _thumbnails(shown, raw_images.root, white_value(split_table)))


def _sheet(rows: pd.DataFrame) -> list[SheetRow]:
    """Return the contact sheet of a split: a row for each of some identities, and one of images without identity."""
    known, other = rows[rows[PID] > DISTRACTOR_PID], rows[rows[PID] <= DISTRACTOR_PID]
    return [*_identity_rows(known), *_other_rows(other)]


def _identity_rows(known: pd.DataFrame) -> list[SheetRow]:
    sizes = known.groupby(PID)[PATH].size()
    several = sizes.index[sizes > 2].to_numpy()
    if len(several) < min(ROWS, len(sizes)):  # queries have few images of an identity
        first = _spread(known.drop_duplicates(PID), MOST)
        number = f"{len(first)} of {counted(len(sizes), 'identity', 'identities')}"
        return [SheetRow(f"One image each of {number}", first[PATH].tolist())] if len(first) else []
    return [_identity_row(known[known[PID] == pid]) for pid in several[_places(len(several), ROWS)]]


def _identity_row(rows: pd.DataFrame) -> SheetRow:
    cameras = rows.loc[rows[CAMERA].fillna("") != "", CAMERA].nunique()
    seen = f", {counted(cameras, 'camera')}" if cameras else ""
    caption = f"{rows[IDENTITY].iloc[0]}: {counted(len(rows), 'image')}{seen}"
    return SheetRow(caption, _spread(rows, IMAGES)[PATH].tolist())


def _other_rows(other: pd.DataFrame) -> list[SheetRow]:
    kinds = {"Distractors": other[other[PID] == DISTRACTOR_PID], "Unlabelled": other[other[PID] < DISTRACTOR_PID]}
    return [
        SheetRow(f"{name}: {counted(len(rows), 'image')}", _spread(rows, MOST)[PATH].tolist())
        for name, rows in kinds.items()
        if len(rows)
    ]


def _spread(rows: pd.DataFrame, most: int) -> pd.DataFrame:
    return rows.iloc[_places(len(rows), most)]


def _places(number: int, most: int) -> np.ndarray:
    """Return at most `most` of the places 0 to number - 1, at equal distances."""
    return np.arange(number) if number <= most else np.arange(most) * number // most


def _thumbnails(paths: Iterable[str], root: Path, white: int | None) -> Mapping[str, Picture | None]:
    return {path: _thumbnail(root / path, white) for path in dict.fromkeys(paths)}


def _thumbnail(file: Path, white: int | None) -> Picture | None:
    """Return the picture in small, of one that is cut short what there is of it, or None."""
    try:
        content = read_regular(file)
        try:
            image = load_picture(content)
        except PictureError:
            image = rest_of_picture(content)
        return thumbnail(np.asarray(to_rgb(upright(image), white)), _HEIGHT)
    except (OSError, PictureError):
        return None
