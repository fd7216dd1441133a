"""A drawn vehicle: what stays the same in all of its pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from reid_drawings.palette import RGB, draw_name, shade_of
from reid_drawings.vehicles.shapes import SHAPES

PAINTS: Mapping[str, RGB] = MappingProxyType(
    {
        "yellow": (218, 180, 46),
        "orange": (216, 110, 36),
        "green": (44, 116, 72),
        "gray": (122, 124, 128),
        "red": (174, 34, 40),
        "blue": (42, 80, 162),
        "white": (224, 224, 220),
        "golden": (186, 160, 106),
        "brown": (98, 68, 48),
        "black": (34, 34, 37),
    }
)
_PAINT_WEIGHTS = {
    "white": 16, "black": 14, "gray": 13, "red": 11, "blue": 11, "golden": 7, "yellow": 7, "green": 7,
    "brown": 7, "orange": 6,
}  # fmt: skip
_TYPE_WEIGHTS = {
    "sedan": 16, "suv": 14, "hatchback": 13, "mpv": 10, "van": 11, "estate": 9, "pickup": 10, "truck": 9,
    "bus": 8,
}  # fmt: skip
LABELS: Mapping[str, RGB] = MappingProxyType(
    {
        "white": (232, 232, 228),
        "red": (210, 44, 40),
        "yellow": (236, 196, 52),
        "blue": (40, 96, 186),
        "green": (44, 142, 76),
        "black": (28, 28, 30),
        "orange": (226, 122, 40),
    }
)
_LABEL_COLOURS = tuple(LABELS.values())
_RIMS: Mapping[str, RGB] = MappingProxyType(
    {"silver": (176, 178, 182), "dark": (62, 62, 66), "white": (214, 214, 212), "bronze": (138, 108, 70)}
)
_RIM_WEIGHTS = {"silver": 5, "dark": 3, "white": 1, "bronze": 1}
DARK_TRIM: RGB = (48, 48, 50)
GLASS: RGB = (88, 102, 112)
"""Of a window that is not tinted."""
_PLATES: tuple[RGB, ...] = ((44, 74, 150), (222, 188, 60), (226, 226, 222), (60, 140, 90))


@dataclass(frozen=True, slots=True)
class Sticker:
    """Something stuck or painted on one side, or a dent.

    Attributes:
        side: `left`, `right`, `front`, `rear`, `windscreen` or `rear window`.
        place: along and up the side, fractions of its size about its middle, -1 to 1.
        size: width and height in metres.
        colour: of it.
        inner: colour of a smaller piece upon it, or None.
    """

    side: str
    place: tuple[float, float]
    size: tuple[float, float]
    colour: RGB
    inner: RGB | None


@dataclass(frozen=True, slots=True)
class Vehicle:
    """A vehicle.

    Attributes:
        type: one of `shapes.TYPES`.
        colour: one of `shapes.COLOURS`.
        paint: exact shade of the colour.
        roof: colour of the roof: the paint, but for a two-tone vehicle.
        trim: colour of bumpers and sills.
        glass: colour of the windows; dark where they are tinted.
        stretch: factors of length, width and height.
        rim: colour of the wheels.
        spokes: their number; 0 for a plain cap.
        grille: half width as a fraction of the half width; lower and upper edge, of the lamps' height.
        lamp: width of a lamp as a fraction of the half width.
        rack: colour of roof rails, or None.
        roof_box: colour of a box on the roof, or None.
        sunroof: whether there is one.
        stripe: colour of a stripe, or None.
        stripe_place: `sides`, `bonnet` or `sill`.
        cargo: colour of a load or its box.
        loaded: whether an open bed has a load.
        plate: ground of the licence plate.
        plate_marks: widths of the unreadable marks on it, as fractions.
        stickers: labels and dents.
    """

    type: str
    colour: str
    paint: RGB
    roof: RGB
    trim: RGB
    glass: RGB
    stretch: tuple[float, float, float]
    rim: RGB
    spokes: int
    grille: tuple[float, float, float]
    lamp: float
    rack: RGB | None
    roof_box: RGB | None
    sunroof: bool
    stripe: RGB | None
    stripe_place: str
    cargo: RGB
    loaded: bool
    plate: RGB
    plate_marks: tuple[float, ...]
    stickers: tuple[Sticker, ...]


def draw_vehicle_identity(generator: np.random.Generator, *, spread: float = 1.0) -> Vehicle:
    """Draw a vehicle.

    Args:
        generator: the source of randomness.
        spread: how far vehicles differ in paint, build and marks.

    Returns:
        the vehicle.
    """
    kind = draw_name(generator, _TYPE_WEIGHTS, spread=spread)
    colour = draw_name(generator, _PAINT_WEIGHTS, spread=spread)
    paint = shade_of(generator, PAINTS[colour], spread=0.5 + 0.35 * spread)
    build = generator.normal(1.0, 0.03, size=3).clip(0.93, 1.07)
    labels = tuple(_LABEL_COLOURS[int(i)] for i in generator.integers(len(_LABEL_COLOURS), size=5))
    chances = generator.random(8) / min(1.4, 0.4 + 0.4 * spread)
    tint = float(generator.uniform(0.25, 1.0))
    return Vehicle(
        type=kind,
        colour=colour,
        paint=paint,
        roof=labels[0] if chances[0] < 0.16 else paint,
        trim=DARK_TRIM if chances[1] < 0.4 else _mixed(paint, 0.9),
        glass=_mixed(GLASS, tint),
        stretch=(float(build[0]), float(build[1]), float(build[2])),
        rim=shade_of(generator, _RIMS[draw_name(generator, _RIM_WEIGHTS)]),
        spokes=(0, 5, 6, 8)[int(generator.integers(4))],
        grille=_draw_grille(generator),
        lamp=float(generator.uniform(0.2, 0.36)),
        rack=((38, 38, 40) if labels[1][0] < 100 else (178, 180, 184)) if chances[2] < 0.3 else None,
        roof_box=(28, 28, 30) if chances[3] < 0.1 else None,
        sunroof=bool(chances[4] < 0.25),
        stripe=labels[2] if chances[5] < 0.34 else None,
        stripe_place=("sides", "bonnet", "sill")[int(generator.integers(3))],
        cargo=_draw_cargo(generator, paint),
        loaded=bool(chances[6] < 0.5),
        plate=_PLATES[int(generator.choice(len(_PLATES), p=(0.5, 0.25, 0.15, 0.1)))],
        plate_marks=tuple(float(width) for width in generator.uniform(0.4, 1.0, size=5)),
        stickers=_draw_stickers(generator, kind, paint, spread),
    )


def _mixed(colour: RGB, factor: float) -> RGB:
    return int(colour[0] * factor), int(colour[1] * factor), int(colour[2] * factor)


def _draw_grille(generator: np.random.Generator) -> tuple[float, float, float]:
    middle, half = generator.uniform(-0.3, 0.6), generator.uniform(0.25, 0.6)
    return float(generator.uniform(0.25, 0.55)), float(middle - half), float(middle + half)


def _draw_cargo(generator: np.random.Generator, paint: RGB) -> RGB:
    if generator.random() < 0.25:
        return paint
    return shade_of(generator, _LABEL_COLOURS[int(generator.integers(len(_LABEL_COLOURS)))], spread=1.0)


def _draw_stickers(generator: np.random.Generator, kind: str, paint: RGB, spread: float) -> tuple[Sticker, ...]:
    size = 1.7 if SHAPES[kind].size[0] > 5.5 else 1.0
    sides = ("left", "right", "front", "rear", "windscreen", "rear window")
    found = []
    for side in sides:
        for _ in range(int(generator.poisson(0.3 + 0.35 * spread))):
            dent = side in sides[:4] and generator.random() < 0.35
            width = float(generator.uniform(0.12, 0.4 if side in sides[4:] else 0.75)) * size
            high = float(generator.uniform(0.1, 0.26)) * size
            label = _LABEL_COLOURS[int(generator.integers(len(_LABEL_COLOURS)))]
            inner = _LABEL_COLOURS[int(generator.integers(len(_LABEL_COLOURS)))]
            place = generator.uniform(-0.8, 0.8, size=2)
            found.append(
                Sticker(
                    side=side,
                    place=(float(place[0]), float(place[1])),
                    size=(width, high),
                    colour=_mixed(paint, 0.62) if dent else label,
                    inner=None if dent or generator.random() < 0.5 else inner,
                )
            )
    return tuple(found)
