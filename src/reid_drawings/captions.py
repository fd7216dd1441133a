"""Captioned drawings of people, vehicles and animals who occur in no drawn benchmark, to pretrain a small CLIP on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field

from reid_drawings.animals.describe import describe_animal
from reid_drawings.animals.identity import draw_animal_identity
from reid_drawings.animals.scene import draw_animal
from reid_drawings.animals.shot import draw_animal_shot
from reid_drawings.camera import Camera, draw_camera
from reid_drawings.describe import describe, scene_words
from reid_drawings.identity import draw_identity
from reid_drawings.parameters import Parameters
from reid_drawings.pedestrian import draw_scene
from reid_drawings.plan import Purpose, generator_for
from reid_drawings.processes import map_chunks
from reid_drawings.shot import draw_shot
from reid_drawings.vehicles.describe import describe_vehicle
from reid_drawings.vehicles.identity import draw_vehicle_identity
from reid_drawings.vehicles.model import model_of
from reid_drawings.vehicles.plan import draw_vehicle_shot
from reid_drawings.vehicles.scene import draw_vehicle
from reid_drawings.vehicles.shapes import VIEWPOINTS

Kind = Literal["people", "vehicles", "animals"]
KINDS: tuple[Kind, ...] = get_args(Kind)
_CHUNK = 250


class CaptionedDrawings(Parameters):
    """How many captioned drawings of one kind, of what size and variety."""

    seed: int = Field(default=0, ge=0, le=2**31 - 1, description="Seed of all that is drawn.")
    count: int = Field(default=20_000, ge=1, le=1_000_000, description="Number of drawings.")
    height: int = Field(default=128, ge=16, le=512, description="Height of a drawing in pixels.")
    width: int = Field(default=64, ge=8, le=512, description="Width of a drawing in pixels.")
    images_per_identity: int = Field(default=2, ge=1, le=20, description="Drawings of one identity.")
    camera_strength: float = Field(
        default=0.15, ge=0.0, le=2.0, description="How far the cameras differ; every drawing has its own."
    )
    identity_spread: float = Field(default=1.2, ge=0.1, le=2.0, description="How far identities differ.")
    occlusion: float = Field(default=0.1, ge=0.0, le=1.0, description="Chance of an object in front.")
    crowding: float = Field(
        default=0.1, ge=0.0, le=1.0, description="Chance of another one behind; animals are always alone."
    )
    scene_share: float = Field(
        default=0.0, ge=0.0, le=1.0, description="Share of captions of people that say where the picture was taken."
    )
    view_share: float = Field(default=0.3, ge=0.0, le=1.0, description="Share of captions that say which side is seen.")
    completeness: float = Field(
        default=0.85, ge=0.0, le=1.0, description="Chance that a caption mentions a part of what is seen."
    )
    misalignment: float = Field(default=0.4, ge=0.0, le=1.5, description="How badly crops fit.")


def draw_captioned(
    parameters: CaptionedDrawings,
    *,
    kind: Kind = "people",
    processes: int | None = None,
    on_image: Callable[[int], None] | None = None,
) -> tuple[NDArray[np.uint8], list[str]]:
    """Draw one kind and say in English what is seen of it.

    Args:
        parameters: seed, number, size and variety.
        kind: what is drawn.
        processes: how many processes draw; None takes the cores this process may use. The result does not
            depend on it.
        on_image: called with the number of drawings done so far.

    Returns:
        the drawings `[count, height, width, 3]` and their captions.
    """
    drawings = np.empty((parameters.count, parameters.height, parameters.width, 3), dtype=np.uint8)
    captions: list[str] = []
    starts = range(0, parameters.count, _CHUNK)
    for pictures, texts in map_chunks(partial(_draw_chunk, kind), parameters, starts, processes):
        drawings[len(captions) : len(captions) + len(texts)] = pictures
        captions += texts
        if on_image is not None:
            on_image(len(captions))
    return drawings, captions


def _draw_chunk(kind: Kind, parameters: CaptionedDrawings, start: int) -> tuple[NDArray[np.uint8], list[str]]:
    numbers = range(start, min(start + _CHUNK, parameters.count))
    drawn = [draw_captioned_one(parameters, number, kind=kind) for number in numbers]
    return np.stack([np.asarray(image) for image, _ in drawn]), [caption for _, caption in drawn]


def draw_captioned_one(parameters: CaptionedDrawings, number: int, *, kind: Kind = "people") -> tuple[Image.Image, str]:
    """Draw one person, vehicle or animal and the caption.

    Args:
        parameters: seed, size and variety.
        number: which drawing.
        kind: what is drawn.

    Returns:
        the RGB picture and its caption.
    """
    draw = {"people": _draw_person, "vehicles": _draw_vehicle, "animals": _draw_animal}[kind]
    image, caption = draw(parameters, number)
    if image.size != (parameters.width, parameters.height):
        image = image.resize((parameters.width, parameters.height), Image.Resampling.BICUBIC)
    return image, caption


def _generators(
    parameters: CaptionedDrawings, number: int, who: Purpose, picture: Purpose
) -> tuple[np.random.Generator, np.random.Generator]:
    """The generators of a drawing's identity, and of all else in it."""
    identity = generator_for(parameters.seed, who, number // parameters.images_per_identity)
    return identity, generator_for(parameters.seed, picture, number)


def _draw_person(parameters: CaptionedDrawings, number: int) -> tuple[Image.Image, str]:
    people, generator = _generators(parameters, number, Purpose.PRETRAINING_IDENTITY, Purpose.PRETRAINING_IMAGE)
    identity = draw_identity(people, spread=parameters.identity_spread)
    camera = draw_camera(generator, strength=parameters.camera_strength)
    camera = replace(camera, viewpoint_chances=(0.25, 0.25, 0.25, 0.25))
    shot = draw_shot(camera, generator, occlusion=parameters.occlusion, misalignment=parameters.misalignment)
    shot = replace(shot, neighbour_front=False)
    crowded = generator.random() < parameters.crowding
    bystander = draw_identity(generator, spread=parameters.identity_spread) if crowded else None
    image = draw_scene(identity, camera, shot, generator, bystander=bystander)
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


def _draw_vehicle(parameters: CaptionedDrawings, number: int) -> tuple[Image.Image, str]:
    vehicles, generator = _generators(
        parameters, number, Purpose.PRETRAINING_VEHICLE, Purpose.PRETRAINING_VEHICLE_IMAGE
    )
    vehicle = draw_vehicle_identity(vehicles, spread=parameters.identity_spread)
    model = model_of(vehicle)
    camera = _on_road(draw_camera(generator, strength=parameters.camera_strength))
    shot = draw_vehicle_shot(
        camera,
        generator,
        length=2.0 * model.frame.half_length,
        chances=[1.0 / len(VIEWPOINTS)] * len(VIEWPOINTS),
        occlusion=parameters.occlusion,
        misalignment=parameters.misalignment,
    )
    crowded = generator.random() < parameters.crowding
    other = model_of(draw_vehicle_identity(generator, spread=parameters.identity_spread)) if crowded else None
    image = draw_vehicle(model, camera, shot, generator, neighbour=other)
    shares = {"completeness": parameters.completeness, "view_share": parameters.view_share}
    return image, describe_vehicle(vehicle, model.frame, shot, generator, **shares)


def _on_road(camera: Camera) -> Camera:
    return replace(camera, ground="road") if camera.ground == "grass" else camera


def _draw_animal(parameters: CaptionedDrawings, number: int) -> tuple[Image.Image, str]:
    animals, generator = _generators(parameters, number, Purpose.PRETRAINING_ANIMAL, Purpose.PRETRAINING_ANIMAL_IMAGE)
    animal = draw_animal_identity(animals, spread=parameters.identity_spread)
    camera = draw_camera(generator, strength=parameters.camera_strength)
    shot = draw_animal_shot(generator, occlusion=parameters.occlusion, misalignment=parameters.misalignment)
    image = draw_animal(animal, camera, shot, generator)
    shares = {"completeness": parameters.completeness, "view_share": parameters.view_share}
    return image, describe_animal(animal, shot, generator, **shares)
