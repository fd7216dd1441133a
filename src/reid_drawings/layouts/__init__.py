"""Drawn people and vehicles in the layout of every benchmark that can be read, and of one's own data.

`draw_layout` draws and names; the functions of `people`, `vehicles` and `own` only name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from reid_drawings.layouts.own import folder_files, manifest_files, metadata_files, unlabelled_files
from reid_drawings.layouts.people import (
    dukemtmc_files,
    market1501_files,
    msmt17_files,
    msmt17_market_files,
    occluded_duke_files,
    people_pictures,
)
from reid_drawings.layouts.vehicles import vehicleid_files, veri776_archive
from reid_drawings.parameters import DrawnBenchmark, SyntheticBenchmark, SyntheticVehicles
from reid_drawings.pictures import Picture
from reid_drawings.vehicles.benchmark import vehicle_pictures

__all__ = ["LAYOUTS", "draw_layout", "drawn_pictures"]

_ANY, _PEOPLE, _VEHICLES = DrawnBenchmark, SyntheticBenchmark, SyntheticVehicles


@dataclass(frozen=True, slots=True)
class _Layout:
    """A layout: of what, by which function, and how many cameras its file names can tell."""

    of: type[DrawnBenchmark]
    files: Callable[[Sequence[Picture]], dict[str, bytes]]
    cameras: int | None = None


_MARKET1501 = "market1501"
_LAYOUTS: Mapping[str, _Layout] = MappingProxyType(
    {
        _MARKET1501: _Layout(_PEOPLE, market1501_files),
        "dukemtmc": _Layout(_PEOPLE, dukemtmc_files, cameras=8),
        "occluded_duke": _Layout(_PEOPLE, occluded_duke_files, cameras=8),
        "msmt17_v1": _Layout(_PEOPLE, lambda pictures: msmt17_files(pictures, version=1), cameras=15),
        "msmt17_v2": _Layout(_PEOPLE, lambda pictures: msmt17_files(pictures, version=2), cameras=15),
        "msmt17_market": _Layout(_PEOPLE, msmt17_market_files, cameras=15),
        "veri776": _Layout(_VEHICLES, veri776_archive, cameras=20),
        "vehicleid": _Layout(_VEHICLES, vehicleid_files),
        "custom_manifest": _Layout(_ANY, manifest_files),
        "custom_folders": _Layout(_ANY, folder_files),
        "custom_metadata": _Layout(_ANY, metadata_files),
        "custom_unlabelled": _Layout(_ANY, unlabelled_files),
    }
)
LAYOUTS = tuple(_LAYOUTS)
"""Layouts that can be drawn: a reader's name, and its variant where it has several."""


def draw_layout(
    layout: str, parameters: DrawnBenchmark | None = None, *, processes: int | None = None
) -> dict[str, bytes]:
    """Draw people or vehicles as files of a layout.

    Args:
        layout: one of `LAYOUTS`.
        parameters: what is drawn: `SyntheticBenchmark` for people, `SyntheticVehicles` for vehicles; the
            layouts of own data take either. None takes the defaults of what the layout holds, of people if
            either.
        processes: how many processes draw; None takes the cores this process may use. The files do not
            depend on it.

    Returns:
        files by relative POSIX path, sorted by path, in the folder that the archive has. Distractors and junk
        are in `market1501` only.

    Raises:
        ValueError: there is no such layout, it is not of what the parameters draw, or its file names cannot
            tell so many cameras.
    """
    if layout not in LAYOUTS:
        raise ValueError(f"There is no layout {layout!r}. Layouts are: {', '.join(LAYOUTS)}.")
    found = _LAYOUTS[layout]
    given = parameters or (SyntheticVehicles() if found.of is _VEHICLES else SyntheticBenchmark())
    if not isinstance(given, found.of):
        raise ValueError(f"Layout {layout} is drawn from {found.of.__name__}, and {type(given).__name__} was given.")
    if found.cameras is not None and given.num_cameras > found.cameras:
        raise ValueError(
            f"Layout {layout} has {found.cameras} cameras at most, and num_cameras is {given.num_cameras}."
        )
    pictures = drawn_pictures(given, processes=processes)
    return found.files([picture for picture in pictures if picture.identity > 0 or layout == _MARKET1501])


def drawn_pictures(parameters: DrawnBenchmark, *, processes: int | None = None) -> list[Picture]:
    """Draw people or vehicles, without a layout.

    Args:
        parameters: what is drawn.
        processes: how many processes draw; None takes the cores this process may use.

    Returns:
        pictures of people, distractors and junk, or of vehicles.

    Raises:
        ValueError: the parameters are neither of the two.
    """
    if isinstance(parameters, SyntheticVehicles):
        return vehicle_pictures(parameters, processes=processes)
    if isinstance(parameters, SyntheticBenchmark):
        return people_pictures(parameters, processes=processes)
    raise ValueError(f"{type(parameters).__name__} cannot be drawn: give SyntheticBenchmark or SyntheticVehicles.")
