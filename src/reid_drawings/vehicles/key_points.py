"""The twenty key points of VeRi-776's key-point files, projected from a vehicle's model."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from reid_drawings.canvas import SUPERSAMPLING
from reid_drawings.vehicles.frame import Frame
from reid_drawings.vehicles.model import Model
from reid_drawings.vehicles.scene import HEIGHT, WIDTH, VehicleShot, place
from reid_drawings.vehicles.solid import LEFT, RIGHT

Point = tuple[float, float, float]
_FRONT, _REAR, _UP = (1.0, 0.0, 0.0), (-1.0, 0.0, 0.0), (0.0, 0.0, 1.0)
_HIDDEN = -1
_GRAZING = 0.1
"""Cosine below which a point's side is seen too obliquely for anybody to mark the point."""


def key_points_of(model: Model, shot: VehicleShot) -> tuple[int, ...]:
    """Return where a vehicle's key points are in a picture.

    Args:
        model: the vehicle's model.
        shot: how the picture is taken.

    Returns:
        x and y in pixels of each point in turn, -1 and -1 where its side is turned away or it is outside the
        picture; what stands in front hides none.
    """
    found = list(_points(model.frame))
    where = place(model, shot, fill=shot.framing.fill, shift=shot.framing.shift).points(
        np.array([point for point, _ in found])
    )
    turned = np.array([normal for _, normal in found]) @ shot.stand.axes[2]
    pixels = np.floor(where[:, :2] / SUPERSAMPLING).astype(int)
    inside = ((pixels >= 0) & (pixels < (WIDTH, HEIGHT))).all(axis=1)
    pixels[~inside | (turned < _GRAZING)] = _HIDDEN
    return tuple(pixels.ravel().tolist())


def _points(frame: Frame) -> Iterator[tuple[Point, Point]]:
    """Each point and the direction its side faces, in the files' order."""
    body, house, half = frame.body, frame.house, frame.half_width
    lamp = sum(frame.shape.lamps) / 2 * frame.height
    fog, tail = 0.6 * lamp, sum(frame.shape.tails) / 2 * frame.height
    front, rear = frame.half_length, -frame.half_length
    for side in (LEFT, RIGHT):
        for axle in (frame.shape.axles[0], frame.shape.axles[-1]):
            yield (axle * frame.half_length, side * half, frame.shape.wheel), (0.0, side, 0.0)
    for height in (fog, lamp):
        for side in (RIGHT, LEFT):
            yield (body.front_at(height), side * 0.85 * half, height), _FRONT
    yield (body.front_at(lamp), 0.0, lamp), _FRONT
    yield (front, 0.0, fog), _FRONT
    sill = frame.shape.glass[0] * frame.height
    for side in (LEFT, RIGHT):
        yield (house.front_at(sill) - 0.35, side * (house.half_at(sill) + 0.1), sill), _UP
    top = float(house.rows[:, 1].max())
    corner = house.half_at(top)
    ahead, behind = house.front_at(top - 0.02), house.rear_at(top - 0.02)
    for x, side in ((ahead, RIGHT), (ahead, LEFT), (behind, LEFT), (behind, RIGHT)):
        yield (x, side * corner, top), _UP
    for side in (LEFT, RIGHT):
        yield (rear, side * 0.85 * half, tail), _REAR
    yield (rear, 0.0, 1.12 * tail), _REAR
    yield (rear, 0.0, 0.95 * tail), _REAR
