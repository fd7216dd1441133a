"""A drawn picture together with what is known of it, before any layout gives it a name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Subset = Literal["train", "query", "gallery"]


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture.

    Attributes:
        data: JPEG bytes.
        subset: The part it belongs to.
        identity: From 1, and train and test share none; of a person also 0, a distractor, and -1, junk.
        camera: 0-based.
        frame: Number of the frame in its camera.
        viewpoint: Of a vehicle, in `vehicles.shapes.VIEWPOINTS`; None for a person.
        colour: Of a vehicle.
        type: Of a vehicle.
        key_points: Of a vehicle: x and y in pixels of the 20 key points in turn, -1 where hidden.
    """

    data: bytes
    subset: Subset
    identity: int
    camera: int
    frame: int
    viewpoint: int | None = None
    colour: str | None = None
    type: str | None = None
    key_points: tuple[int, ...] = ()
