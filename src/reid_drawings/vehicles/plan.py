"""Which pictures the drawn vehicles' benchmark has, and how each is taken, before anything is drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from reid_drawings.camera import Camera
from reid_drawings.framing import draw_framing
from reid_drawings.parameters import SyntheticVehicles
from reid_drawings.pictures import Subset
from reid_drawings.plan import Purpose, generator_for
from reid_drawings.vehicles.scene import OCCLUDERS, VehicleShot
from reid_drawings.vehicles.shapes import VIEWPOINTS
from reid_drawings.vehicles.view import Stand, angle_of, viewpoint_at

_FRAMES = 80_000
_SPREAD, _FARTHEST = 8.0, 20.0
"""Degrees about the middle of a viewpoint: standard deviation and limit."""


@dataclass(frozen=True, slots=True)
class VehiclePlan:
    """One picture to draw.

    Attributes:
        subset: the part it belongs to.
        vehicle: number of the vehicle, from 1.
        camera: 0-based camera.
        frame: frame number in its camera.
        shot: place among the pictures of (vehicle, camera).
    """

    subset: Subset
    vehicle: int
    camera: int
    frame: int
    shot: int


def vehicle_images(parameters: SyntheticVehicles) -> list[VehiclePlan]:
    """Plan the benchmark.

    Args:
        parameters: its size and seed.

    Returns:
        one plan per picture, by vehicle, camera and frame.
    """
    vehicles = parameters.train_identities + parameters.test_identities
    order = generator_for(parameters.seed, Purpose.VEHICLE_PLAN, 0).permutation(vehicles) + 1
    training = set(order[: parameters.train_identities].tolist())
    plans = [
        plan
        for vehicle in range(1, vehicles + 1)
        for plan in _images_of(parameters, vehicle, training=vehicle in training)
    ]
    return sorted(plans, key=lambda plan: (plan.vehicle, plan.camera, plan.frame))


def _images_of(parameters: SyntheticVehicles, vehicle: int, *, training: bool) -> Iterator[VehiclePlan]:
    generator = generator_for(parameters.seed, Purpose.VEHICLE_PLAN, 1, vehicle)
    low, high = (min(bound, parameters.num_cameras) for bound in parameters.cameras_per_identity)
    cameras = generator.permutation(parameters.num_cameras)[: int(generator.integers(low, high + 1))]
    for camera in sorted(cameras.tolist()):
        fewest, most = parameters.images_per_camera
        count = int(generator.integers(fewest, most + 1))
        frame, query = int(generator.integers(1, _FRAMES)), int(generator.integers(count))
        for shot in range(count):
            subset: Subset = "train" if training else "query" if shot == query else "gallery"
            yield VehiclePlan(subset, vehicle, camera, frame, shot)
            frame += int(generator.integers(3, 40))


@lru_cache(maxsize=64)
def viewpoint_chances(parameters: SyntheticVehicles, camera: int) -> tuple[float, ...]:
    """How often a camera sees each of `VIEWPOINTS`: all alike with neutral cameras, few with strong ones."""
    generator = generator_for(parameters.seed, Purpose.VEHICLE_CAMERA, camera)
    own = min(1.0, 1.5 * parameters.camera_strength)
    chances = own * generator.dirichlet(np.full(len(VIEWPOINTS), 0.6)) + (1.0 - own) / len(VIEWPOINTS) + 0.01
    return tuple((chances / chances.sum()).tolist())


def shot_of(parameters: SyntheticVehicles, plan: VehiclePlan, camera: Camera, length: float) -> VehicleShot:
    """Draw how a picture is taken.

    Args:
        parameters: the benchmark's parameters.
        plan: which picture.
        camera: its camera.
        length: of the vehicle, in metres.

    Returns:
        the shot.
    """
    return draw_vehicle_shot(
        camera,
        generator_for(parameters.seed, Purpose.VEHICLE_SHOT, plan.vehicle, plan.camera, plan.frame),
        length=length,
        chances=viewpoint_chances(parameters, plan.camera),
        occlusion=parameters.occlusion,
        misalignment=parameters.misalignment,
    )


def draw_vehicle_shot(
    camera: Camera,
    generator: np.random.Generator,
    *,
    length: float,
    chances: Sequence[float],
    occlusion: float,
    misalignment: float,
) -> VehicleShot:
    """Draw how a picture is taken by one camera.

    Args:
        camera: looks down by its pitch.
        generator: the source of randomness.
        length: of the vehicle, in metres.
        chances: of each of `VIEWPOINTS`; they sum to 1.
        occlusion: chance that an object stands in front.
        misalignment: how badly the crop fits.

    Returns:
        the shot.
    """
    turn = float(np.clip(generator.normal(0.0, _SPREAD), -_FARTHEST, _FARTHEST))
    angle = (angle_of(int(generator.choice(len(chances), p=chances))) + turn) % 360.0
    pitch = float(np.clip(camera.pitch + 7.0 + generator.normal(0.0, 1.5), 6.0, 30.0))
    misfit = generator.normal(0.0, 1.0, size=3).clip(-2.5, 2.5) * misalignment
    side = 1.0 if generator.random() < 0.5 else -1.0
    occluded = generator.random() < occlusion
    return VehicleShot(
        stand=Stand(angle, pitch, 3.0 + length * float(generator.uniform(1.6, 2.8))),
        viewpoint=viewpoint_at(angle),
        framing=draw_framing(generator, misfit, edge=side, occluders=OCCLUDERS if occluded else (), zoom=(1.2, 1.5)),
        neighbour_shift=(
            (1.0 if generator.random() < 0.5 else -1.0) * float(generator.uniform(0.35, 0.6)),
            -float(generator.uniform(0.08, 0.2)),
        ),
    )
