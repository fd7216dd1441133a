"""A picture of one vehicle by one camera."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from reid_drawings.camera import Camera
from reid_drawings.canvas import FULL_LIGHT, SUPERSAMPLING, Canvas
from reid_drawings.framing import Framing
from reid_drawings.vehicles.model import Model
from reid_drawings.vehicles.solid import Points
from reid_drawings.vehicles.view import Stand, look_at

WIDTH, HEIGHT = 128, 96
SIZE = (WIDTH * SUPERSAMPLING, HEIGHT * SUPERSAMPLING)
OCCLUDERS = ("pole", "bush", "sign", "bin", "bicycle")


@dataclass(frozen=True, slots=True)
class VehicleShot:
    """What differs between two pictures of one vehicle by one camera.

    Attributes:
        stand: where the camera stands.
        viewpoint: which of `shapes.VIEWPOINTS` is seen.
        framing: of the crop.
        neighbour_shift: where another vehicle's middle is, as `shift`.
    """

    stand: Stand
    viewpoint: int
    framing: Framing
    neighbour_shift: tuple[float, float]


def draw_vehicle(
    model: Model, camera: Camera, shot: VehicleShot, generator: np.random.Generator, *, neighbour: Model | None = None
) -> Image.Image:
    """Draw a given shot.

    Args:
        model: the vehicle's model.
        camera: the camera.
        shot: viewpoint, crop and what stands in the way.
        generator: the source of uneven light and of the sensor's noise.
        neighbour: another vehicle, partly in the picture and behind.

    Returns:
        an RGB picture, 128 wide and 96 high.
    """
    framing = shot.framing
    canvas = framing.canvas(camera, (WIDTH, HEIGHT))
    if neighbour is not None:
        _place(canvas, neighbour, camera, shot, fill=framing.fill * 0.8, shift=shot.neighbour_shift)
    _place(canvas, model, camera, shot, fill=framing.fill, shift=framing.shift)
    return framing.exposed(canvas, camera, generator, cells=8)


@dataclass(frozen=True, slots=True)
class Placed:
    """How projected points come to the picture: scale, then offset, in drawn pixels."""

    stand: Stand
    middle: float
    scale: float
    offset: tuple[float, float]

    def points(self, points: Points) -> Points:
        """Project points `[n, 3]` to drawn pixels and nearness `[n, 3]`."""
        seen = look_at(points, self.stand, middle=self.middle)
        seen[:, :2] = seen[:, :2] * self.scale + np.asarray(self.offset)
        return seen


def place(model: Model, shot: VehicleShot, *, fill: float, shift: tuple[float, float]) -> Placed:
    """Fit a vehicle into the picture.

    Args:
        model: the vehicle's model.
        shot: says where the camera stands.
        fill: share of the picture that the vehicle fills, at most, along either axis.
        shift: of its middle from the picture's, as fractions of the width and the height.

    Returns:
        the projection to drawn pixels.
    """
    middle = model.frame.height / 2
    seen = look_at(model.corners, shot.stand, middle=middle)[:, :2]
    low, high = seen.min(axis=0), seen.max(axis=0)
    scale = float((np.asarray(SIZE) * fill / (high - low)).min())
    centre = np.asarray(SIZE) * (0.5 + np.asarray(shift)) - (low + high) / 2 * scale
    return Placed(shot.stand, middle, scale, (float(centre[0]), float(centre[1])))


def _place(
    canvas: Canvas, model: Model, camera: Camera, shot: VehicleShot, *, fill: float, shift: tuple[float, float]
) -> None:
    placed = place(model, shot, fill=fill, shift=shift)
    _draw_shadow(canvas, model, placed)
    flat = placed.points(model.corners)
    visible = _areas(flat, model.ends) > 0.5
    lights = _lights(model, shot.stand, camera.light)
    away = [-(centre @ shot.stand.axes[2]) for _, centre, _, _ in model.parts]
    order = sorted(range(len(model.parts)), key=lambda n: (model.parts[n][0], -away[n]))
    starts = (0, *model.ends[:-1])
    for number in order:
        _, _, first, last = model.parts[number]
        for n in range(first, last):
            if visible[n]:
                corners = flat[starts[n] : model.ends[n], :2]
                canvas.polygon(corners, model.colours[n], light=lights[n])


def _areas(flat: Points, ends: tuple[int, ...]) -> Points:
    """Signed areas in drawn pixels: positive for surfaces that face the camera."""
    starts = np.array((0, *ends[:-1]))
    following = np.arange(1, len(flat) + 1)
    following[np.array(ends) - 1] = starts
    x, y = flat[:, 0], -flat[:, 1]
    cross = x * y[following] - x[following] * y
    return np.asarray(np.add.reduceat(cross, starts) / 2, dtype=np.float64)


def _lights(model: Model, stand: Stand, light: float) -> list[int]:
    """Light on each surface: from above, from the camera's light side, a little from the camera."""
    right, _, towards = stand.axes
    upward = np.maximum(model.normals[:, 2], 0.0)
    falls = 0.66 + 0.36 * upward + 0.16 * light * (model.normals @ right) + 0.14 * (model.normals @ towards)
    levels: list[int] = np.clip(FULL_LIGHT * falls * model.gloss, 20, 190).astype(int).tolist()
    return levels


def _draw_shadow(canvas: Canvas, model: Model, placed: Placed) -> None:
    frame = model.frame
    for reach, light in ((1.12, 104), (1.03, 66)):
        x, y = frame.half_length * (reach if reach < 1.1 else 1.05), frame.half_width * reach
        corners = np.array([[x, y, 0], [x * 1.01, 0, 0], [x, -y, 0], [-x, -y, 0], [-x * 1.01, 0, 0], [-x, y, 0]])
        canvas.shadow(placed.points(corners)[:, :2], light)
