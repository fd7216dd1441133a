"""Named colours with a continuous shade around each name.

Many people share a colour name; each has a shade of it. So a drawn identity is recognised as a real one is:
by a combination of garments and by shades, not by a unique colour.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

RGB = tuple[int, int, int]

COLOURS: Mapping[str, RGB] = MappingProxyType(
    {
        "black": (34, 33, 36),
        "grey": (122, 123, 127),
        "white": (226, 225, 221),
        "dark blue": (38, 49, 92),
        "blue": (48, 96, 176),
        "light blue": (134, 176, 214),
        "red": (186, 38, 44),
        "dark red": (104, 26, 40),
        "pink": (222, 138, 164),
        "orange": (222, 116, 40),
        "yellow": (226, 194, 62),
        "green": (48, 124, 68),
        "olive": (98, 100, 58),
        "beige": (198, 178, 142),
        "brown": (104, 70, 46),
        "purple": (108, 62, 136),
        "turquoise": (52, 158, 160),
    }
)
UPPER_WEIGHTS: Mapping[str, float] = MappingProxyType(
    {
        "black": 15,
        "white": 13,
        "grey": 10,
        "dark blue": 8,
        "blue": 8,
        "light blue": 6,
        "red": 8,
        "dark red": 4,
        "pink": 5,
        "orange": 3,
        "yellow": 4,
        "green": 5,
        "olive": 4,
        "beige": 5,
        "brown": 3,
        "purple": 4,
        "turquoise": 3,
    }
)
LOWER_WEIGHTS: Mapping[str, float] = MappingProxyType(
    {
        "black": 22,
        "dark blue": 18,
        "blue": 14,
        "grey": 12,
        "beige": 9,
        "brown": 5,
        "olive": 5,
        "white": 5,
        "light blue": 4,
        "red": 3,
        "green": 2,
        "pink": 2,
    }
)
SHOE_WEIGHTS: Mapping[str, float] = MappingProxyType(
    {"black": 30, "white": 24, "brown": 14, "grey": 12, "red": 6, "blue": 6, "green": 3, "orange": 3}
)
HAIR_SHADES: Mapping[str, RGB] = MappingProxyType(
    {
        "black": (26, 22, 22),
        "dark brown": (58, 40, 30),
        "brown": (96, 66, 42),
        "blond": (190, 158, 98),
        "grey": (142, 140, 138),
        "red": (138, 66, 34),
    }
)
HAIR_WEIGHTS: Mapping[str, float] = MappingProxyType(
    {"black": 32, "dark brown": 26, "brown": 20, "blond": 12, "grey": 7, "red": 3}
)


@dataclass(frozen=True, slots=True)
class Colour:
    """A colour's name and one exact shade of it."""

    name: str
    rgb: RGB


def draw_name(generator: np.random.Generator, weights: Mapping[str, float], *, spread: float = 1.0) -> str:
    """Draw a key with chances proportional to `weights ** (1 / spread)`.

    Args:
        generator: the source of randomness.
        weights: positive weights by name.
        spread: below 1, common names get commoner; above 1, all names get nearer to equally likely.

    Returns:
        one of the names.
    """
    names = sorted(weights)
    chances = np.array([weights[name] for name in names], dtype=np.float64) ** (1.0 / max(spread, 0.05))
    return names[int(generator.choice(len(names), p=chances / chances.sum()))]


def shade_of(generator: np.random.Generator, rgb: RGB, *, spread: float = 1.0) -> RGB:
    """Draw an exact shade near a colour.

    Args:
        generator: the source of randomness.
        rgb: the colour the name stands for.
        spread: how far the shade may lie from it; 0 gives the colour itself.

    Returns:
        the shade, each channel in 0..255.
    """
    brightness = float(np.exp(generator.normal(0.0, 0.14 * spread)))
    tint = generator.normal(0.0, 7.0 * spread, size=3)
    values = np.clip(np.asarray(rgb) * brightness + tint, 8, 246)
    return int(values[0]), int(values[1]), int(values[2])


def draw_colour(
    generator: np.random.Generator, weights: Mapping[str, float], *, spread: float = 1.0, avoid: str = ""
) -> Colour:
    """Draw a named colour and its shade.

    Args:
        generator: the source of randomness.
        weights: how common each name of `COLOURS` is.
        spread: see `draw_name` and `shade_of`.
        avoid: a name that must not come out (a pattern's second colour differs from its first).

    Returns:
        the colour.
    """
    allowed = {name: weight for name, weight in weights.items() if name != avoid}
    name = draw_name(generator, allowed, spread=spread)
    return Colour(name, shade_of(generator, COLOURS[name], spread=spread))


def nearest_name(rgb: RGB, names: Mapping[str, RGB]) -> str:
    """The name whose colour lies nearest to a shade.

    Args:
        rgb: the shade.
        names: colours by name.

    Returns:
        one of the names.
    """
    return min(names, key=lambda name: sum((ours - theirs) ** 2 for ours, theirs in zip(rgb, names[name], strict=True)))
