"""The drawn vehicles: pictures and what is known of them, the same for any number of processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np

from reid_drawings.benchmark import encode
from reid_drawings.camera import Camera
from reid_drawings.network import camera_at, lit
from reid_drawings.parameters import SyntheticVehicles
from reid_drawings.pictures import Picture
from reid_drawings.plan import Purpose, generator_for
from reid_drawings.processes import map_chunks
from reid_drawings.vehicles.identity import Vehicle, draw_vehicle_identity
from reid_drawings.vehicles.key_points import key_points_of
from reid_drawings.vehicles.model import Model, model_of
from reid_drawings.vehicles.plan import VehiclePlan, shot_of, vehicle_images
from reid_drawings.vehicles.scene import draw_vehicle

_CHUNK = 64


def draw_vehicles(
    parameters: SyntheticVehicles, *, processes: int | None = None, on_image: Callable[[int], None] | None = None
) -> list[Picture]:
    """Draw the benchmark.

    Args:
        parameters: seed, size and difficulty.
        processes: how many processes draw; None takes the cores this process may use. The pictures do not depend
            on it.
        on_image: called with the number of pictures drawn so far.

    Returns:
        pictures by vehicle, camera and frame.
    """
    plans = vehicle_images(parameters)
    chunks = [plans[start : start + _CHUNK] for start in range(0, len(plans), _CHUNK)]
    drawn: list[Picture] = []
    for pictures in map_chunks(_draw_chunk, parameters, chunks, processes):
        drawn += pictures
        if on_image is not None:
            on_image(len(drawn))
    return drawn


def _draw_chunk(parameters: SyntheticVehicles, plans: Sequence[VehiclePlan]) -> list[Picture]:
    return [draw_picture(parameters, plan) for plan in plans]


def draw_picture(parameters: SyntheticVehicles, plan: VehiclePlan) -> Picture:
    """Draw one picture of the benchmark.

    Args:
        parameters: the benchmark's parameters.
        plan: which picture.

    Returns:
        the picture.
    """
    generator = _generator(parameters, Purpose.VEHICLE_IMAGE, plan)
    camera = _camera_of(parameters, plan, generator)
    vehicle, model = _vehicle(parameters, plan.vehicle)
    shot = shot_of(parameters, plan, camera, 2.0 * model.frame.half_length)
    neighbour = None
    if generator.random() < parameters.crowding:
        neighbour = model_of(draw_vehicle_identity(generator, spread=parameters.identity_spread))
    image = draw_vehicle(model, camera, shot, generator, neighbour=neighbour)
    quality = int(generator.integers(camera.quality[0], camera.quality[1] + 1))
    return Picture(
        data=encode(image, quality),
        subset=plan.subset,
        identity=plan.vehicle,
        camera=plan.camera,
        frame=plan.frame,
        viewpoint=shot.viewpoint,
        colour=vehicle.colour,
        type=vehicle.type,
        key_points=key_points_of(model, shot),
    )


def _generator(parameters: SyntheticVehicles, purpose: Purpose, plan: VehiclePlan) -> np.random.Generator:
    return generator_for(parameters.seed, purpose, plan.vehicle, plan.camera, plan.frame)


def _camera_of(parameters: SyntheticVehicles, plan: VehiclePlan, generator: np.random.Generator) -> Camera:
    """The plan's camera, looking at one of its roads, in the light of the hour."""
    camera = camera_at(parameters, plan.camera, int(generator.integers(parameters.places_per_camera)))
    light = _generator(parameters, Purpose.VEHICLE_LIGHT, plan)
    if camera.ground == "grass":
        camera = replace(camera, ground="road")
    return lit(camera, parameters.lighting, light)


@lru_cache(maxsize=512)
def _vehicle(parameters: SyntheticVehicles, number: int) -> tuple[Vehicle, Model]:
    generator = generator_for(parameters.seed, Purpose.VEHICLE, number)
    vehicle = draw_vehicle_identity(generator, spread=parameters.identity_spread)
    return vehicle, model_of(vehicle)
