"""Drawn pictures as somebody's own data: a manifest, folders, a metadata table, a bare folder."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from io import StringIO

from reid_drawings.pictures import Picture
from reid_drawings.vehicles.shapes import VIEWPOINTS


def manifest_files(pictures: Sequence[Picture]) -> dict[str, bytes]:
    """Lay pictures out beside `manifest.csv`: path, pid, camid, viewid (of vehicles), split.

    Args:
        pictures: of people or vehicles.

    Returns:
        files by relative POSIX path, sorted by path.
    """
    named = {f"images/{name}": picture for name, picture in _named(pictures)}
    viewed = any(picture.viewpoint is not None for picture in pictures)
    header = ["path", "pid", "camid", *(["viewid"] if viewed else []), "split"]
    rows = [
        [path, picture.identity, picture.camera, *([picture.viewpoint] if viewed else []), picture.subset]
        for path, picture in named.items()
    ]
    files = {path: picture.data for path, picture in named.items()}
    return dict(sorted({**files, "manifest.csv": _csv([header, *rows])}.items()))


def folder_files(pictures: Sequence[Picture]) -> dict[str, bytes]:
    """Lay pictures out in folders `<split>/<identity>/`; the cameras get lost."""
    files = {f"{picture.subset}/{picture.identity:04d}/{name}": picture.data for name, picture in _named(pictures)}
    return dict(sorted(files.items()))


def metadata_files(pictures: Sequence[Picture]) -> dict[str, bytes]:
    """Lay pictures out beside `metadata.csv` as wildlife-datasets writes it: split into train and test.

    Args:
        pictures: of people or vehicles; those have an orientation.

    Returns:
        files by relative POSIX path, sorted by path.
    """
    viewed = any(picture.viewpoint is not None for picture in pictures)
    header = ["image_id", "identity", "path", "camera", *(["orientation"] if viewed else []), "original_split"]
    rows: list[list[object]] = [[*header]]
    files: dict[str, bytes] = {}
    for number, (name, picture) in enumerate(_named(pictures)):
        path = f"images/{name}"
        files[path] = picture.data
        facing = [] if picture.viewpoint is None else [VIEWPOINTS[picture.viewpoint]]
        split = "train" if picture.subset == "train" else "test"
        who = f"individual-{picture.identity:04d}"
        rows.append([number, who, path, f"camera-{picture.camera + 1:02d}", *facing, split])
    return dict(sorted({**files, "metadata.csv": _csv(rows)}.items()))


def unlabelled_files(pictures: Sequence[Picture]) -> dict[str, bytes]:
    """Lay pictures out in one folder, without a word about them."""
    return {name: picture.data for name, picture in _named(pictures)}


def _named(pictures: Sequence[Picture]) -> list[tuple[str, Picture]]:
    """Name pictures by a number alone, in an order that does not depend on the given one."""
    ordered = sorted(pictures, key=lambda picture: (picture.identity, picture.camera, picture.frame))
    return [(f"{number:06d}.jpg", picture) for number, picture in enumerate(ordered, 1)]


def _csv(rows: Iterable[Iterable[object]]) -> bytes:
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()
