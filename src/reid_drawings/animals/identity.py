"""A drawn animal: what stays the same in all of its pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reid_drawings.animals.builds import BUILDS
from reid_drawings.palette import Colour, draw_colour, draw_name

COAT_WEIGHTS = {
    "black": 14, "brown": 16, "white": 13, "grey": 11, "beige": 11, "dark red": 6, "orange": 8, "yellow": 4, "pink": 4,
}  # fmt: skip
BRIGHT_WEIGHTS = {
    "red": 4, "yellow": 4, "blue": 4, "green": 3, "orange": 3, "white": 3, "purple": 2, "turquoise": 2,
}  # fmt: skip
_PATTERN_WEIGHTS = {"plain": 5, "striped": 5, "spotted": 5, "patched": 6, "belted": 3}
_EAR_WEIGHTS = {"pointed": 4, "drooping": 4, "round": 3}
_HORN_WEIGHTS = {"short": 3, "long": 3, "curved": 3}
BRANDS = ("ring", "cross", "triangle", "zigzag", "ladder", "arrow")
LEFT, RIGHT = -1, 1
"""Sides of an animal; the picture shows it facing to that side."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A stripe, spot or patch of the coat.

    Attributes:
        along: its middle along the trunk, 0 at the rump and 1 at the chest.
        across: its middle across the trunk, -1 at the belly and 1 at the back; stripes cross all of it.
        size: radius, or half width of a stripe, in lengths of the trunk.
        stretch: how much longer than high it is, or how far a stripe leans.
    """

    along: float
    across: float
    size: float
    stretch: float


@dataclass(frozen=True, slots=True)
class Animal:
    """An animal.

    Attributes:
        kind: one of `BUILDS`.
        build: factors of the trunk's radii, of the legs, of the neck and of the head.
        coat: colour of the coat.
        second: colour of its marks.
        pattern: `plain`, `striped`, `spotted`, `patched` or `belted`.
        wide: whether stripes or spots are few and large, not many and small.
        left: marks of the left side.
        right: marks of the right side.
        face: colour of the head, or None where it is the coat's.
        socks: colour of the lower legs, or None.
        tail: colour of the tail.
        ears: `pointed`, `drooping` or `round`.
        horns: `short`, `long`, `curved` or empty.
        collar: colour of a collar, or None.
        tag: colour of an ear tag, or None.
        tag_side: on which side the tag is.
        brand: one of `BRANDS`, or empty.
        brand_side: on which side the brand is.
    """

    kind: str
    build: tuple[float, float, float, float]
    coat: Colour
    second: Colour
    pattern: str
    wide: bool
    left: tuple[Mark, ...]
    right: tuple[Mark, ...]
    face: Colour | None
    socks: Colour | None
    tail: Colour
    ears: str
    horns: str
    collar: Colour | None
    tag: Colour | None
    tag_side: int
    brand: str
    brand_side: int

    def marks(self, side: int) -> tuple[Mark, ...]:
        """Marks of the `LEFT` or the `RIGHT` side."""
        return self.left if side == LEFT else self.right


def draw_animal_identity(generator: np.random.Generator, *, spread: float = 1.0) -> Animal:
    """Draw an animal.

    Args:
        generator: the source of randomness.
        spread: how far animals differ in colours.

    Returns:
        the animal.
    """
    kind = sorted(BUILDS)[int(generator.integers(len(BUILDS)))]
    coat = draw_colour(generator, COAT_WEIGHTS, spread=spread)
    second = draw_colour(generator, COAT_WEIGHTS, spread=spread, avoid=coat.name)
    pattern = draw_name(generator, _PATTERN_WEIGHTS)
    wide = bool(generator.random() < 0.5)
    build = generator.normal(1.0, 0.07, size=4).clip(0.84, 1.16)
    chances = generator.random(6)
    sides = np.where(generator.random(2) < 0.5, LEFT, RIGHT)
    bright = [draw_colour(generator, BRIGHT_WEIGHTS) for _ in range(2)]
    face, socks = (draw_colour(generator, COAT_WEIGHTS, spread=spread, avoid=coat.name) for _ in range(2))
    return Animal(
        kind=kind,
        build=(float(build[0]), float(build[1]), float(build[2]), float(build[3])),
        coat=coat,
        second=second,
        pattern=pattern,
        wide=wide,
        left=_draw_marks(generator, pattern, wide=wide),
        right=_draw_marks(generator, pattern, wide=wide),
        face=face if chances[0] < 0.35 else None,
        socks=socks if chances[1] < 0.35 else None,
        tail=second if generator.random() < 0.4 else coat,
        ears=draw_name(generator, _EAR_WEIGHTS),
        horns=draw_name(generator, _HORN_WEIGHTS) if chances[2] < BUILDS[kind].horned else "",
        collar=bright[0] if chances[3] < 0.25 else None,
        tag=bright[1] if chances[4] < 0.3 else None,
        tag_side=int(sides[0]),
        brand=BRANDS[int(generator.integers(len(BRANDS)))] if chances[5] < 0.25 else "",
        brand_side=int(sides[1]),
    )


def _draw_marks(generator: np.random.Generator, pattern: str, *, wide: bool) -> tuple[Mark, ...]:
    if pattern == "plain":
        return ()
    if pattern == "belted":
        return (Mark(float(generator.uniform(0.35, 0.65)), 0.0, float(generator.uniform(0.1, 0.2)), 0.0),)
    if pattern == "striped":
        count, size = (5, 0.045) if wide else (9, 0.022)
        places = (np.arange(count) + generator.uniform(0.2, 0.8, size=count)) / count
        lean = generator.normal(0.0, 0.12, size=count)
        return tuple(Mark(float(x), 0.0, size, float(tilt)) for x, tilt in zip(places, lean, strict=True))
    count, low, high = (3, 0.15, 0.26) if pattern == "patched" else (6, 0.06, 0.09) if wide else (18, 0.025, 0.045)
    along = generator.permutation((np.arange(count) + generator.uniform(0.1, 0.9, size=count)) / count)
    across = generator.uniform(-0.8, 0.95, size=count)
    sizes, stretches = generator.uniform(low, high, size=count), generator.uniform(0.8, 1.5, size=count)
    rows = zip(along.tolist(), across.tolist(), sizes.tolist(), stretches.tolist(), strict=True)
    return tuple(Mark(*row) for row in rows)
