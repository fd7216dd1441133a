"""The build of each type of vehicle: outlines seen from the side, extruded across.

Outlines run from the front's lower edge over the top to the rear's lower edge. A row is (x, z, half width): x
is a fraction of half the length, 1 at the front; z of the height, 0 on the ground; the last of half the
width.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

Outline = tuple[tuple[float, float, float], ...]
Span = tuple[float, float]

COLOURS = ("yellow", "orange", "green", "gray", "red", "blue", "white", "golden", "brown", "black")
"""VeRi-776's colours; their colorID counts from 1."""
TYPES = ("sedan", "suv", "van", "hatchback", "mpv", "pickup", "bus", "truck", "estate")
"""VeRi-776's types; their typeID counts from 1."""
VIEWPOINTS = ("front", "rear", "left", "left front", "left rear", "right", "right front", "right rear")
"""VeRi-776's viewpoints, from 0."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A type's build.

    Attributes:
        size: length, width and height in metres.
        wheel: radius of a wheel in metres.
        axles: where the axles are, as fractions of half the length.
        body: outline of the lower body, or of all of it.
        cabin: outline of what stands upon the body; empty if nothing does.
        cargo: outline of a load or its box; empty if there is none.
        glass: lower and upper edge of the side windows, as fractions of the height.
        screens: the same of the windscreen.
        panes: side windows from the front of their outline (0) to its rear (1).
        lamps: lower and upper edge of the headlamps, as fractions of the height.
        tails: the same of the tail lamps.
        rear_window: whether there is one.
    """

    size: tuple[float, float, float]
    wheel: float
    axles: tuple[float, ...]
    body: Outline
    cabin: Outline
    cargo: Outline
    glass: Span
    screens: Span
    panes: tuple[Span, ...]
    lamps: Span
    tails: Span
    rear_window: bool = True


def _body(bonnet: float, cowl: Span, tail: Span, *, low: float = 0.17) -> Outline:
    """Outline of a car's lower body: height of the bonnet's edge, place and height of cowl and tail."""
    return (
        (0.97, low, 0.90),
        (1.0, low + 0.07, 0.95),
        (1.0, bonnet - 0.12, 0.98),
        (0.95, bonnet - 0.02, 0.96),
        (0.80, bonnet + 0.04, 0.94),
        (cowl[0], cowl[1], 0.93),
        (tail[0], tail[1], 0.93),
        (-0.985, tail[1] - 0.10, 0.96),
        (-1.0, 0.36, 0.98),
        (-1.0, low + 0.09, 0.95),
        (-0.97, low, 0.90),
    )


def _cabin(cowl: Span, roof: Span, tail: Span, *, narrow: float = 0.74) -> Outline:
    """Outline of a car's cabin: place and height of the cowl, both ends of the roof, the tail."""
    return (
        (cowl[0], cowl[1] - 0.01, 0.925),
        (roof[0], 0.955, narrow + 0.02),
        (roof[0] - 0.12, 0.99, narrow - 0.03),
        (roof[1] + 0.2, 0.995, narrow - 0.03),
        (roof[1], 0.955, narrow + 0.02),
        (tail[0], tail[1] - 0.01, 0.925),
    )


_TWO, _THREE = ((0.10, 0.53), (0.56, 0.90)), ((0.08, 0.38), (0.40, 0.70), (0.72, 0.95))

SHAPES: Mapping[str, Shape] = MappingProxyType(
    {
        "sedan": Shape(
            size=(4.5, 1.8, 1.46), wheel=0.33, axles=(0.62, -0.58),
            body=_body(0.54, (0.40, 0.66), (-0.90, 0.68)),
            cabin=_cabin((0.44, 0.66), (0.06, -0.40), (-0.72, 0.68)),
            cargo=(), glass=(0.68, 0.92), screens=(0.68, 0.94), panes=_TWO,
            lamps=(0.42, 0.53), tails=(0.48, 0.61),
        ),
        "suv": Shape(
            size=(4.5, 1.88, 1.74), wheel=0.37, axles=(0.62, -0.60),
            body=_body(0.60, (0.42, 0.67), (-0.95, 0.68), low=0.19),
            cabin=_cabin((0.46, 0.67), (0.16, -0.84), (-0.97, 0.68), narrow=0.80),
            cargo=(), glass=(0.69, 0.91), screens=(0.69, 0.93), panes=_THREE,
            lamps=(0.47, 0.57), tails=(0.46, 0.64),
        ),
        "van": Shape(
            size=(4.6, 1.75, 1.98), wheel=0.33, axles=(0.64, -0.58),
            body=_body(0.46, (0.78, 0.55), (-0.97, 0.56), low=0.14),
            cabin=_cabin((0.84, 0.54), (0.54, -0.93), (-0.99, 0.56), narrow=0.84),
            cargo=(), glass=(0.60, 0.88), screens=(0.58, 0.92), panes=((0.10, 0.30),), lamps=(0.33, 0.44),
            tails=(0.36, 0.54),
        ),
        "hatchback": Shape(
            size=(3.9, 1.72, 1.5), wheel=0.31, axles=(0.62, -0.62),
            body=_body(0.55, (0.46, 0.67), (-0.94, 0.69)),
            cabin=_cabin((0.50, 0.67), (0.10, -0.66), (-0.95, 0.69)),
            cargo=(), glass=(0.69, 0.92), screens=(0.69, 0.94), panes=((0.12, 0.60), (0.63, 0.88)),
            lamps=(0.43, 0.56), tails=(0.50, 0.66),
        ),
        "mpv": Shape(
            size=(4.7, 1.85, 1.76), wheel=0.33, axles=(0.66, -0.58),
            body=_body(0.52, (0.62, 0.62), (-0.96, 0.62)),
            cabin=_cabin((0.68, 0.61), (0.20, -0.84), (-0.98, 0.62), narrow=0.80),
            cargo=(), glass=(0.64, 0.90), screens=(0.63, 0.93),
            panes=((0.16, 0.34), (0.36, 0.66), (0.68, 0.95)),
            lamps=(0.42, 0.53), tails=(0.44, 0.64),
        ),
        "pickup": Shape(
            size=(5.2, 1.85, 1.78), wheel=0.38, axles=(0.64, -0.58),
            body=_body(0.58, (0.44, 0.64), (-0.985, 0.62), low=0.21),
            cabin=_cabin((0.48, 0.64), (0.24, -0.16), (-0.24, 0.63), narrow=0.80),
            cargo=(), glass=(0.66, 0.91), screens=(0.66, 0.93), panes=((0.14, 0.55), (0.58, 0.90)),
            lamps=(0.46, 0.56), tails=(0.44, 0.60),
        ),
        "bus": Shape(
            size=(8.6, 2.4, 2.95), wheel=0.46, axles=(0.58, -0.52),
            body=(
                (0.985, 0.10, 0.95), (1.0, 0.16, 0.98), (1.0, 0.46, 1.0), (0.975, 0.88, 0.98),
                (0.95, 0.97, 0.92), (0.90, 1.0, 0.86), (-0.94, 1.0, 0.86), (-0.98, 0.97, 0.92),
                (-1.0, 0.88, 0.98), (-1.0, 0.46, 1.0), (-1.0, 0.16, 0.98), (-0.985, 0.10, 0.95),
            ),
            cabin=(), cargo=(), glass=(0.50, 0.84), screens=(0.42, 0.86),
            panes=((0.02, 0.11), (0.13, 0.30), (0.32, 0.49), (0.51, 0.68), (0.70, 0.87), (0.89, 0.98)),
            lamps=(0.20, 0.27), tails=(0.24, 0.36),
        ),
        "truck": Shape(
            size=(6.0, 2.1, 2.75), wheel=0.44, axles=(0.62, -0.55),
            body=(
                (0.985, 0.14, 0.92), (1.0, 0.20, 0.95), (1.0, 0.42, 0.95), (0.93, 0.70, 0.92),
                (0.88, 0.76, 0.86), (0.80, 0.78, 0.82), (0.50, 0.78, 0.82), (0.46, 0.76, 0.88),
                (0.44, 0.42, 0.95), (0.44, 0.14, 0.92),
            ),
            cabin=(), cargo=((0.40, 0.34, 1.0), (0.40, 1.0, 1.0), (-1.0, 1.0, 1.0), (-1.0, 0.34, 1.0)),
            glass=(0.46, 0.69), screens=(0.44, 0.70), panes=((0.12, 0.72),),
            lamps=(0.22, 0.30), tails=(0.20, 0.26),
            rear_window=False,
        ),
        "estate": Shape(
            size=(4.7, 1.8, 1.48), wheel=0.33, axles=(0.62, -0.56),
            body=_body(0.54, (0.40, 0.66), (-0.95, 0.68)),
            cabin=_cabin((0.44, 0.66), (0.08, -0.80), (-0.97, 0.68)),
            cargo=(), glass=(0.68, 0.92), screens=(0.68, 0.94), panes=_THREE,
            lamps=(0.42, 0.53), tails=(0.46, 0.64),
        ),
    }
)  # fmt: skip
