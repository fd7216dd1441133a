"""What becomes of a promised false-alarm rate: individuals split at random into enrolled and new, again and again.

    .venv/bin/python bench/promise.py [--collection <folder with a folder per individual>]

People and vehicles are drawn with other seeds than the demo's and embedded by the demo CLIP as it ships. Of each split
the threshold is made of the enrolled alone (`retrieval.conformal_threshold`), and a false alarm is a new individual of
which any image is above it; images of one camera never meet. The promise is held where the mean over the splits is at
most the rate and 3 standard errors.

Half of the individuals are enrolled; then 3 / rate - 1 of them, in ten times the splits: with so few a rank counts
most, and the next lower score is another one (two that are nearest to each other share theirs, and hold two ranks).
"""

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from reid_drawings import SyntheticBenchmark, SyntheticVehicles, draw_pictures
from reid_drawings.parameters import DrawnBenchmark
from reid_pipeline.retrieval.open_set import conformal_rank, conformal_threshold, split_scores

RATES = (0.1, 0.01)
IDENTITIES, SPLITS, SEED = 450, 200, 18
SIZES = {"people": (96, 48), "vehicles": (72, 72), "collection": (72, 72)}
PICTURES = (".png", ".jpg", ".jpeg")


@dataclass(frozen=True)
class Images:
    """Vectors `[N, D]` of images, whose individuals and cameras `[N]` these are; None without cameras."""

    name: str
    vectors: np.ndarray
    identities: np.ndarray
    cameras: np.ndarray | None = None


@dataclass(frozen=True)
class Row:
    """What became of a rate: means over the splits, and their standard errors."""

    images: Images
    rate: float
    enrolled: int
    threshold: float
    alarms: np.ndarray
    """Share of new individuals that are above the threshold, in each split."""
    alarms_lower: np.ndarray
    """By the threshold of the next lower rank."""

    @property
    def is_held(self) -> bool:
        return self._within(self.alarms)

    @property
    def lower_breaks(self) -> bool:
        return not self._within(self.alarms_lower)

    def _within(self, alarms: np.ndarray) -> bool:
        return bool(alarms.mean() <= self.rate + 3 * _error(alarms))

    def __str__(self) -> str:
        identities = len(np.unique(self.images.identities))
        became = "held" if self.is_held else "BROKEN", "broken" if self.lower_breaks else "held"
        return (
            f"{self.images.name:<11} {identities:>6,} {len(self.images.vectors):>7,} {self.enrolled:>8,}"
            f" {100 * self.rate:>6g} {self.threshold:>9.3f} {_shown(self.alarms)} {became[0]:>7}"
            f"  {_shown(self.alarms_lower)} {became[1]:>7}"
        )


def _error(values: np.ndarray) -> float:
    return float(np.std(values, ddof=1) / np.sqrt(len(values)))


def _shown(values: np.ndarray) -> str:
    return f"{100 * values.mean():>6.2f} ± {100 * _error(values):.2f}"


def rows_of(images: Images, rates: tuple[float, ...], *, splits: int = SPLITS) -> Iterator[Row]:
    """Yield what becomes of each rate, with half of the individuals enrolled, and with few."""
    identities = len(np.unique(images.identities))
    for rate in rates:
        for enrolled, times in ((identities // 2, 1), (round(3 / rate) - 1, 10)):
            members = _members(identities, enrolled, times * splits)
            scores = split_scores(images.vectors, images.identities, images.cameras, enrolled=members)
            yield _row(images, rate, scores, members)


def _members(identities: int, enrolled: int, splits: int) -> np.ndarray:
    """Return who is enrolled in each split, `[splits, identities]`."""
    generator = np.random.default_rng(SEED)
    order = np.stack([generator.permutation(identities) for _ in range(splits)])
    return order < enrolled


def _row(images: Images, rate: float, scores: np.ndarray, members: np.ndarray) -> Row:
    rank = conformal_rank(int(members[0].sum()), rate)
    thresholds, alarms, lower = [], [], []
    for of_split, enrolled in zip(scores, members, strict=True):
        ordered = np.sort(of_split[enrolled])
        thresholds.append(conformal_threshold(ordered, rate))
        alarms.append((of_split[~enrolled] > thresholds[-1]).mean())
        lower.append((of_split[~enrolled] > ordered[rank - 2]).mean())
    return Row(images, rate, int(members[0].sum()), float(np.mean(thresholds)), np.array(alarms), np.array(lower))


def drawn(name: str, parameters: DrawnBenchmark) -> Images:
    """Draw people or vehicles and embed them."""
    pictures = [each for each in draw_pictures(parameters) if each.identity > 0]
    with tempfile.TemporaryDirectory() as folder:
        paths = [f"{place}.jpg" for place in range(len(pictures))]
        for path, picture in zip(paths, pictures, strict=True):
            (Path(folder) / path).write_bytes(picture.data)
        vectors = embedded(Path(folder), paths, SIZES[name])
    identities, cameras = ([getattr(each, field) for each in pictures] for field in ("identity", "camera"))
    return Images(name, vectors, np.array(identities), np.array(cameras))


def collected(folder: Path) -> Images:
    """Embed a collection with a folder for each individual; it has no cameras."""
    files = sorted(file for file in folder.glob("*/*") if file.suffix.lower() in PICTURES)
    names = [file.parent.name for file in files]
    paths = [str(file.relative_to(folder)) for file in files]
    vectors = embedded(folder, paths, SIZES["collection"])
    return Images("collection", vectors, np.unique(names, return_inverse=True)[1])


def embedded(folder: Path, paths: list[str], size: tuple[int, int]) -> np.ndarray:
    """Return the embeddings of images by the demo CLIP as it ships, float32 `[N, D]`."""
    from reid_pipeline.engine.runtime import resolve_runtime
    from reid_pipeline.evaluation.extraction import extract_embeddings
    from reid_pipeline.images.reid_images import ReIDImages
    from reid_pipeline.models.reid_model import ReIDModel
    from reid_pipeline.schema.parameters import BackboneParameters, ComputeParameters

    backbone = BackboneParameters(name="demo-vit", pretrained="demo", image_size=size)
    embedder = ReIDModel.from_backbone(backbone, neck="before").embedder()
    images = ReIDImages(folder, paths, size, memory_limit=0)
    return extract_embeddings(embedder, images, resolve_runtime(ComputeParameters(device="cpu")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--collection", type=Path, help="folder with a folder for each individual, at 10 %% alone")
    parser.add_argument("--identities", type=int, default=IDENTITIES, help="people, and vehicles")
    parser.add_argument("--splits", type=int, default=SPLITS)
    parser.add_argument("--quick", action="store_true", help="few individuals: does it run?")
    given = parser.parse_args()
    identities, rates = (10, (0.5,)) if given.quick else (given.identities, RATES)
    size: dict[str, Any] = {"train_identities": 1, "test_identities": identities - 1, "seed": SEED}
    size |= {"cameras_per_identity": (2, 3), "images_per_camera": (2, 3)}
    kinds: dict[str, DrawnBenchmark] = {
        "people": SyntheticBenchmark(**size, distractors=0, junk=0),
        "vehicles": SyntheticVehicles(**size),
    }
    print("of            all  images enrolled promised threshold  new taken for known  one rank lower, all in %")
    for name, parameters in kinds.items():
        for row in rows_of(drawn(name, parameters), rates, splits=given.splits):
            print(row, flush=True)
    if given.collection is not None:
        for row in rows_of(collected(given.collection), rates[:1], splits=given.splits):
            print(row, flush=True)


if __name__ == "__main__":
    main()
