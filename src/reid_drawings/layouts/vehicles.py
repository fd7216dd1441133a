"""Drawn vehicles under the names of VeRi-776 and VehicleID."""

from __future__ import annotations

from collections.abc import Sequence

from reid_drawings.pictures import Picture
from reid_drawings.vehicles.veri import veri776_files

_ARCHIVE = "VehicleID_V1.0"
_TEST_SIZES = (800, 1600, 2400)
"""What the test lists are named after; the drawn ones hold a third, two thirds and all test vehicles."""


def veri776_archive(pictures: Sequence[Picture]) -> dict[str, bytes]:
    """Lay vehicles out as VeRi-776 is distributed, in its folder `VeRi`."""
    return {f"VeRi/{path}": data for path, data in veri776_files(pictures).items()}


def vehicleid_files(pictures: Sequence[Picture]) -> dict[str, bytes]:
    """Lay vehicles out as VehicleID is distributed: pictures, and lists of which vehicle each one shows.

    Every test list holds all vehicles of the smaller ones.

    Args:
        pictures: of vehicles; the cameras get lost.

    Returns:
        files by relative POSIX path, sorted by path.
    """
    ordered = sorted(pictures, key=lambda picture: (picture.identity, picture.camera, picture.frame))
    names = {number: f"{number:07d}" for number in range(1, len(ordered) + 1)}
    files = {f"{_ARCHIVE}/image/{names[n]}.jpg": picture.data for n, picture in enumerate(ordered, 1)}
    train = [(names[n], picture) for n, picture in enumerate(ordered, 1) if picture.subset == "train"]
    test = [(names[n], picture) for n, picture in enumerate(ordered, 1) if picture.subset != "train"]
    lists = f"{_ARCHIVE}/train_test_split"
    files[f"{lists}/train_list.txt"] = _list(train)
    vehicles = sorted({picture.identity for _, picture in test})
    for n, size in enumerate(_TEST_SIZES, 1):
        chosen = frozenset(vehicles[: -(-len(vehicles) * n // len(_TEST_SIZES))])
        files[f"{lists}/test_list_{size}.txt"] = _list([row for row in test if row[1].identity in chosen])
    return dict(sorted(files.items()))


def _list(rows: Sequence[tuple[str, Picture]]) -> bytes:
    return "".join(f"{name} {picture.identity}\n" for name, picture in rows).encode()
