"""Where an animal's joints fall in a picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reid_drawings.animals.builds import BUILDS
from reid_drawings.animals.identity import Animal
from reid_drawings.animals.shot import AnimalShot
from reid_drawings.canvas import Points


@dataclass(frozen=True, slots=True)
class Posed:
    """An animal in a pose; lengths are those of its trunk, x forward from the rump, y up from the ground.

    Attributes:
        trunk: rump, belly and chest `[3, 2]`.
        radii: of the trunk at these.
        leg: length from the trunk's middle line to the ground.
        neck: where the neck begins and ends `[2, 2]`.
        nose: end of the head `[2]`.
        neck_radius: of the neck.
        head_radius: of the head.
        scale: drawn pixels of a length.
        across: factor of x: below zero where the animal faces left.
        offset: drawn pixels of the origin.
    """

    trunk: Points
    radii: Points
    leg: float
    neck: Points
    nose: Points
    neck_radius: float
    head_radius: float
    scale: float
    across: float
    offset: tuple[float, float]

    def place(self, points: Points) -> Points:
        """Bring points `[n, 2]` to drawn pixels `[n, 2]`."""
        x = self.offset[0] + points[:, 0] * self.across * self.scale
        return np.stack([x, self.offset[1] - points[:, 1] * self.scale], axis=1)

    def radius_at(self, along: float) -> float:
        """The trunk's radius at a place along it, 0 at the rump and 1 at the chest."""
        return float(np.interp(along, (0.0, 0.5, 1.0), self.radii))


def pose(animal: Animal, shot: AnimalShot, size: tuple[int, int]) -> Posed:
    """Pose an animal and fit it into a picture.

    Args:
        animal: the animal.
        shot: side, pose and crop.
        size: width and height of the canvas in drawn pixels.

    Returns:
        the pose.
    """
    build = BUILDS[animal.kind]
    thick, long, neck, head = animal.build
    radii = np.array(build.trunk) * thick
    leg = build.legs * long + radii[0] * 0.6
    rise = np.radians(build.rise + shot.nod)
    root = np.array([0.97, leg + 0.35 * radii[2]])
    poll = root + build.neck * neck * np.array([np.cos(rise), np.sin(rise)])
    fall = rise - np.radians(55.0 if build.rise > 15.0 else 20.0)
    nose = poll + build.head * head * np.array([np.cos(fall), np.sin(fall)])
    radius = build.head_radius * head
    low_x, high_x = -radii[0] - 0.05, max(1.0 + radii[2], poll[0] + radius, nose[0] + radius)
    high_y = max(leg + radii.max(), poll[1] + 1.6 * radius)
    across = shot.side * np.cos(np.radians(shot.turn))
    scale = shot.framing.fill * min(size[0] / ((high_x - low_x) * abs(across)), size[1] / high_y)
    middle = np.array(size) * (0.5 + np.array(shot.framing.shift))
    offset = (middle[0] - across * scale * (low_x + high_x) / 2, middle[1] + scale * high_y / 2)
    return Posed(
        trunk=np.array([[0.0, leg], [0.5, leg], [1.0, leg + 0.03]]),
        radii=radii,
        leg=float(leg),
        neck=np.stack([root, poll]),
        nose=np.maximum(nose, (-9.0, radius)),
        neck_radius=build.neck_radius * thick,
        head_radius=float(radius),
        scale=float(scale),
        across=float(across),
        offset=(float(offset[0]), float(offset[1])),
    )
