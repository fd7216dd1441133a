"""One shot of an animal: the side that is seen, pose, crop and what stands in the way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reid_drawings.animals.identity import LEFT, RIGHT
from reid_drawings.framing import Framing, draw_framing

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
        framing: of the crop.
    """

    side: int
    turn: float
    nod: float
    phase: float
    stride: float
    framing: Framing


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
        framing=draw_framing(generator, misfit, edge=edge, occluders=OCCLUDERS if occluded else (), zoom=(0.9, 1.3)),
    )
