"""Solids of a vehicle's model: convex outlines extruded across, and flat pieces that lie upon them.

Axes in metres: x to the vehicle's front, y to its left, z up from the ground; the origin is below its middle.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reid_drawings.palette import RGB

Points = NDArray[np.float64]
Spot = tuple[float, float]
LEFT, RIGHT = 1.0, -1.0
_LIFT = 0.004
"""Metres by which flat pieces stand off the surface below them."""


@dataclass(frozen=True, slots=True)
class Surface:
    """A flat polygon that is seen from one side only.

    Attributes:
        corners: `[n, 3]`, counterclockwise to whom sees it.
        colour: its own colour.
        gloss: factor of the light upon it.
    """

    corners: Points
    colour: RGB
    gloss: float = 1.0


@dataclass(frozen=True, slots=True)
class Part:
    """Surfaces that are drawn in their order, those of a convex solid first.

    Attributes:
        layer: parts of a lower layer are drawn before; within a layer the farther ones are.
        centre: of the part `[3]`.
        surfaces: what is drawn.
    """

    layer: int
    centre: Points
    surfaces: tuple[Surface, ...]


class Solid:
    """An outline in x and z, extruded across a middle plane.

    Attributes:
        rows: x, z and half width of the outline's corners `[n, 3]`, from the front's lower edge over the
            top to the rear's lower edge, convex.
        middle: y of the middle plane.
    """

    def __init__(
        self, outline: Iterable[Sequence[float]], scale: Sequence[float] = (1.0, 1.0, 1.0), *, middle: float = 0.0
    ) -> None:
        """Scale an outline.

        Args:
            outline: rows of x, z and half width.
            scale: factors of the three.
            middle: y of the middle plane.
        """
        self.rows = np.asarray(list(outline), dtype=np.float64) * np.asarray(scale)
        self.middle = middle
        top = int(np.argmax(self.rows[:, 1]))
        self._front = self.rows[: top + 1]
        self._rear = self.rows[::-1][: len(self.rows) - top]
        self._across = self.rows[np.argsort(self.rows[:, 1], kind="stable")]

    @property
    def centre(self) -> Points:
        """Its middle `[3]`."""
        return np.array([self.rows[:, 0].mean(), self.middle, self.rows[:, 1].mean()])

    def half_at(self, z: float) -> float:
        """Half its width at a height."""
        return float(np.interp(z, self._across[:, 1], self._across[:, 2]))

    def front_at(self, z: float) -> float:
        """The x of its front at a height."""
        return float(np.interp(z, self._front[:, 1], self._front[:, 0]))

    def rear_at(self, z: float) -> float:
        """The x of its rear at a height."""
        return float(np.interp(z, self._rear[:, 1], self._rear[:, 0]))

    def top_at(self, x: float) -> float:
        """The z of its upper edge at a place along it."""
        upper = self.rows[self.rows[:, 1] > self.rows[:, 1].min() + 1e-9]
        upper = upper if len(upper) > 1 else self.rows
        return float(np.interp(-x, -upper[:, 0], upper[:, 1]))

    def surfaces(self, colour: RGB) -> list[Surface]:
        """Its sides and the strips between them.

        Args:
            colour: of all of them.

        Returns:
            the surfaces; the lower side, which nobody sees, is left out.
        """
        x, z, half = self.rows.T
        left = np.stack([x, self.middle + half, z], axis=1)
        right = np.stack([x, self.middle - half, z], axis=1)
        found = [Surface(left[::-1], colour), Surface(right, colour)]
        for i in range(len(self.rows) - 1):
            strip = np.stack([right[i], left[i], left[i + 1], right[i + 1]])
            found.append(Surface(strip, colour))
        return found

    def on_side(self, side: float, spots: Sequence[Spot], colour: RGB, *, gloss: float = 1.0) -> Surface:
        """Lay a piece upon a side.

        Args:
            side: `LEFT` or `RIGHT`.
            spots: its corners, as x and z.
            colour: its colour.
            gloss: factor of its light.

        Returns:
            the surface.
        """
        corners = np.array([[x, self.middle + side * (self.half_at(z) + _LIFT), z] for x, z in spots])
        return _facing(corners, np.array([0.0, side, 0.0]), colour, gloss)

    def on_front(self, spots: Sequence[Spot], colour: RGB, *, gloss: float = 1.0) -> Surface:
        """Lay a piece upon the front; corners are y, as a fraction of the half width there, and z."""
        corners = np.array([[self.front_at(z) + _LIFT, self._across_at(y, z), z] for y, z in spots])
        return _facing(corners, np.array([1.0, 0.0, 0.2]), colour, gloss)

    def on_rear(self, spots: Sequence[Spot], colour: RGB, *, gloss: float = 1.0) -> Surface:
        """Lay a piece upon the rear; corners are y, as a fraction of the half width there, and z."""
        corners = np.array([[self.rear_at(z) - _LIFT, self._across_at(y, z), z] for y, z in spots])
        return _facing(corners, np.array([-1.0, 0.0, 0.2]), colour, gloss)

    def on_top(self, spots: Sequence[Spot], colour: RGB, *, gloss: float = 1.0) -> Surface:
        """Lay a piece upon the top; corners are x and y, the latter as a fraction of the half width there."""
        heights = [self.top_at(x) + _LIFT for x, _ in spots]
        corners = np.array([[x, self._across_at(y, z), z] for (x, y), z in zip(spots, heights, strict=True)])
        return _facing(corners, np.array([0.0, 0.0, 1.0]), colour, gloss)

    def _across_at(self, y: float, z: float) -> float:
        return self.middle + y * self.half_at(z)


def box(x: Spot, y: Spot, z: Spot) -> Solid:
    """A box given its extent along each axis."""
    middle, half = (y[0] + y[1]) / 2, abs(y[1] - y[0]) / 2
    front, rear = max(x), min(x)
    low, high = min(z), max(z)
    return Solid([(front, low, half), (front, high, half), (rear, high, half), (rear, low, half)], middle=middle)


def normal_of(corners: Points) -> Points:
    """The unit vector that a polygon `[n, 3]` faces, by Newell's sums."""
    following = np.roll(corners, -1, axis=0)
    total = np.cross(corners, following).sum(axis=0)
    return np.asarray(total / max(float(np.linalg.norm(total)), 1e-12), dtype=np.float64)


def _facing(corners: Points, outward: Points, colour: RGB, gloss: float) -> Surface:
    turned = corners if float(normal_of(corners) @ outward) > 0 else corners[::-1]
    return Surface(turned, colour, gloss)
