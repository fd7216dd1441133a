"""Captioned drawings of people who occur nowhere in the drawn benchmark, to pretrain a small CLIP on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field

from reid_drawings.camera import draw_camera
from reid_drawings.describe import describe, scene_words
from reid_drawings.identity import draw_identity
from reid_drawings.parameters import Parameters
from reid_drawings.pedestrian import draw_scene
from reid_drawings.plan import Purpose, generator_for
from reid_drawings.processes import map_chunks
from reid_drawings.shot import draw_shot

_CHUNK = 250


class CaptionedDrawings(Parameters):
    """How many captioned drawings, of what size and variety."""

    seed: int = Field(default=0, ge=0, le=2**31 - 1, description="Seed of all that is drawn.")
    count: int = Field(default=20_000, ge=1, le=1_000_000, description="Number of drawings.")
    height: int = Field(default=128, ge=16, le=512, description="Height of a drawing in pixels.")
    width: int = Field(default=64, ge=8, le=512, description="Width of a drawing in pixels.")
    images_per_identity: int = Field(default=2, ge=1, le=20, description="Drawings of one person.")
    camera_strength: float = Field(
        default=0.15, ge=0.0, le=2.0, description="How far the cameras differ; every drawing has its own."
    )
    identity_spread: float = Field(default=1.2, ge=0.1, le=2.0, description="How far people differ.")
    occlusion: float = Field(default=0.1, ge=0.0, le=1.0, description="Chance of an object before a person.")
    crowding: float = Field(default=0.1, ge=0.0, le=1.0, description="Chance of a bystander behind a person.")
    scene_share: float = Field(
        default=0.0, ge=0.0, le=1.0, description="Share of captions that say where the picture was taken."
    )
    view_share: float = Field(default=0.3, ge=0.0, le=1.0, description="Share of captions that say which side is seen.")
    completeness: float = Field(
        default=0.85, ge=0.0, le=1.0, description="Chance that a caption mentions a part of the person."
    )
    misalignment: float = Field(default=0.4, ge=0.0, le=1.5, description="How badly crops fit.")


def draw_captioned(
    parameters: CaptionedDrawings, *, processes: int | None = None, on_image: Callable[[int], None] | None = None
) -> tuple[NDArray[np.uint8], list[str]]:
    """Draw people and say in English what is seen of them.

    Args:
        parameters: seed, number, size and variety.
        processes: how many processes draw; None takes the cores this process may use. The result does not
            depend on it.
        on_image: called with the number of drawings done so far.

    Returns:
        the drawings `[count, height, width, 3]` and their captions.
    """
    drawings = np.empty((parameters.count, parameters.height, parameters.width, 3), dtype=np.uint8)
    captions: list[str] = []
    starts = range(0, parameters.count, _CHUNK)
    for pictures, texts in map_chunks(_draw_chunk, parameters, starts, processes):
        drawings[len(captions) : len(captions) + len(texts)] = pictures
        captions += texts
        if on_image is not None:
            on_image(len(captions))
    return drawings, captions


def _draw_chunk(parameters: CaptionedDrawings, start: int) -> tuple[NDArray[np.uint8], list[str]]:
    numbers = range(start, min(start + _CHUNK, parameters.count))
    drawn = [draw_captioned_one(parameters, number) for number in numbers]
    return np.stack([np.asarray(image) for image, _ in drawn]), [caption for _, caption in drawn]


def draw_captioned_one(parameters: CaptionedDrawings, number: int) -> tuple[Image.Image, str]:
    """Draw one person and the caption.

    Args:
        parameters: seed, size and variety.
        number: which drawing.

    Returns:
        the RGB picture and its caption.
    """
    person = number // parameters.images_per_identity
    people = generator_for(parameters.seed, Purpose.PRETRAINING_IDENTITY, person)
    identity = draw_identity(people, spread=parameters.identity_spread)
    generator = generator_for(parameters.seed, Purpose.PRETRAINING_IMAGE, number)
    camera = draw_camera(generator, strength=parameters.camera_strength)
    camera = replace(camera, viewpoint_chances=(0.25, 0.25, 0.25, 0.25))
    shot = draw_shot(camera, generator, occlusion=parameters.occlusion, misalignment=parameters.misalignment)
    shot = replace(shot, neighbour_front=False)
    crowded = generator.random() < parameters.crowding
    bystander = draw_identity(generator, spread=parameters.identity_spread) if crowded else None
    image = draw_scene(identity, camera, shot, generator, bystander=bystander)
    if image.size != (parameters.width, parameters.height):
        image = image.resize((parameters.width, parameters.height), Image.Resampling.BICUBIC)
    surroundings = scene_words(camera, generator) if generator.random() < parameters.scene_share else ""
    caption = describe(
        identity,
        shot,
        generator,
        completeness=parameters.completeness,
        view_share=parameters.view_share,
        surroundings=surroundings,
    )
    return image, caption
