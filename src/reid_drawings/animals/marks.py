"""Marks of the coat and brands, as they lie on a posed trunk."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from PIL import Image, ImageDraw

from reid_drawings.animals.identity import Animal, Mark
from reid_drawings.animals.pose import Posed
from reid_drawings.canvas import Canvas, Paint, Points

_TURNS = np.linspace(0.0, 2.0 * np.pi, 14)[:-1]
_BRANDS: Mapping[str, tuple[tuple[tuple[float, float], ...], ...]] = MappingProxyType(
    {
        "ring": (tuple((float(np.cos(turn)), float(np.sin(turn))) for turn in np.linspace(0.0, 2.0 * np.pi, 13)),),
        "cross": (((-1.0, 0.0), (1.0, 0.0)), ((0.0, -1.0), (0.0, 1.0))),
        "triangle": (((-1.0, -0.8), (1.0, -0.8), (0.0, 1.0), (-1.0, -0.8)),),
        "zigzag": (((-1.0, -0.7), (-0.5, 0.7), (0.0, -0.7), (0.5, 0.7), (1.0, -0.7)),),
        "ladder": (((-0.6, -1.0), (-0.6, 1.0)), ((0.6, -1.0), (0.6, 1.0)), ((-0.6, 0.4), (0.6, 0.4)),
                   ((-0.6, -0.4), (0.6, -0.4))),
        "arrow": (((0.0, -1.0), (0.0, 1.0)), ((-0.7, 0.3), (0.0, 1.0), (0.7, 0.3))),
    }
)  # fmt: skip
"""Lines of each brand, about its middle."""


def coat_paint(animal: Animal, side: int, posed: Posed, size: tuple[int, int]) -> Paint:
    """The paint of the trunk as it is seen from a side.

    Args:
        animal: gives the colours and the marks.
        side: `LEFT` or `RIGHT`.
        posed: its pose.
        size: width and height of the canvas.

    Returns:
        the paint.
    """
    if animal.pattern == "plain":
        return Paint(animal.coat.rgb)
    mask = Image.new("L", size, 0)
    draw = ImageDraw.Draw(mask)
    crosses = animal.pattern in ("striped", "belted")
    for mark in animal.marks(side):
        corners = _stripe(mark, posed) if crosses else _spot(mark, posed)
        draw.polygon(posed.place(corners).ravel().tolist(), fill=255)
    return Paint(animal.coat.rgb, animal.second.rgb, mask)


def _stripe(mark: Mark, posed: Posed) -> Points:
    high = 1.2 * posed.radius_at(mark.along)
    rows = [(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)]
    corners = [(mark.along + x * mark.size + y * mark.stretch, posed.leg + y * high) for x, y in rows]
    return np.array(corners, dtype=np.float64)


def _spot(mark: Mark, posed: Posed) -> Points:
    middle = np.array([mark.along, posed.leg + mark.across * posed.radius_at(mark.along)])
    around = np.stack([np.cos(_TURNS) * mark.stretch, np.sin(_TURNS)], axis=1)
    return np.asarray(middle + mark.size * around, dtype=np.float64)


def draw_brand(canvas: Canvas, animal: Animal, posed: Posed) -> None:
    """Draw an animal's brand upon its rump: light on a dark coat, dark on a light one."""
    ink = (238, 234, 226) if sum(animal.coat.rgb) < 330 else (24, 20, 20)
    size = 0.5 * posed.radius_at(0.2)
    middle = np.array([0.22, posed.leg + 0.25 * posed.radius_at(0.2)])
    for line in _BRANDS[animal.brand]:
        canvas.line(posed.place(middle + size * np.array(line)), ink, width=max(3, round(0.035 * posed.scale)))
