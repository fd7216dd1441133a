"""The body in three dimensions, and where its points fall in the picture.

Body coordinates are in body heights: x to the person's left, y up from the ground, z to where the person
faces.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import atan2, cos, degrees, pi, radians, sin, sqrt

import numpy as np

from reid_drawings.canvas import SIZE, Points
from reid_drawings.identity import Build
from reid_drawings.shot import Shot

Joint = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Section:
    """A horizontal cut through torso or head: height, half width (x), half depth (z) and its middle's z."""

    y: float
    width: float
    depth: float
    z: float = 0.0


@dataclass(frozen=True, slots=True)
class View:
    """How a body is seen: turned about the vertical, looked down upon, scaled and placed."""

    angle: float
    pitch: float
    centre: float
    ground: float
    scale: float

    def depth(self, joint: Joint) -> float:
        """How near to the camera a point is, in body heights (larger is nearer)."""
        return joint[2] * cos(self.angle) - joint[0] * sin(self.angle)

    def place(self, joint: Joint) -> tuple[float, float]:
        """Where a point of the body falls, in pixels of the canvas."""
        across = joint[0] * cos(self.angle) + joint[2] * sin(self.angle)
        up = joint[1] * cos(self.pitch) - self.depth(joint) * sin(self.pitch)
        return self.centre + self.scale * across, self.ground - self.scale * up

    def line(self, joints: list[Joint]) -> Points:
        """Points of a line of joints, `[n, 2]`."""
        return np.array([self.place(joint) for joint in joints], dtype=np.float64)

    def half_width(self, width: float, depth: float) -> float:
        """Half the seen width of an upright elliptic body, in pixels."""
        return self.scale * sqrt((width * cos(self.angle)) ** 2 + (depth * sin(self.angle)) ** 2)

    def column(self, sections: list[Section]) -> tuple[Points, list[float]]:
        """Middle line and radii of an upright body."""
        middle = self.line([(0.0, s.y, s.z) for s in sections])
        return middle, [self.half_width(s.width, s.depth) for s in sections]

    def patch(self, sections: list[Section], low: float, high: float) -> Points | None:
        """The seen part of a patch on an upright body's surface.

        Args:
            sections: the body's cuts from top to bottom.
            low: azimuth where the patch begins, in degrees: 0 is in front, 90 on the person's left.
            high: azimuth where it ends.

        Returns:
            the polygon, or None where the camera cannot see the patch.
        """
        left: list[tuple[float, float]] = []
        right: list[tuple[float, float]] = []
        for s in sections:
            turn = degrees(atan2(s.depth * sin(self.angle), s.width * cos(self.angle)))
            offset = ((low + high) / 2 + turn + 180.0) % 360.0 - 180.0
            half = (high - low) / 2
            first, last = max(offset - half, -88.0), min(offset + half, 88.0)
            if first >= last:
                return None
            for azimuth, side in ((first - turn, left), (last - turn, right)):
                a = radians(azimuth)
                side.append(self.place((s.width * sin(a), s.y, s.z + s.depth * cos(a))))
        return np.array(left + right[::-1], dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Limbs:
    """Joints of arms and legs: left then right; each from the trunk outwards."""

    arms: tuple[list[Joint], list[Joint]]
    legs: tuple[list[Joint], list[Joint]]
    lift: float


def view_of(shot: Shot, build: Build, pitch: float) -> View:
    """How a shot shows a body.

    Args:
        shot: viewpoint and crop.
        build: the body; taller ones are drawn larger.
        pitch: how far the camera looks down, in degrees.

    Returns:
        the view.
    """
    scale = shot.height * SIZE[1] * build.height
    ground = shot.ground * SIZE[1] - 0.02 * scale
    return View(radians(shot.viewpoint), radians(pitch), shot.centre * SIZE[0], ground, scale)


def pose(shot: Shot, build: Build) -> Limbs:
    """Joints of a walking body.

    Args:
        shot: phase and reach of the step, bend of the elbows.
        build: length of the legs, width of shoulders and hips.

    Returns:
        the joints.
    """
    legs = [_leg(shot.stride, shot.phase + turn, side, build) for side, turn in ((1, 0.0), (-1, pi))]
    arms = [
        _arm(shot.stride * 0.9 * sin(shot.phase + turn), shot.elbows[n], side, build)
        for n, (side, turn) in enumerate(((1, pi), (-1, 0.0)))
    ]
    lift = min(leg[-1][1] for leg in legs) - 0.03
    return Limbs(arms=(arms[0], arms[1]), legs=(legs[0], legs[1]), lift=lift)


def _leg(stride: float, phase: float, side: int, build: Build) -> list[Joint]:
    swing = stride * sin(phase)
    bend = stride * 1.1 * max(0.0, cos(phase)) + 0.05
    hip = (side * 0.047 * build.hips * build.width, 0.51, 0.0)
    thigh, shin = 0.245 * build.legs, 0.235 * build.legs
    knee = (hip[0], hip[1] - thigh * cos(swing), thigh * sin(swing))
    ankle = (hip[0] * 0.9, knee[1] - shin * cos(swing - bend), knee[2] + shin * sin(swing - bend))
    return [hip, knee, ankle]


def _arm(swing: float, bend: float, side: int, build: Build) -> list[Joint]:
    shoulder = (side * 0.094 * build.width, 0.788, 0.0)
    upper, lower = 0.16, 0.145
    elbow = (shoulder[0] + side * 0.03, shoulder[1] - upper * cos(swing), shoulder[2] + upper * sin(swing))
    reach = swing + bend
    wrist = (elbow[0] - side * 0.01, elbow[1] - lower * cos(reach), elbow[2] + lower * sin(reach))
    return [shoulder, elbow, wrist]


def torso(build: Build, *, hem: float, loose: float) -> list[Section]:
    """Cuts through a dressed trunk from the neck to the hem.

    Args:
        build: the body.
        hem: height at which the garment ends.
        loose: how far the garment stands off the body, in body heights.

    Returns:
        the cuts, from top to bottom.
    """
    w, hips = build.width, build.hips
    cuts = [
        Section(0.852, 0.036 * w, 0.036, -0.005),
        Section(0.836, 0.06 * w, 0.046, -0.005),
        Section(0.812, 0.094 * w + loose * 0.4, 0.056, -0.005),
        Section(0.775, 0.1 * w + loose * 0.7, 0.062, -0.003),
        Section(0.72, 0.096 * w + loose, 0.066 * w + loose),
        Section(0.62, 0.083 * w + loose + build.belly * 0.6, 0.058 * w + loose + build.belly, build.belly * 0.7),
        Section(0.54, 0.092 * w * hips + loose, 0.066 * w + loose, build.belly * 0.3),
    ]
    spread = max(0.0, 0.54 - hem)
    cuts.append(Section(hem, 0.092 * w * hips + loose + 0.12 * spread, 0.066 * w + loose + 0.1 * spread))
    return cuts


def between(sections: list[Section], top: float, bottom: float) -> list[Section]:
    """Cut a piece out of an upright body.

    Args:
        sections: cuts from top to bottom.
        top: where the piece begins.
        bottom: where it ends.

    Returns:
        the piece's cuts.
    """
    heights = [-s.y for s in sections]
    inside = [s for s in sections if bottom < s.y < top]

    def at(y: float) -> Section:
        values = [
            float(np.interp(-y, heights, [getattr(s, name) for s in sections])) for name in ("width", "depth", "z")
        ]
        return Section(y, values[0], values[1], values[2])

    return [at(top), *inside, at(bottom)]
