"""Things that stand in front of people and vehicles."""

from __future__ import annotations

import numpy as np

from reid_drawings.canvas import FULL_LIGHT, Canvas, Paint, Points
from reid_drawings.palette import RGB

_UNIT = 0.5
"""Things are as wide as fractions of this part of the picture's height, whatever its width."""


def draw_occluder(canvas: Canvas, kind: str, place: float, generator: np.random.Generator) -> None:
    """Draw a thing between the camera and whom it looks at.

    Args:
        canvas: what is drawn upon.
        kind: `pole`, `bicycle`, `car`, `bush`, `bin` or `sign`.
        place: its middle, as a fraction of the width.
        generator: the source of its details.
    """
    _OCCLUDERS[kind](canvas, place * canvas.size[0], generator)


def _box(left: float, top: float, right: float, bottom: float) -> Points:
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], dtype=np.float64)


def _tint(generator: np.random.Generator, low: float, high: float, by: float) -> RGB:
    values = np.clip(generator.uniform(low, high) + generator.normal(0.0, by, size=3), 5, 250)
    return int(values[0]), int(values[1]), int(values[2])


def _draw_pole(canvas: Canvas, x: float, generator: np.random.Generator) -> None:
    wide, high = _UNIT * canvas.size[1], canvas.size[1]
    radius = float(generator.uniform(0.035, 0.085)) * wide
    ends = np.array([[x, -10.0], [x + generator.normal(0, 3), high * float(generator.uniform(0.93, 1.1))]])
    canvas.tube(ends, [radius, radius], Paint(_tint(generator, 60, 170, 8)))


def _draw_bicycle(canvas: Canvas, x: float, generator: np.random.Generator) -> None:
    wide, high = _UNIT * canvas.size[1], canvas.size[1]
    wheel, y = 0.27 * wide * float(generator.uniform(0.85, 1.15)), 0.84 * high
    frame, dark = _tint(generator, 50, 190, 60), (30, 30, 32)
    left, right = x - wheel * 1.15, x + wheel * 1.15
    for hub in (left, right):
        canvas.ring((hub - wheel, y - wheel, hub + wheel, y + wheel), dark, width=5)
        spokes = np.array([[hub - wheel, y], [hub + wheel, y], [hub, y - wheel], [hub, y + wheel]])
        canvas.line(spokes, (120, 120, 122), width=1)
    seat, bar = (x - wheel * 0.4, y - wheel * 1.5), (x + wheel * 0.85, y - wheel * 1.6)
    canvas.line(np.array([[left, y], seat, bar, [right, y]]), frame, width=6)
    canvas.line(np.array([[left, y], [x, y], seat]), frame, width=6)
    canvas.line(np.array([[x, y], bar]), frame, width=6)
    canvas.line(np.array([bar, [bar[0] + wheel * 0.3, bar[1] - wheel * 0.3]]), dark, width=6)
    canvas.line(np.array([[seat[0] - 12, seat[1] - 4], [seat[0] + 14, seat[1] - 6]]), dark, width=9)


def _draw_car(canvas: Canvas, x: float, generator: np.random.Generator) -> None:
    wide, high = canvas.size
    body, top = _tint(generator, 40, 210, 34), float(generator.uniform(0.58, 0.74)) * high
    side = 1.0 if x > wide / 2 else -1.0
    edge = wide / 2 + side * float(generator.uniform(-0.1, 0.2)) * wide
    far = wide / 2 + side * wide
    roof = np.array([[edge + side * 60, top - 62], [far, top - 70], [far, top], [edge + side * 18, top]])
    canvas.polygon(roof, (62, 70, 80))
    shell = np.array([[edge, top + 22], [edge + side * 20, top], [far, top - 4], [far, high], [edge, high - 26]])
    canvas.polygon(shell, body)
    lower = shell.copy()
    lower[:3, 1] += 52
    canvas.shadow(lower, FULL_LIGHT - 30)
    hub = edge + side * 52
    canvas.ellipse((hub - 32, high - 62, hub + 32, high + 6), (28, 28, 30))
    canvas.ellipse((hub - 16, high - 44, hub + 16, high - 12), (142, 142, 146))


def _draw_bush(canvas: Canvas, x: float, generator: np.random.Generator) -> None:
    wide, high = _UNIT * canvas.size[1], canvas.size[1]
    top, reach = float(generator.uniform(0.55, 0.8)) * high, float(generator.uniform(0.3, 0.55)) * wide
    blobs = generator.uniform((-1, 0, 9), (1, 1, 22), size=(46, 3))
    lights = generator.integers(80, 150, size=46).tolist()
    for (u, v, r), light in zip(blobs.tolist(), lights, strict=True):
        cx, cy = x + u * reach * (0.5 + 0.5 * v), top + v * (high - top)
        canvas.ellipse((cx - r, cy - r, cx + r, cy + r * 0.8), (68, 100, 48), light=light)


def _draw_bin(canvas: Canvas, x: float, generator: np.random.Generator) -> None:
    wide, high = _UNIT * canvas.size[1], canvas.size[1]
    half, top = float(generator.uniform(0.12, 0.2)) * wide, float(generator.uniform(0.62, 0.76)) * high
    colour = _tint(generator, 40, 140, 30)
    canvas.tube(np.array([[x, top], [x, high + 4.0]]), [half * 1.05, half * 0.9], Paint(colour), round_ends=False)
    canvas.polygon(_box(x - half * 1.15, top - 9, x + half * 1.15, top + 5), (52, 54, 56))


def _draw_sign(canvas: Canvas, x: float, generator: np.random.Generator) -> None:
    wide, high = _UNIT * canvas.size[1], canvas.size[1]
    half, top = float(generator.uniform(0.14, 0.22)) * wide, float(generator.uniform(0.5, 0.68)) * high
    bottom = top + float(generator.uniform(0.16, 0.26)) * high
    for leg in (x - half * 0.8, x + half * 0.8):
        canvas.line(np.array([[leg, top], [leg, high]]), (70, 70, 72), width=6)
    canvas.polygon(_box(x - half, top, x + half, bottom), _tint(generator, 90, 225, 40))
    ink = _tint(generator, 20, 120, 40)
    for row in np.linspace(top + 10, bottom - 14, 4).tolist():
        canvas.polygon(_box(x - half * 0.75, row, x + half * float(generator.uniform(0.1, 0.75)), row + 6), ink)


_OCCLUDERS = {
    "pole": _draw_pole,
    "bicycle": _draw_bicycle,
    "car": _draw_car,
    "bush": _draw_bush,
    "bin": _draw_bin,
    "sign": _draw_sign,
}
