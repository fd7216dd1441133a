"""One shot of an animal: the side that is seen, pose, crop and what stands in the way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reid_drawings.animals.identity import LEFT, RIGHT

OCCLUDERS = ("pole", "bush", "sign", "bin")


@dataclass(frozen=True, slots=True)
class AnimalShot:
    """What differs between two pictures of one animal.

    Attributes:
        side: `LEFT` or `RIGHT`: which side is seen; the animal faces to it in the picture.
        turn: degrees by which it is turned from the side view, which shortens it.
        nod: degrees added to the neck's rise; far below zero while grazing.
        phase: of the step, in radians.
        stride: how far legs swing, in radians.
        fill: share of the picture that it fills, at most, along either axis.
        shift: of its middle from the picture's, as fractions of the width and the height.
        window: which part of the camera's scene is behind: horizontal and vertical offset, and zoom.
        brightness: this shot's own exposure.
        occluder: one of `OCCLUDERS`, or empty.
        occluder_place: where it stands, as a fraction of the width.
        occluder_seed: seed of its details.
    """

    side: int
    turn: float
    nod: float
    phase: float
    stride: float
    fill: float
    shift: tuple[float, float]
    window: tuple[float, float, float]
    brightness: float
    occluder: str
    occluder_place: float
    occluder_seed: int


def draw_animal_shot(generator: np.random.Generator, *, occlusion: float, misalignment: float) -> AnimalShot:
    """Draw a shot.

    Args:
        generator: the source of randomness.
        occlusion: chance that an object stands in front.
        misalignment: how badly the crop fits.

    Returns:
        the shot.
    """
    misfit = generator.normal(0.0, 1.0, size=3).clip(-2.5, 2.5) * misalignment
    grazing = generator.random() < 0.25
    occluded = generator.random() < occlusion
    edge = 1.0 if generator.random() < 0.5 else -1.0
    return AnimalShot(
        side=LEFT if generator.random() < 0.5 else RIGHT,
        turn=float(generator.uniform(0.0, 50.0)),
        nod=float(generator.uniform(-85.0, -55.0) if grazing else generator.uniform(-25.0, 15.0)),
        phase=float(generator.uniform(0.0, 2.0 * np.pi)),
        stride=float(generator.uniform(0.05, 0.45)),
        fill=float(0.92 * np.exp(0.07 * misfit[0])),
        shift=(float(0.04 * misfit[1]), float(0.04 * misfit[2])),
        window=(float(generator.random()), float(generator.normal(0.0, 0.05)), float(generator.uniform(0.9, 1.3))),
        brightness=float(np.exp(generator.normal(0.0, 0.07))),
        occluder=OCCLUDERS[int(generator.integers(len(OCCLUDERS)))] if occluded else "",
        occluder_place=0.5 + edge * float(generator.uniform(0.1, 0.45)),
        occluder_seed=int(generator.integers(2**31)),
    )
