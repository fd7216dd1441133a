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
        subset: the part it belongs to.
        identity: from 1, and train and test share none; of a person also 0, a distractor, and -1, junk.
        camera: 0-based.
        frame: number of the frame in its camera.
        viewpoint: of a vehicle, in `vehicles.shapes.VIEWPOINTS`; None for a person.
        colour: of a vehicle.
        type: of a vehicle.
        key_points: of a vehicle: x and y in pixels of the 20 key points in turn, -1 where hidden.
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
