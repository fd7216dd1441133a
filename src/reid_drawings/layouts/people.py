"""Drawn people under the names of Market-1501, DukeMTMC-reID, Occluded-Duke and MSMT17."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from reid_drawings.benchmark import draw_benchmark
from reid_drawings.parameters import SyntheticBenchmark
from reid_drawings.pictures import Picture, Subset
from reid_drawings.plan import GALLERY, QUERY, TRAIN, benchmark_images, image_name

_FOLDERS: Mapping[Subset, str] = MappingProxyType({"train": TRAIN, "query": QUERY, "gallery": GALLERY})
_SUBSETS: Mapping[str, Subset] = MappingProxyType({folder: subset for subset, folder in _FOLDERS.items()})
_HOURS = ("0303morning", "0303noon", "0303afternoon")
_ONE_IN = 4
"""Of a person's training pictures, so many make one validation picture."""


def people_pictures(parameters: SyntheticBenchmark, *, processes: int | None = None) -> list[Picture]:
    """Draw people, distractors and junk, without a layout.

    Args:
        parameters: seed, size and difficulty.
        processes: how many processes draw; None takes the cores this process may use.

    Returns:
        pictures by path in Market-1501's layout.
    """
    drawn = draw_benchmark(parameters, processes=processes)
    return [
        Picture(drawn[plan.path], _SUBSETS[plan.subset], plan.pid, plan.camera, plan.frame)
        for plan in benchmark_images(parameters)
    ]


def market1501_files(pictures: Sequence[Picture]) -> dict[str, bytes]:
    """Lay people out as Market-1501 is distributed, for example `query/0001_c2s1_046182_00.jpg`.

    Args:
        pictures: of people, distractors and junk.

    Returns:
        files by relative POSIX path, sorted by path.
    """
    files: dict[str, bytes] = {}
    for picture in pictures:
        box = 0 if picture.subset == "query" else 1
        name = image_name(picture.identity, picture.camera, 1, picture.frame, box)
        files[f"Market-1501-v15.09.15/{_FOLDERS[picture.subset]}/{name}"] = picture.data
    return dict(sorted(files.items()))


def dukemtmc_files(pictures: Sequence[Picture], *, archive: str = "DukeMTMC-reID") -> dict[str, bytes]:
    """Lay people out as DukeMTMC-reID is distributed, for example `query/0001_c2_f0046182.jpg`.

    Args:
        pictures: of people, by 8 cameras at most; no distractors, no junk.
        archive: name of the folder around all.

    Returns:
        files by relative POSIX path, sorted by path.
    """
    files = {
        f"{archive}/{_FOLDERS[picture.subset]}/"
        f"{picture.identity:04d}_c{picture.camera + 1}_f{picture.frame:07d}.jpg": picture.data
        for picture in pictures
    }
    return dict(sorted(files.items()))


def occluded_duke_files(pictures: Sequence[Picture]) -> dict[str, bytes]:
    """Lay people out as Occluded-Duke is distributed: DukeMTMC-reID's names in a folder of its own."""
    return dukemtmc_files(pictures, archive="Occluded_Duke")


def msmt17_files(pictures: Sequence[Picture], *, version: int = 1) -> dict[str, bytes]:
    """Lay people out as MSMT17 is distributed: a folder per person, and four lists.

    Args:
        pictures: of people, by 15 cameras at most; no distractors, no junk.
        version: 1, or 2, whose folders have other names.

    Returns:
        files by relative POSIX path, sorted by path.
    """
    archive = f"MSMT17_V{version}"
    halves = {"train": "train", "test": "test"} if version == 1 else {"train": "mask_train_v2", "test": "mask_test_v2"}
    files: dict[str, bytes] = {}
    lists: dict[str, list[str]] = {"train": [], "val": [], "query": [], "gallery": []}
    for picture, person, number in _numbered(pictures):
        half = "train" if picture.subset == "train" else "test"
        validation = half == "train" and number % _ONE_IN == _ONE_IN - 1
        name = f"{person:04d}/{person:04d}_{number:03d}_{picture.camera + 1:02d}_{_moment(picture)}_0.jpg"
        files[f"{archive}/{halves[half]}/{name}"] = picture.data
        lists["val" if validation else picture.subset].append(f"{name} {person}\n")
    for stem, lines in lists.items():
        files[f"{archive}/list_{stem}.txt"] = "".join(lines).encode()
    return dict(sorted(files.items()))


def msmt17_market_files(pictures: Sequence[Picture]) -> dict[str, bytes]:
    """Lay people out as MSMT17 re-packed in Market-1501's folders, for example `query/0000_c1_0003.jpg`."""
    files = {
        f"MSMT17/{_FOLDERS[picture.subset]}/{person:04d}_c{picture.camera + 1}_{number:04d}.jpg": picture.data
        for picture, person, number in _numbered(pictures)
    }
    return dict(sorted(files.items()))


def _moment(picture: Picture) -> str:
    return f"{_HOURS[picture.frame % len(_HOURS)]}_{picture.frame % 10_000:04d}"


def _numbered(pictures: Sequence[Picture]) -> Iterator[tuple[Picture, int, int]]:
    """Yield pictures with the person's number and the picture's: train and test both count people from 0."""
    for training in (True, False):
        half = [picture for picture in pictures if (picture.subset == "train") == training]
        people = {identity: n for n, identity in enumerate(sorted({picture.identity for picture in half}))}
        count = dict.fromkeys(people, 0)
        for picture in sorted(half, key=lambda picture: (picture.identity, picture.camera, picture.frame)):
            yield picture, people[picture.identity], count[picture.identity]
            count[picture.identity] += 1
