"""A vehicle's model: every surface that can be seen of it, from any side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reid_drawings.palette import RGB
from reid_drawings.vehicles.fittings import ends_of, panes_of, roof_of, sides_of, stickers_of
from reid_drawings.vehicles.frame import Frame, frame_of
from reid_drawings.vehicles.identity import Vehicle
from reid_drawings.vehicles.solid import LEFT, RIGHT, Part, Points, Surface, box, normal_of
from reid_drawings.vehicles.wheels import discs_of, treads_of

_BELOW, _BODY, _UPON, _DISCS, _ROOF = range(5)


@dataclass(frozen=True, slots=True)
class Model:
    """Surfaces of a vehicle, flattened for projection.

    Attributes:
        corners: of all surfaces `[n, 3]`, in metres.
        ends: where each surface's corners end.
        normals: what each surface faces `[surfaces, 3]`.
        colours: their colours.
        gloss: factors of their light `[surfaces]`.
        parts: layer, centre and surfaces (from, to) of each part.
        frame: the solids it was made from.
    """

    corners: Points
    ends: tuple[int, ...]
    normals: Points
    colours: tuple[RGB, ...]
    gloss: NDArray[np.float64]
    parts: tuple[tuple[int, Points, int, int], ...]
    frame: Frame


def model_of(vehicle: Vehicle) -> Model:
    """Build a vehicle's model.

    Args:
        vehicle: the vehicle.

    Returns:
        its model.
    """
    frame = frame_of(vehicle)
    parts = list(_parts(vehicle, frame))
    surfaces = [surface for part in parts for surface in part.surfaces]
    bounds = np.cumsum([0, *(len(part.surfaces) for part in parts)]).tolist()
    return Model(
        corners=np.concatenate([surface.corners for surface in surfaces]),
        ends=tuple(np.cumsum([len(surface.corners) for surface in surfaces]).tolist()),
        normals=np.stack([normal_of(surface.corners) for surface in surfaces]),
        colours=tuple(surface.colour for surface in surfaces),
        gloss=np.array([surface.gloss for surface in surfaces]),
        parts=tuple((part.layer, part.centre, bounds[n], bounds[n + 1]) for n, part in enumerate(parts)),
        frame=frame,
    )


def _parts(vehicle: Vehicle, frame: Frame) -> Iterator[Part]:
    body, house = frame.body, frame.house
    yield Part(_BELOW, np.zeros(3), tuple(treads_of(frame)))
    whole = house is body
    shell = [*body.surfaces(vehicle.paint), *sides_of(vehicle, frame), *ends_of(vehicle, frame)]
    glazed = panes_of(vehicle, frame)
    shell += glazed if whole else []
    yield Part(
        _BODY if frame.cargo is None else _UPON, body.centre, (*shell, *stickers_of(vehicle, frame, glass=whole))
    )
    if not whole:
        upper = [*house.surfaces(vehicle.paint), *glazed, *stickers_of(vehicle, frame, glass=True, body=False)]
        yield Part(_UPON, house.centre, tuple(upper))
    if frame.cargo is not None:
        yield from _load(vehicle, frame)
    yield from _mirrors(vehicle, frame)
    yield Part(_DISCS, np.zeros(3), tuple(discs_of(vehicle, frame)))
    for solid, colour, marks in roof_of(vehicle, frame):
        yield Part(_ROOF, solid.centre, (*solid.surfaces(colour), *marks))


def _load(vehicle: Vehicle, frame: Frame) -> Iterator[Part]:
    """The box of a truck, and what carries it."""
    cargo = frame.cargo
    if cargo is None:
        return
    half = 0.8 * frame.half_width
    rear, front = -0.98 * frame.half_length, 0.9 * frame.half_length
    carrier = box((front, rear), (-half, half), (0.17 * frame.height, 0.34 * frame.height))
    lamps = _tails_of_carrier(frame, carrier.rows[-1, 0], half)
    yield Part(_BODY, carrier.centre, (*carrier.surfaces((46, 46, 48)), *lamps))
    surfaces = cargo.surfaces(vehicle.cargo)
    low, high = cargo.rows[:, 1].min(), cargo.rows[:, 1].max()
    dark = (int(vehicle.cargo[0] * 0.7), int(vehicle.cargo[1] * 0.7), int(vehicle.cargo[2] * 0.7))
    surfaces.append(cargo.on_rear([(-0.02, low), (0.02, low), (0.02, high), (-0.02, high)], dark))
    if vehicle.stripe is not None:
        edge = (low + 0.3 * (high - low), low + (0.42 if vehicle.stripe_place == "sill" else 0.62) * (high - low))
        span = cargo.rows[:, 0].max(), cargo.rows[:, 0].min()
        spots = [(span[0], edge[0]), (span[0], edge[1]), (span[1], edge[1]), (span[1], edge[0])]
        surfaces += [cargo.on_side(side, spots, vehicle.stripe) for side in (LEFT, RIGHT)]
    yield Part(_UPON, cargo.centre, (*surfaces, *stickers_of(vehicle, frame, cargo=True, body=False)))


def _tails_of_carrier(frame: Frame, rear: float, half: float) -> list[Surface]:
    low, high = (edge * frame.height for edge in frame.shape.tails)
    carrier = box((0.0, rear), (-half, half), (low - 0.2, high + 0.2))
    return [
        carrier.on_rear([(s * 0.7, low), (s * 0.98, low), (s * 0.98, high), (s * 0.7, high)], (176, 30, 30))
        for s in (LEFT, RIGHT)
    ]


def _mirrors(vehicle: Vehicle, frame: Frame) -> Iterator[Part]:
    low = (frame.shape.glass[0] + 0.01) * frame.height
    deep, wide, high = (0.12, 0.20, 0.14) if frame.half_length < 2.8 else (0.14, 0.24, 0.42)
    front = frame.house.front_at(low) - (0.32 if frame.half_length < 2.8 else -0.05)
    outer = frame.house.half_at(low)
    for side in (LEFT, RIGHT):
        span = (side * (outer - 0.02), side * (outer + wide))
        mirror = box((front, front - deep), span, (low, low + high))
        yield Part(_UPON, mirror.centre, tuple(mirror.surfaces(vehicle.trim)))
