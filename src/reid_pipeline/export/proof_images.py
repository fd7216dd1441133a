"""The images that an export is proved on: a test split with its protocol, or any images, of which nobody is known."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch.nn import functional as F

from reid_pipeline.engine.loading import check_unchanged, decoding_threads
from reid_pipeline.engine.training import known_ids
from reid_pipeline.evaluation.cross_benchmark import TestSplit
from reid_pipeline.evaluation.protocol import Draw, evaluate_draws, retrieval_draws, retrieval_rows
from reid_pipeline.images.decode import TargetSize, read_image
from reid_pipeline.schema.columns import CAMID, PATH, PID, SPLIT, VIEWID
from reid_pipeline.schema.embeddings import Embeddings
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.listed_images import ListedImages
from reid_pipeline.schema.open_set import OpenSetParameters
from reid_pipeline.schema.parameters import EvaluationParameters, Resize
from reid_pipeline.splits import white_value

Ids = tuple[np.ndarray | None, np.ndarray | None]
Filter = Resize | Literal["opencv"]
"""The filters of the pipeline, which are antialiased, and OpenCV's INTER_LINEAR, which is not."""
BATCH = 32


@dataclass(frozen=True)
class Files:
    """Image files, with camera and view of each where they are known."""

    paths: Sequence[Path]
    ids: Ids = (None, None)
    white_value: int | None = None

    def batches(self, size: tuple[int, int], resize_filter: Filter) -> Iterator[tuple[np.ndarray, Ids]]:
        """Yield uint8 pixels [B, 3, *size], and the ids of these images."""
        with ThreadPoolExecutor(decoding_threads()) as pool:
            for start in range(0, len(self.paths), BATCH):
                rows = slice(start, start + BATCH)
                decoded = pool.map(lambda path: self._pixels(path, size, resize_filter), self.paths[rows])
                pixels = np.ascontiguousarray(np.stack(list(decoded)).transpose(0, 3, 1, 2))
                camids, viewids = (None if each is None else each[rows] for each in self.ids)
                yield pixels, (camids, viewids)

    def _pixels(self, path: Path, size: tuple[int, int], resize_filter: Filter) -> np.ndarray:
        if resize_filter != "opencv":
            return read_image(path, TargetSize(*size, resize_filter, self.white_value))
        return opencv_bilinear(read_image(path, white_value=self.white_value), size)


def opencv_bilinear(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize uint8 [h, w, 3] as OpenCV's INTER_LINEAR does, but for its rounding: two pixels an axis are mixed."""
    images = torch.from_numpy(pixels).permute(2, 0, 1)[None].float()
    made = F.interpolate(images, size, mode="bilinear", align_corners=False, antialias=False)
    rounded: np.ndarray = made[0].permute(1, 2, 0).round().clamp(0, 255).to(torch.uint8).numpy()
    return rounded


@dataclass(frozen=True)
class ProofImages:
    """What an export is compared with its model on.

    Attributes:
        source: in words.
        tested: the images.
        calibration: others, that no figure is measured on, for the ranges of int8.
        score: mAP of unit vectors of `tested`; None where nobody knows who is who.
        queries: how many are asked about.
    """

    source: str
    tested: Files
    calibration: Files
    score: Callable[[np.ndarray], float] | None = field(default=None, compare=False)
    queries: int | None = None


def images_of_split(
    split: TestSplit, evaluation: EvaluationParameters, *, own: bool, calibration: int, most: int
) -> ProofImages:
    """Return the test split of a collection, by the project's own protocol.

    Args:
        split: tables and images.
        evaluation: the protocol; averages over mirror images, intervals and open-set figures are left out.
        own: whether the model was trained there; elsewhere cameras have other numbers, and it is given none.
        calibration: training images to take ranges from.
        most: test images; 0 for all, else whole identities, evenly spaced, of about so many.

    Raises:
        UserError: an image has changed since ingestion.
    """
    table, galleries = split.tables.split_table, split.tables.galleries
    left_out = {"resamples": 0, "open_set": OpenSetParameters(draws=0), "flip_averaging": False}
    protocol = evaluation.model_copy(update=left_out)
    if most:
        table = table.drop(index=table.index[_beyond(table[PID].to_numpy(), table[SPLIT].to_numpy(), most)])
        table = table.reset_index(drop=True)
        galleries = galleries[galleries[PATH].isin(table[PATH])]
    check_unchanged(table, split.raw_images, split.stamps)
    draws = retrieval_draws(table, galleries, protocol)
    rows = retrieval_rows(table, draws)

    def files(wanted: np.ndarray) -> Files:
        found = table.iloc[wanted]
        ids = (known_ids(found[CAMID]), known_ids(found[VIEWID])) if own else (None, None)
        return Files([split.raw_images.root / path for path in found[PATH]], ids, white_value(split.tables.split_table))

    def score(vectors: np.ndarray) -> float:
        return float(evaluate_draws(Embeddings(rows, vectors), table, galleries, protocol)[0]["mAP"])

    trained = np.flatnonzero((table[SPLIT] == "train").to_numpy())
    others = trained if len(trained) else rows
    return ProofImages(
        f"test split of {split.benchmark}" if draws else f"images of {split.benchmark}, of which none are tested on",
        files(rows if draws or not most else _spaced(rows, most)),
        files(_spaced(others, calibration)),
        score if draws else None,
        _queries(draws) if draws else None,
    )


def images_of_list(listed: ListedImages, *, calibration: int, most: int) -> ProofImages:
    """Return images that a user lists, of nobody; ranges are taken from some of them, too."""
    paths = [listed.root / path for path in listed.rows[PATH]]
    if not paths:
        raise UserError(f"There is no image in {listed.given}: an export is proved on some. Name a folder with images.")
    tested = [paths[row] for row in _spaced(np.arange(len(paths)), most or len(paths))]
    taken = [paths[row] for row in _spaced(np.arange(len(paths)), calibration)]
    return ProofImages(_leaving_home(listed.given), Files(tested), Files(taken))


def _leaving_home(given: str) -> str:
    """Return a path as a card may have it, which goes where its files go: without folders that lead to this one."""
    path = Path(given)
    return path.relative_to(Path.cwd()).as_posix() if path.is_relative_to(Path.cwd()) else path.name


def _queries(draws: Sequence[Draw]) -> int:
    return len(draws[0].query_rows)


def _spaced(rows: np.ndarray, count: int) -> np.ndarray:
    """Return so many of the rows, evenly spaced, or all where there are no more."""
    if len(rows) <= count:
        return rows
    return rows[np.linspace(0, len(rows) - 1, count).astype(np.int64)]


def _beyond(pids: np.ndarray, splits: np.ndarray, most: int) -> np.ndarray:
    """Return which rows of the test are of identities beyond about `most` images."""
    tested = splits != "train"
    people, counts = np.unique(pids[tested], return_counts=True)
    within = people[:: max(1, -(-int(counts.sum()) // most))]
    beyond: np.ndarray = tested & ~np.isin(pids, within)
    return beyond
