"""Points in a plane as a drawing that needs no script: colour and letter for the group, shape for the camera."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

SIDE, MARGIN = 400, 14
"""Of the drawing, in its own units, which are pixels where it is 400 wide."""
SHAPES = (
    "M-4.2 0a4.2 4.2 0 1 0 8.4 0a4.2 4.2 0 1 0-8.4 0z",
    "M-3.8-3.8h7.6v7.6h-7.6z",
    "M0-5.2L4.9 3.6H-4.9z",
    "M0-5.6L5.2 0L0 5.6L-5.2 0z",
    "M-1.6-5h3.2v3.4h3.4v3.2h-3.4v3.4h-3.2v-3.4h-3.4v-3.2h3.4z",
    "M0 5.2L4.9-3.6H-4.9z",
    "M-2.6-5H2.6L5.2 0L2.6 5H-2.6L-5.2 0z",
    "M0-6L1.7-1.9L6-1.8L2.6 1L3.7 5.2L0 2.8L-3.7 5.2L-2.6 1L-6-1.8L-1.7-1.9z",
)
"""Paths of the markers, round (0, 0); the last one stands for all further cameras."""
LETTERS = "ABCDEFGHIJKL"


@dataclass(frozen=True)
class Marks:
    """The points of one group and one camera: `colour` and `shape` are numbers of colour and of `SHAPES`."""

    title: str
    colour: str
    shape: int
    places: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Letter:
    """The letter of a group, at that of its points that is nearest to all the others."""

    text: str
    colour: str
    x: str
    y: str


@dataclass(frozen=True)
class Scatter:
    """A drawing; `words` say what it shows to those who do not see it."""

    name: str
    title: str
    words: str
    marks: Sequence[Marks]
    letters: Sequence[Letter]


@dataclass(frozen=True)
class Points:
    """Points of the unit square, and of each its group and camera by number; a group of no letter has none."""

    places: Sequence[tuple[float, float]]
    group: Sequence[int]
    camera: Sequence[int]
    groups: Sequence[str]
    cameras: Sequence[str]


def scatter(points: Points, name: str, title: str, words: str) -> Scatter:
    """Return the drawing of points; `groups` beyond the twelfth are drawn in one grey, without a letter."""
    places = np.array(points.places, dtype=float).reshape(-1, 2) * (SIDE - 2 * MARGIN) + MARGIN
    group, camera = np.array(points.group), np.array(points.camera)
    marks, letters = [], []
    for number, shape in product(range(len(points.groups)), range(max(1, len(points.cameras)))):
        own = places[(group == number) & (camera == shape)]
        if len(own):
            titles = [points.groups[number], points.cameras[shape] if points.cameras else ""]
            marks.append(Marks(", ".join(filter(None, titles)), colour_of(number), shape, [*map(_written, own)]))
    for number in range(min(len(LETTERS), len(points.groups))):
        own = places[group == number]
        if len(own):
            distances = np.linalg.norm(own[:, None] - own[None], axis=2).sum(axis=1)
            letters.append(Letter(LETTERS[number], colour_of(number), *_written(own[int(distances.argmin())])))
    return Scatter(name, title, words, marks, letters)


def colour_of(group: int) -> str:
    """Return the CSS class of a group's colour."""
    return f"group-{group}" if group < len(LETTERS) else "group-others"


def _written(place: np.ndarray) -> tuple[str, str]:
    x, y = (f"{value:.1f}".removesuffix(".0") for value in place)
    return x, y
