"""Where a vehicle's points fall in a picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reid_drawings.vehicles.solid import Points

_ANGLES = {0: 0.0, 3: 45.0, 2: 90.0, 4: 135.0, 1: 180.0, 7: 225.0, 5: 270.0, 6: 315.0}
"""Degrees at which each of `shapes.VIEWPOINTS` is seen, counterclockwise from the front, from above."""


def angle_of(viewpoint: int) -> float:
    """The angle in degrees in the middle of a viewpoint's range."""
    return _ANGLES[viewpoint]


def viewpoint_at(angle: float) -> int:
    """The viewpoint nearest to an angle.

    Args:
        angle: degrees; 0 sees the front, 90 the vehicle's left side.

    Returns:
        its number in `shapes.VIEWPOINTS`.
    """
    return min(_ANGLES, key=lambda number: abs((_ANGLES[number] - angle + 180.0) % 360.0 - 180.0))


@dataclass(frozen=True, slots=True)
class Stand:
    """Where the camera stands.

    Attributes:
        angle: degrees about the vehicle; 0 sees the front, 90 the vehicle's left side.
        pitch: how far it looks down, in degrees.
        distance: from the vehicle's middle, in metres.
    """

    angle: float
    pitch: float
    distance: float

    @property
    def axes(self) -> Points:
        """Unit vectors to the picture's right, to its top, and to the camera `[3, 3]`."""
        turn, tilt = np.radians(self.angle), np.radians(self.pitch)
        towards = np.array([np.cos(tilt) * np.cos(turn), np.cos(tilt) * np.sin(turn), np.sin(tilt)])
        right = np.array([-np.sin(turn), np.cos(turn), 0.0])
        return np.stack([right, np.cross(towards, right), towards])


def look_at(points: Points, stand: Stand, *, middle: float) -> Points:
    """Project points in perspective.

    Args:
        points: metres `[n, 3]`.
        stand: where the camera stands.
        middle: height in metres that the camera looks at.

    Returns:
        right, down and nearness `[n, 3]`; the first two for a focal length of 1, from the picture's middle.
    """
    seen = (points - np.array([0.0, 0.0, middle])) @ stand.axes.T
    away = stand.distance - seen[:, 2]
    return np.stack([seen[:, 0] / away, -seen[:, 1] / away, seen[:, 2]], axis=1)
