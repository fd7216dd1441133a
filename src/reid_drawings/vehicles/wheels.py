"""Wheels: discs at the sides, and the treads that are seen below bumpers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from reid_drawings.palette import RGB
from reid_drawings.vehicles.frame import Frame
from reid_drawings.vehicles.identity import Vehicle
from reid_drawings.vehicles.solid import LEFT, RIGHT, Points, Surface

_TYRE: RGB = (30, 30, 32)
_HOUSE: RGB = (14, 14, 16)
_WIDTH = 0.22


def treads_of(frame: Frame) -> Iterator[Surface]:
    """The lower half of every wheel's tread, which no side of the body hides from ahead or behind."""
    turns = np.linspace(0.0, np.pi, 6)
    radius = frame.shape.wheel
    for axle in frame.shape.axles:
        x = axle * frame.half_length + radius * np.cos(turns)
        z = radius - radius * np.sin(turns)
        for side in (LEFT, RIGHT):
            outer = side * (frame.half_width * 0.97)
            inner = outer - side * _WIDTH
            ends = (inner, outer) if side == LEFT else (outer, inner)
            for n in range(len(turns) - 1):
                yield Surface(_strip(x[n : n + 2], z[n : n + 2], ends), _TYRE, 0.8)


def _strip(x: Points, z: Points, ends: tuple[float, float]) -> Points:
    low, high = ends
    return np.array([[x[0], low, z[0]], [x[1], low, z[1]], [x[1], high, z[1]], [x[0], high, z[0]]])


def discs_of(vehicle: Vehicle, frame: Frame) -> Iterator[Surface]:
    """Wheel houses, tyres, rims and spokes at both sides."""
    radius, low = frame.shape.wheel, frame.body.rows[:, 1].min()
    for axle in frame.shape.axles:
        for side in (LEFT, RIGHT):
            hub = np.array([axle * frame.half_length, side * (frame.half_width * 0.985 + 0.01), radius])
            yield _arch(hub, radius * 1.16, low, side)
            hub[1] += side * 0.006
            yield _disc(hub, radius, side, _TYRE)
            yield _disc(hub, radius * 0.64, side, vehicle.rim)
            yield from _spokes(vehicle, hub, radius * 0.62, side)


def _disc(hub: Points, radius: float, side: float, colour: RGB) -> Surface:
    turns = np.linspace(0.0, 2.0 * np.pi, 15)[:-1]
    return Surface(_circle(hub, radius, turns, side), colour, 0.95)


def _circle(hub: Points, radius: float, turns: Points, side: float) -> Points:
    """Points about a hub, counterclockwise as seen from that side: to it, x grows leftwards on the left."""
    level = np.zeros_like(turns)
    around = np.stack([-side * np.cos(turns), level, np.sin(turns)], axis=1)
    return np.asarray(hub + radius * around, dtype=np.float64)


def _arch(hub: Points, radius: float, low: float, side: float) -> Surface:
    dip = float(np.arcsin(np.clip((hub[2] - low) / radius, -1.0, 1.0)))
    return Surface(_circle(hub, radius, np.linspace(-dip, np.pi + dip, 14), side), _HOUSE)


def _spokes(vehicle: Vehicle, hub: Points, radius: float, side: float) -> Iterator[Surface]:
    """Gaps between spokes, or the ring of a plain cap."""
    dark = (int(vehicle.rim[0] * 0.35), int(vehicle.rim[1] * 0.35), int(vehicle.rim[2] * 0.35))
    if not vehicle.spokes:
        yield _disc(hub, radius * 0.42, side, dark)
        return
    gap = np.pi / vehicle.spokes
    for n in range(vehicle.spokes):
        start = 2.0 * np.pi * n / vehicle.spokes
        outer = _circle(hub, radius * 0.92, np.array([start, start + gap / 2, start + gap]), side)
        inner = _circle(hub, radius * 0.3, np.array([start + gap / 2]), side)
        yield Surface(np.concatenate([outer, inner]), dark)
