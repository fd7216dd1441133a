"""The solids of one vehicle: its type's build, stretched to its own size."""

from __future__ import annotations

from dataclasses import dataclass

from reid_drawings.vehicles.identity import Vehicle
from reid_drawings.vehicles.shapes import SHAPES, Shape
from reid_drawings.vehicles.solid import Solid


@dataclass(frozen=True, slots=True)
class Frame:
    """A vehicle's solids.

    Attributes:
        shape: the type's build.
        half_length: in metres.
        half_width: in metres.
        height: in metres.
        body: lower body, or all of it.
        house: what has the windows: the cabin, or the body itself.
        cargo: a truck's box, or None.
    """

    shape: Shape
    half_length: float
    half_width: float
    height: float
    body: Solid
    house: Solid
    cargo: Solid | None


def frame_of(vehicle: Vehicle) -> Frame:
    """Build a vehicle's solids.

    Args:
        vehicle: the vehicle.

    Returns:
        its solids.
    """
    shape = SHAPES[vehicle.type]
    length, width, height = (size * factor for size, factor in zip(shape.size, vehicle.stretch, strict=True))
    scale = (length / 2, height, width / 2)
    body = Solid(shape.body, scale)
    house = Solid(shape.cabin, scale) if shape.cabin else body
    cargo = Solid(shape.cargo, scale) if shape.cargo else None
    return Frame(shape, length / 2, width / 2, height, body, house, cargo)
