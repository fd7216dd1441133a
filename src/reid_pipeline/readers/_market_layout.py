"""The layout that Market-1501 began: three folders, and file names that tell identity and camera."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pandas as pd

from reid_pipeline.readers._checks import check_cameras
from reid_pipeline.readers._folder import absent, only_place
from reid_pipeline.readers._manifest import Image, is_litter, manifest_of
from reid_pipeline.schema.benchmark import Benchmark
from reid_pipeline.schema.errors import UserError, first_few
from reid_pipeline.schema.raw_folder import RawFolder


def as_numbered(subset: str, number: str) -> tuple[str, int]:
    """Return identity and pid where one numbering holds for all subsets: the number itself."""
    del subset
    return number, int(number)


@dataclass(frozen=True)
class MarketLayout:
    """How one benchmark fills the layout.

    Attributes:
        benchmark: whose files they are.
        folders: folder name to subset.
        distributed_as: folders of the archive in which the three may lie, one level down.
        file_name: matches a whole file name; groups `pid` and `camera` (from 1).
        grammar: what a file name is, in words, with an example.
        identity: subset and number to identity and pid.
    """

    benchmark: Benchmark
    folders: Mapping[str, str]
    distributed_as: tuple[str, ...]
    file_name: re.Pattern[str]
    grammar: str
    identity: Callable[[str, str], tuple[str, int]] = as_numbered


def read_market_layout(raw: RawFolder, layout: MarketLayout) -> pd.DataFrame:
    """Turn the file names of three folders into a manifest, without opening a file.

    Files elsewhere than in the three folders are none of the benchmark's and are left aside. Linear in files.

    Raises:
        UserError: a folder is missing or empty, or all are there twice; a name is outside the grammar, or its
            camera is none of the benchmark's.
    """
    images = market_images(raw, layout)
    return manifest_of(images)


def market_images(raw: RawFolder, layout: MarketLayout) -> list[Image]:
    """Return the images of the three folders; see `read_market_layout`."""
    place = only_place(raw, layout.benchmark, layout.folders, layout.distributed_as)
    images: list[Image] = []
    strange: list[str] = []
    for path in raw.files:
        if not path.startswith(place):
            continue
        folder, _, name = path[len(place) :].partition("/")
        subset = layout.folders.get(folder)
        if subset is None or "/" in name or is_litter(name):
            continue
        match = layout.file_name.fullmatch(name)
        if match is None:
            strange.append(path)
            continue
        identity, pid = layout.identity(subset, match["pid"])
        images.append(Image(path, identity, pid, subset, camid=int(match["camera"]) - 1))
    _check(raw, images, strange, layout)
    return images


def _check(raw: RawFolder, images: list[Image], strange: list[str], layout: MarketLayout) -> None:
    if strange:
        raise UserError(
            f"{len(strange)} file names are not {layout.benchmark.title}'s: {first_few(strange)}."
            f" A name is {layout.grammar}. Rename or remove these files."
        )
    found = {image.subset for image in images}
    missing = [folder for folder, subset in layout.folders.items() if subset not in found]
    if missing:
        raise absent(raw, layout.benchmark, missing, layout.distributed_as)
    check_cameras(images, layout.benchmark)
