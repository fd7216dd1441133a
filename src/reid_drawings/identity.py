"""A drawn person: all that stays the same from camera to camera."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reid_drawings.palette import (
    HAIR_SHADES,
    HAIR_WEIGHTS,
    LOWER_WEIGHTS,
    RGB,
    SHOE_WEIGHTS,
    UPPER_WEIGHTS,
    Colour,
    draw_colour,
    draw_name,
    shade_of,
)

SKINS: tuple[RGB, ...] = ((236, 196, 170), (222, 174, 142), (196, 146, 110), (150, 102, 72), (98, 66, 48))
UPPER_KINDS = {"t-shirt": 30, "shirt": 18, "sweater": 12, "hoodie": 12, "jacket": 16, "coat": 8, "tank top": 4}
LOWER_KINDS = {"jeans": 36, "trousers": 28, "shorts": 22, "skirt": 14}
PATTERNS = {
    "plain": 56,
    "striped": 16,
    "vertically striped": 5,
    "checked": 10,
    "dotted": 5,
    "two-coloured": 6,
    "camouflage": 2,
}
LOWER_PATTERNS = {"plain": 84, "striped": 4, "checked": 6, "dotted": 3, "camouflage": 3}
PRINTS = ("square", "round", "letters", "band")
LONG_SLEEVED = frozenset({"sweater", "hoodie", "jacket", "coat"})
OPENABLE = frozenset({"shirt", "hoodie", "jacket", "coat"})
JEANS_WEIGHTS = {"blue": 30, "dark blue": 38, "light blue": 14, "black": 12, "grey": 6}


@dataclass(frozen=True, slots=True)
class Build:
    """Body shape, as factors of an average body.

    Attributes:
        height: height in the picture; a taller person fills more of a crop of the same camera.
        width: width of torso and limbs.
        belly: extra depth at the waist, 0 for none.
        hips: width of the hips relative to the shoulders.
        legs: length of the legs relative to the body.
        head: size of the head.
    """

    height: float
    width: float
    belly: float
    hips: float
    legs: float
    head: float


@dataclass(frozen=True, slots=True)
class Hair:
    """Hair: its style (`bald`, `short`, `bob`, `long`, `ponytail`, `bun`), colour and length."""

    style: str
    colour: Colour
    length: float


@dataclass(frozen=True, slots=True)
class Garment:
    """One garment: kind, colours, pattern and the pattern's period in body heights."""

    kind: str
    colour: Colour
    pattern: str
    second: Colour
    period: float
    length: float


@dataclass(frozen=True, slots=True)
class Accessories:
    """What is seen from some sides only.

    Attributes:
        backpack: its colour; seen from the back and partly from the side.
        shoulder_bag: its colour; it hangs on one side.
        bag_side: +1 where the bag hangs on the person's left, -1 on the right.
        inner_shirt: colour of the shirt that an open jacket shows in front.
        chest_print: colour of the print on the chest; front only.
        print_shape: shape of that print.
        hat: its colour.
    """

    backpack: Colour | None
    shoulder_bag: Colour | None
    bag_side: int
    inner_shirt: Colour | None
    chest_print: Colour | None
    print_shape: str
    hat: Colour | None


@dataclass(frozen=True, slots=True)
class Identity:
    """A person to draw.

    `upper.length` is the sleeve's (0 none, 1 to the wrist), `lower.length` the height of the hem.
    """

    gender: str
    build: Build
    skin: RGB
    hair: Hair
    upper: Garment
    lower: Garment
    shoes: Colour
    accessories: Accessories


def draw_identity(generator: np.random.Generator, *, spread: float = 1.0) -> Identity:
    """Draw a person.

    Args:
        generator: the source of randomness.
        spread: how different people are: below 1, common colours get commoner, shades and body shapes closer
            and patterns and accessories rarer; 1 is the default world.

    Returns:
        the person.
    """
    gender = "woman" if generator.random() < 0.48 else "man"
    build = _draw_build(generator, gender, spread)
    skin = shade_of(generator, SKINS[int(generator.choice(5, p=[0.3, 0.3, 0.2, 0.12, 0.08]))], spread=0.4)
    hair = _draw_hair(generator, gender)
    upper = _draw_upper(generator, spread)
    lower = _draw_lower(generator, gender, spread)
    shoes = draw_colour(generator, SHOE_WEIGHTS, spread=spread)
    return Identity(gender, build, skin, hair, upper, lower, shoes, _draw_accessories(generator, upper, spread))


def _draw_build(generator: np.random.Generator, gender: str, spread: float) -> Build:
    values = generator.normal(0.0, 1.0, size=6).clip(-2, 2) * min(spread, 1.5)
    woman = gender == "woman"
    return Build(
        height=float(1.0 + 0.03 * values[0] - (0.02 if woman else 0.0)),
        width=float(np.exp(0.13 * values[1]) * (0.93 if woman else 1.04)),
        belly=float(max(0.0, 0.022 * values[2])),
        hips=float((1.08 if woman else 0.94) + 0.05 * values[3]),
        legs=float(1.0 + 0.035 * values[4]),
        head=float(1.0 + 0.05 * values[5]),
    )


def _draw_hair(generator: np.random.Generator, gender: str) -> Hair:
    if gender == "woman":
        styles = {"short": 10, "bob": 22, "long": 38, "ponytail": 20, "bun": 10}
    else:
        styles = {"short": 78, "bald": 12, "bob": 6, "long": 2, "ponytail": 2}
    style = draw_name(generator, styles)
    name = draw_name(generator, HAIR_WEIGHTS)
    length = float(generator.uniform(0.09, 0.24))
    return Hair(style, Colour(name, shade_of(generator, HAIR_SHADES[name], spread=0.7)), length)


def _draw_pattern(generator: np.random.Generator, patterns: dict[str, int], spread: float) -> str:
    if generator.random() > min(1.0, 0.5 + 0.5 * spread):
        return "plain"
    return draw_name(generator, patterns)


def _draw_upper(generator: np.random.Generator, spread: float) -> Garment:
    kind = draw_name(generator, UPPER_KINDS)
    colour = draw_colour(generator, UPPER_WEIGHTS, spread=spread)
    second = draw_colour(generator, UPPER_WEIGHTS, spread=max(spread, 1.0), avoid=colour.name)
    pattern = _draw_pattern(generator, PATTERNS, spread)
    if kind == "tank top":
        sleeve = 0.0
    elif kind in LONG_SLEEVED or (kind == "shirt" and generator.random() < 0.6):
        sleeve = 1.0
    else:
        sleeve = float(generator.uniform(0.3, 0.5))
    return Garment(kind, colour, pattern, second, float(generator.uniform(0.032, 0.085)), sleeve)


def _draw_lower(generator: np.random.Generator, gender: str, spread: float) -> Garment:
    kinds = dict(LOWER_KINDS)
    if gender == "man":
        del kinds["skirt"]
    kind = draw_name(generator, kinds)
    weights = JEANS_WEIGHTS if kind == "jeans" else LOWER_WEIGHTS
    colour = draw_colour(generator, weights, spread=spread)
    second = draw_colour(generator, UPPER_WEIGHTS, spread=1.0, avoid=colour.name)
    pattern = "plain" if kind == "jeans" else _draw_pattern(generator, LOWER_PATTERNS, spread)
    hem = float(generator.uniform(0.24, 0.40)) if kind in ("shorts", "skirt") else 0.05
    return Garment(kind, colour, pattern, second, float(generator.uniform(0.03, 0.07)), hem)


def _draw_accessories(generator: np.random.Generator, upper: Garment, spread: float) -> Accessories:
    chance = min(1.3, 0.3 + 0.7 * spread)
    carried = generator.random()
    side = 1 if generator.random() < 0.5 else -1
    open_front = upper.kind in OPENABLE and generator.random() < 0.45 * chance
    printed = not open_front and upper.pattern == "plain" and generator.random() < 0.5 * chance
    hat = generator.random() < 0.12 * chance
    colours = [
        draw_colour(generator, UPPER_WEIGHTS, spread=max(spread, 0.7), avoid=upper.colour.name) for _ in range(4)
    ]
    return Accessories(
        backpack=colours[0] if carried < 0.3 * chance else None,
        shoulder_bag=colours[1] if 1.0 - 0.22 * chance < carried else None,
        bag_side=side,
        inner_shirt=colours[2] if open_front else None,
        chest_print=colours[3] if printed else None,
        print_shape=PRINTS[int(generator.integers(len(PRINTS)))],
        hat=draw_colour(generator, UPPER_WEIGHTS, spread=spread) if hat else None,
    )
