"""Viewpoints of VeRi-776, from the optional key-point files: image path first, viewpoint (0 to 7) last."""

import re
from collections.abc import Iterable

from reid_pipeline.readers._lists import matched_lines
from reid_pipeline.readers._manifest import Image
from reid_pipeline.schema.raw_folder import RawFolder

VIEWPOINTS = ("front", "rear", "left", "left front", "left rear", "right", "right front", "right rear")
"""What the numbers mean, by index."""

FILES = {
    "train": ("keypoint_train.txt", "veri_keypoint_train.txt"),
    "test": ("keypoint_test.txt", "veri_keypoint_test.txt"),
}
"""Names of the file of each half. Queries are images of the test half, under the same file names."""

_LINE = re.compile(r"(?P<path>\S+)\s(?:.*\s)?(?P<view>[0-7])")
_GRAMMAR = (
    "'<image path> <key points> <viewpoint from 0 to 7>', for example"
    " 'VeRi/image_train/0001_c001_00016450_0.jpg -1 -1 3'"
)


def read_viewpoints(raw: RawFolder, place: str, images: Iterable[Image]) -> tuple[dict[str, int], list[str]]:
    """Return viewpoints by image path, and notes on what has none.

    Args:
        raw: the folder.
        place: where the benchmark lies in it; the files lie there or at the top.
        images: all of the benchmark.

    Raises:
        UserError: a line is outside the grammar.
    """
    images = list(images)
    views: dict[str, int] = {}
    notes = []
    for half, names in FILES.items():
        candidates = [f"{where}{name}" for where in (place, "") for name in names]
        paths = [path for path in candidates if path in raw.files]
        in_half = [image.path for image in images if (image.subset == "train") == (half == "train")]
        if not paths:
            notes.append(f"No key-point file for {half} ({names[0]}): viewid is null there.")
            continue
        told, disputed = _read(raw, paths[0])
        views.update({path: told[_name(path)] for path in in_half if _name(path) in told})
        notes += _notes(paths[0], told, disputed, in_half)
    return views, notes


def _read(raw: RawFolder, path: str) -> tuple[dict[str, int], set[str]]:
    """Return viewpoints by file name, and the names that are told two; those have none."""
    told: dict[str, int] = {}
    disputed: set[str] = set()
    for _, line in matched_lines(raw, path, _LINE, _GRAMMAR):
        name = _name(line["path"])
        if told.setdefault(name, int(line["view"])) != int(line["view"]):
            disputed.add(name)
    return {name: view for name, view in told.items() if name not in disputed}, disputed


def _notes(path: str, told: dict[str, int], disputed: set[str], in_half: list[str]) -> list[str]:
    notes = []
    names = [_name(image) for image in in_half]
    without = sum(name not in told and name not in disputed for name in names)
    if without:
        notes.append(f"{path} does not mention {without:,} images; their viewid is null.")
    if disputed:
        notes.append(f"{path} gives {len(disputed):,} images two viewpoints; their viewid is null.")
    unknown = len((told.keys() | disputed) - set(names))
    if unknown:
        notes.append(f"{path} mentions {unknown:,} images that are not there.")
    return notes


def _name(path: str) -> str:
    return path.rsplit("/", 1)[-1]
