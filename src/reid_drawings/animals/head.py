"""Neck and head of an animal, with ears, horns, collar and tag."""

from __future__ import annotations

import numpy as np

from reid_drawings.animals.identity import Animal
from reid_drawings.animals.pose import Posed
from reid_drawings.canvas import Canvas, Paint, Points
from reid_drawings.palette import RGB

_HORN: RGB = (206, 196, 170)
_DARK: RGB = (24, 22, 22)


def draw_head(canvas: Canvas, animal: Animal, posed: Posed, *, tagged: bool) -> None:
    """Draw neck and head.

    Args:
        canvas: what is drawn upon.
        animal: the animal.
        posed: its pose.
        tagged: whether the ear that is seen has the tag.
    """
    root, poll = posed.neck
    radius, scale = posed.head_radius, posed.scale
    face = animal.coat if animal.face is None else animal.face
    _draw_horns(canvas, animal, posed)
    canvas.tube(posed.place(posed.neck), np.array([1.25, 0.85]) * posed.neck_radius * scale, Paint(animal.coat.rgb))
    if animal.collar is not None:
        spots = posed.place(np.stack([root + (poll - root) * share for share in (0.42, 0.68)]))
        thick = np.array([1.16, 1.06]) * posed.neck_radius * scale
        canvas.tube(spots, thick, Paint(animal.collar.rgb), round_ends=False)
    canvas.tube(posed.place(np.stack([poll, posed.nose])), np.array([1.0, 0.62]) * radius * scale, Paint(face.rgb))
    eye, nose = posed.place(np.stack([poll + 0.3 * (posed.nose - poll) + (0.0, 0.3 * radius), posed.nose]))
    _draw_disc(canvas, eye, 0.16 * radius * scale, _DARK)
    _draw_disc(canvas, nose, 0.3 * radius * scale, _DARK)
    _draw_ear(canvas, animal, posed, tagged=tagged)


def _draw_disc(canvas: Canvas, middle: Points, radius: float, colour: RGB) -> None:
    canvas.ellipse((*(middle - radius), *(middle + radius)), colour)


def _draw_ear(canvas: Canvas, animal: Animal, posed: Posed, *, tagged: bool) -> None:
    radius = posed.head_radius
    root = posed.neck[1] + radius * np.array([-0.25, 0.6])
    reach = {"pointed": (-0.35, 1.3), "drooping": (-0.75, -1.3), "round": (-0.3, 0.7)}[animal.ears]
    tip = root + radius * np.array(reach)
    thick = {"pointed": (0.5, 0.1), "drooping": (0.38, 0.45), "round": (0.5, 0.6)}[animal.ears]
    canvas.tube(posed.place(np.stack([root, tip])), np.array(thick) * radius * posed.scale, Paint(animal.coat.rgb))
    if tagged and animal.tag is not None:
        middle = posed.place((root + 0.6 * (tip - root))[None])[0]
        _draw_disc(canvas, middle, 0.42 * radius * posed.scale, animal.tag.rgb)


def _draw_horns(canvas: Canvas, animal: Animal, posed: Posed) -> None:
    if not animal.horns:
        return
    lines = {
        "short": ((0.0, 0.0), (0.2, 1.1)),
        "long": ((0.0, 0.0), (-0.2, 1.4), (-0.8, 2.8)),
        "curved": ((0.0, 0.0), (-0.6, 1.3), (-1.6, 1.2), (-1.9, 0.2)),
    }
    line = posed.neck[1] + posed.head_radius * (np.array(lines[animal.horns]) + np.array([0.15, 0.6]))
    radii = np.linspace(0.28, 0.12, len(line)) * posed.head_radius * posed.scale
    canvas.tube(posed.place(line), radii, Paint(_HORN))
