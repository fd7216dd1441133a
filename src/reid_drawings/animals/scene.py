"""A picture of one animal by one camera."""

from __future__ import annotations

import numpy as np
from PIL import Image

from reid_drawings.animals.builds import BUILDS
from reid_drawings.animals.head import draw_head
from reid_drawings.animals.identity import Animal
from reid_drawings.animals.marks import coat_paint, draw_brand
from reid_drawings.animals.pose import Posed, pose
from reid_drawings.animals.shot import AnimalShot
from reid_drawings.camera import Camera
from reid_drawings.canvas import Canvas, Paint

WIDTH, HEIGHT = 96, 96


def draw_animal(animal: Animal, camera: Camera, shot: AnimalShot, generator: np.random.Generator) -> Image.Image:
    """Draw a given shot.

    Args:
        animal: the animal.
        camera: the camera.
        shot: side, pose, crop and what stands in the way.
        generator: the source of uneven light and of the sensor's noise.

    Returns:
        an RGB picture, 96 wide and 96 high.
    """
    canvas = shot.framing.canvas(camera, (WIDTH, HEIGHT))
    posed = pose(animal, shot, canvas.size)
    _draw_shadow(canvas, posed)
    _draw_legs(canvas, animal, posed, shot, near=False)
    _draw_tail(canvas, animal, posed, shot)
    paint = coat_paint(animal, shot.side, posed, canvas.size)
    canvas.tube(posed.place(posed.trunk), posed.radii * posed.scale, paint)
    _draw_legs(canvas, animal, posed, shot, near=True)
    if animal.brand and animal.brand_side == shot.side:
        draw_brand(canvas, animal, posed)
    draw_head(canvas, animal, posed, tagged=animal.tag_side == shot.side)
    return shot.framing.exposed(canvas, camera, generator, cells=6)


def _draw_shadow(canvas: Canvas, posed: Posed) -> None:
    turns = np.linspace(0.0, 2.0 * np.pi, 20)
    ring = np.stack([0.5 + 0.62 * np.cos(turns), 0.02 + 0.06 * np.sin(turns)], axis=1)
    canvas.shadow(posed.place(ring), 96)


def _draw_legs(canvas: Canvas, animal: Animal, posed: Posed, shot: AnimalShot, *, near: bool) -> None:
    """Fore and hind leg of one side; those of the far side stand a little ahead, above and darker."""
    dim, shift = (1.0, 0.0) if near else (0.72, 0.07)
    coat = animal.coat.rgb
    sock = coat if animal.socks is None else animal.socks.rgb
    for place, turn in ((0.02, 0.0), (0.94, 2.2)):
        swing = shot.stride * np.sin(shot.phase + turn + (0.0 if near else np.pi))
        hip = np.array([place + shift, posed.leg - 0.3 * posed.radii[0]])
        length = hip[1] - (0.0 if near else 0.03)
        foot = hip + length * np.array([np.sin(swing), -np.cos(swing)])
        knee = hip + 0.55 * (foot - hip)
        for line, thick, colour in (((hip, knee), (0.42, 0.26), coat), ((knee, foot), (0.25, 0.2), sock)):
            dimmed = (int(colour[0] * dim), int(colour[1] * dim), int(colour[2] * dim))
            radii = np.array(thick) * (0.10 + 0.35 * posed.radii[0]) * posed.scale
            canvas.tube(posed.place(np.stack(line)), radii, Paint(dimmed))


def _draw_tail(canvas: Canvas, animal: Animal, posed: Posed, shot: AnimalShot) -> None:
    length = BUILDS[animal.kind].tail
    root = np.array([-0.8 * posed.radii[0], posed.leg + 0.55 * posed.radii[0]])
    swing = 0.25 + 0.25 * np.sin(shot.phase)
    tip = root + length * np.array([-np.sin(swing), -np.cos(swing)])
    middle = (root + tip) / 2 - (0.05, 0.0)
    radii = np.array([0.035, 0.04, 0.055]) * posed.scale
    canvas.tube(posed.place(np.stack([root, middle, tip])), radii, Paint(animal.tail.rgb))
