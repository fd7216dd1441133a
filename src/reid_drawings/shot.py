"""One shot of a person: viewpoint, pose, crop and what stands in the way."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from reid_drawings.camera import Camera, draw_viewpoint

OCCLUDERS = ("pole", "bicycle", "car", "bush", "bin", "sign")


@dataclass(frozen=True, slots=True)
class Shot:
    """What differs between two pictures of one person by one camera.

    Lengths are fractions of the picture: `centre` of its width, the others of its height.

    Attributes:
        viewpoint: degrees; 0 faces the camera, 90 faces right in the picture, 180 shows the back.
        phase: phase of the step, in radians.
        stride: how far legs and arms swing, in radians.
        elbows: bend of the left and the right elbow, in radians.
        centre: the person's middle.
        ground: where the feet stand; above 1 they are cut off.
        height: height of an average person.
        window: which part of the camera's scene is behind: horizontal and vertical offset, and zoom.
        brightness: this shot's own exposure.
        occluder: one of `OCCLUDERS`, or empty.
        occluder_place: where it stands, as a fraction of the width.
        occluder_seed: seed of its details.
        neighbour_place: where a bystander stands, as a fraction of the width.
        neighbour_front: whether a bystander stands in front of the person.
        neighbour_viewpoint: the bystander's viewpoint in degrees.
        fold_seed: seed of the folds in the clothes.
    """

    viewpoint: float
    phase: float
    stride: float
    elbows: tuple[float, float]
    centre: float
    ground: float
    height: float
    window: tuple[float, float, float]
    brightness: float
    occluder: str
    occluder_place: float
    occluder_seed: int
    neighbour_place: float
    neighbour_front: bool
    neighbour_viewpoint: float
    fold_seed: int

    @property
    def feet_visible(self) -> bool:
        """Whether the crop shows the shoes."""
        return self.ground < 1.01

    @property
    def lower_visible(self) -> bool:
        """Whether the crop shows enough of the legs to see what is worn on them."""
        return self.ground - 0.38 * self.height < 1.0

    @property
    def head_visible(self) -> bool:
        """Whether the crop shows the head."""
        return self.ground - self.height > -0.05


def draw_shot(camera: Camera, generator: np.random.Generator, *, occlusion: float, misalignment: float) -> Shot:
    """Draw a shot of one camera.

    Args:
        camera: gives the viewpoint's distribution.
        generator: the source of randomness.
        occlusion: chance that an object covers a part of the person; a bystander stands in front with it.
        misalignment: how badly the crop fits: 0 fits tightly, 1 cuts feet or head of every fifth person.

    Returns:
        the shot.
    """
    viewpoint = draw_viewpoint(camera, generator)
    walking = generator.random() < 0.8
    side = 1.0 if generator.random() < 0.5 else -1.0
    centre, ground, height = _draw_crop(generator, misalignment)
    occluded = generator.random() < occlusion
    return Shot(
        viewpoint=viewpoint,
        phase=float(generator.uniform(0.0, 2.0 * np.pi)),
        stride=float(generator.uniform(0.32, 0.55) if walking else generator.uniform(0.02, 0.12)),
        elbows=(_draw_elbow(generator), _draw_elbow(generator)),
        centre=centre,
        ground=ground,
        height=height,
        window=(float(generator.random()), float(generator.random()), float(generator.uniform(0.9, 1.15))),
        brightness=float(np.exp(generator.normal(0.0, 0.07))),
        occluder=OCCLUDERS[int(generator.integers(len(OCCLUDERS)))] if occluded else "",
        occluder_place=0.5 + side * float(generator.uniform(0.08, 0.42)),
        occluder_seed=int(generator.integers(2**31)),
        neighbour_place=centre + (1.0 if generator.random() < 0.5 else -1.0) * float(generator.uniform(0.3, 0.55)),
        neighbour_front=bool(generator.random() < occlusion),
        neighbour_viewpoint=draw_viewpoint(camera, generator),
        fold_seed=int(generator.integers(2**31)),
    )


def vary_shot(shot: Shot, generator: np.random.Generator, *, misalignment: float) -> Shot:
    """Draw the next shot of the same tracklet: a few frames later, found by the detector anew.

    Args:
        shot: the shot before.
        generator: the source of randomness.
        misalignment: how badly the crop fits.

    Returns:
        a shot with a similar viewpoint, a later phase of the step and a crop of its own.
    """
    centre, ground, height = _draw_crop(generator, misalignment)
    shift = generator.normal(0.0, 0.06, size=4)
    gone = generator.random() < 0.4
    return replace(
        shot,
        viewpoint=float((shot.viewpoint + generator.normal(0.0, 11.0)) % 360.0),
        phase=float(shot.phase + generator.uniform(0.4, 2.2)),
        centre=centre,
        ground=ground,
        height=height,
        window=(shot.window[0] + float(shift[0]), shot.window[1] + float(shift[1]) / 2, shot.window[2]),
        brightness=float(shot.brightness * np.exp(shift[2] / 2)),
        occluder="" if gone else shot.occluder,
        occluder_place=shot.occluder_place + float(shift[3]) * 1.5,
        neighbour_place=shot.neighbour_place + float(generator.normal(0.0, 0.05)),
        fold_seed=int(generator.integers(2**31)),
    )


def spoil_shot(shot: Shot, generator: np.random.Generator) -> Shot:
    """Draw a crop so bad that no one could name the person: far off, much too large or much too small.

    Args:
        shot: any shot.
        generator: the source of randomness.

    Returns:
        the shot with a spoilt crop.
    """
    way = int(generator.integers(3))
    side = 1.0 if generator.random() < 0.5 else -1.0
    if way == 0:
        return replace(shot, centre=0.5 + side * float(generator.uniform(0.42, 0.6)))
    if way == 1:
        height = float(generator.uniform(2.0, 2.8))
        return replace(shot, height=height, ground=float(generator.uniform(1.0, height)), centre=0.5 + side * 0.3)
    return replace(shot, ground=0.5 + side * 0.85 + 0.3, height=float(generator.uniform(0.8, 1.0)))


def _draw_elbow(generator: np.random.Generator) -> float:
    if generator.random() < 0.12:
        return float(generator.uniform(1.4, 2.2))
    return float(generator.uniform(0.1, 0.7))


def _draw_crop(generator: np.random.Generator, misalignment: float) -> tuple[float, float, float]:
    shift = generator.normal(0.0, 1.0, size=3).clip(-2.5, 2.5) * misalignment
    centre = 0.5 + 0.05 * shift[0]
    height = 0.9 * np.exp(0.07 * shift[1])
    ground = 0.5 + height / 2 + 0.03 * shift[2]
    cut = generator.random(2)
    if cut[0] < 0.2 * misalignment:
        height *= 1.15 + 0.35 * cut[1]
        ground = 0.05 + height if cut[1] < 0.65 else 0.97
    return float(centre), float(ground), float(height)
