"""What is behind people: a camera's fixed scene, of which each picture shows a window."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from reid_drawings.camera import HEIGHT, WIDTH, Camera
from reid_drawings.canvas import SIZE, SUPERSAMPLING
from reid_drawings.palette import RGB
from reid_drawings.shot import Shot

_SCENE = (WIDTH * 4, HEIGHT + 36)
_HIGH_HORIZON = 0.22
"""Where a wide window shows the line between ground and backdrop on average, as a fraction of its height."""
_GROUND_COLOURS: dict[str, RGB] = {
    "pavement": (158, 152, 146),
    "road": (104, 104, 108),
    "grass": (104, 128, 66),
    "tiles": (184, 164, 148),
}
_BACK_COLOURS: dict[str, RGB] = {
    "wall": (156, 122, 102),
    "shop": (146, 140, 134),
    "hedge": (62, 86, 48),
    "building": (176, 172, 162),
    "open": (176, 190, 204),
}


def window_on_scene(camera: Camera, shot: Shot) -> Image.Image:
    """The part of a camera's scene behind a shot.

    Args:
        camera: the camera.
        shot: says which part.

    Returns:
        a fresh RGB picture of the canvas's size.
    """
    scene = scene_of(camera.ground, camera.backdrop, camera.horizon, camera.scene_seed)
    wide, high = WIDTH * shot.window[2], HEIGHT * shot.window[2]
    left = (shot.window[0] % 1.0) * (scene.width - wide)
    top = (0.5 + 0.5 * np.sin(shot.window[1])) * (scene.height - high)
    return scene.resize(SIZE, Image.Resampling.BILINEAR, box=(left, top, left + wide, top + high))


def wide_window(camera: Camera, size: tuple[int, int], window: tuple[float, float, float]) -> Image.Image:
    """The part of a camera's scene behind a vehicle or an animal, seen from a little above.

    Args:
        camera: the camera.
        size: width and height of the picture.
        window: which part: horizontal and vertical offset, and zoom.

    Returns:
        a fresh RGB picture, `SUPERSAMPLING` times as large.
    """
    scene = scene_of(camera.ground, camera.backdrop, camera.horizon, camera.scene_seed)
    wide, high = size[0] * window[2], size[1] * window[2]
    left = (window[0] % 1.0) * (scene.width - wide)
    line = camera.horizon * HEIGHT + 18
    top = float(np.clip(line - (_HIGH_HORIZON + window[1]) * high, 0.0, scene.height - high))
    drawn = (size[0] * SUPERSAMPLING, size[1] * SUPERSAMPLING)
    return scene.resize(drawn, Image.Resampling.BILINEAR, box=(left, top, left + wide, top + high))


@lru_cache(maxsize=32)
def scene_of(ground: str, backdrop: str, horizon: float, seed: int) -> Image.Image:
    """Draw a camera's scene.

    Args:
        ground: kind of ground.
        backdrop: kind of scene above it.
        horizon: line between the two, as a fraction of a picture's height.
        seed: seed of the details.

    Returns:
        the scene, several pictures wide; shared, so it must not be drawn upon.
    """
    generator = np.random.default_rng(seed)
    line = int(horizon * HEIGHT + 18)
    image = Image.new("RGB", _SCENE, _near(generator, _BACK_COLOURS[backdrop]))
    draw = ImageDraw.Draw(image)
    _BACKDROPS[backdrop](draw, line, generator)
    _draw_ground(draw, ground, line, generator)
    _draw_furniture(draw, line, generator)
    shades = generator.normal(1.0, 0.05, size=(_SCENE[1], _SCENE[0], 1)).astype(np.float32)
    coarse = Image.fromarray(generator.normal(1.0, 0.09, size=(8, 16)).astype(np.float32))
    patches = np.asarray(coarse.resize(_SCENE, Image.Resampling.BICUBIC))[..., None]
    return Image.fromarray(np.clip(np.asarray(image) * shades * patches, 0, 255).astype(np.uint8))


def _near(generator: np.random.Generator, colour: RGB, by: float = 10.0) -> RGB:
    values = np.clip(np.asarray(colour) * generator.uniform(0.8, 1.2) + generator.normal(0, by, size=3), 0, 255)
    return int(values[0]), int(values[1]), int(values[2])


def _draw_ground(draw: ImageDraw.ImageDraw, kind: str, line: int, generator: np.random.Generator) -> None:
    wide, high = _SCENE
    colour = _near(generator, _GROUND_COLOURS[kind], 9.0)
    for top in range(line, high, 4):
        factor = 0.86 + 0.22 * (top - line) / max(1, high - line)
        draw.rectangle((0, top, wide, top + 4), fill=tuple(min(255, int(c * factor)) for c in colour))
    seam = tuple(int(c * 0.8) for c in colour)
    if kind in ("pavement", "tiles"):
        step, y = 4.0 if kind == "tiles" else 6.0, float(line)
        while y < high:
            draw.line((0, y, wide, y), fill=seam)
            y += step
            step *= 1.25
        gap = 12 if kind == "tiles" else 26
        for x in range(-wide, 2 * wide, gap):
            draw.line((wide / 2 + (x - wide / 2) * 0.6, line, x, high), fill=seam)
    elif kind == "road":
        y = line + float(generator.uniform(0.2, 0.8)) * (high - line)
        for x in range(0, wide, 34):
            draw.polygon([(x, y), (x + 18, y), (x + 16, y + 5), (x - 2, y + 5)], fill=(206, 204, 196))
        draw.rectangle((0, line, wide, line + 5), fill=_near(generator, (166, 162, 156), 6.0))
    else:
        for x, y in generator.uniform((0, line), (wide, high), size=(500, 2)).tolist():
            draw.line((x, y, x + 1, y - 3), fill=_near(generator, colour, 10.0))


def _draw_wall(draw: ImageDraw.ImageDraw, line: int, generator: np.random.Generator) -> None:
    mortar = _near(generator, (134, 112, 98))
    for row, y in enumerate(range(0, line, 6)):
        draw.line((0, y, _SCENE[0], y), fill=mortar)
        for x in range((row % 2) * 7, _SCENE[0], 14):
            draw.line((x, y, x, y + 6), fill=mortar)
    for x in generator.integers(0, _SCENE[0], size=2).tolist():
        draw.rectangle((x, line - 44, x + 22, line), fill=_near(generator, (84, 72, 64)))


def _draw_shop(draw: ImageDraw.ImageDraw, line: int, generator: np.random.Generator) -> None:
    x = -10
    while x < _SCENE[0]:
        wide = int(generator.integers(30, 64))
        glass = _near(generator, (96, 108, 116), 14.0)
        draw.rectangle((x, 0, x + wide - 5, line - 6), fill=glass)
        for _ in range(5):
            left, top = x + int(generator.integers(wide - 8)), int(generator.integers(max(1, line - 20)))
            draw.rectangle((left, top, left + 7, top + 14), fill=_near(generator, (150, 126, 112), 26.0))
        draw.rectangle((x, 0, x + wide - 5, 7), fill=_near(generator, (140, 96, 86), 26.0))
        x += wide


def _draw_hedge(draw: ImageDraw.ImageDraw, line: int, generator: np.random.Generator) -> None:
    for x, y, r in generator.uniform((0, 0, 3), (_SCENE[0], line, 9), size=(220, 3)).tolist():
        draw.ellipse((x - r, y - r, x + r, y + r * 0.8), fill=_near(generator, (66, 92, 48), 10.0))


def _draw_building(draw: ImageDraw.ImageDraw, line: int, generator: np.random.Generator) -> None:
    wide, high = int(generator.integers(13, 22)), int(generator.integers(18, 28))
    for y in range(-4, line - high // 2, high):
        for x in range(4, _SCENE[0], wide * 2):
            draw.rectangle((x, y, x + wide, y + high - 8), fill=_near(generator, (82, 92, 104), 10.0))


def _draw_open(draw: ImageDraw.ImageDraw, line: int, generator: np.random.Generator) -> None:
    for x, r in generator.uniform((0, 8), (_SCENE[0], 20), size=(9, 2)).tolist():
        draw.rectangle((x - 2, line - 34, x + 2, line), fill=(82, 66, 52))
        draw.ellipse((x - r, line - 40 - r, x + r, line - 28 + r / 2), fill=_near(generator, (84, 108, 62), 12.0))


def _draw_furniture(draw: ImageDraw.ImageDraw, line: int, generator: np.random.Generator) -> None:
    for x in generator.uniform(0, _SCENE[0], size=3).tolist():
        draw.rectangle((x, 0, x + 3, line + 14), fill=_near(generator, (92, 92, 94), 14.0))
    for x in generator.uniform(0, _SCENE[0], size=2).tolist():
        paint = _near(generator, (130, 126, 128), 26.0)
        draw.rounded_rectangle((x, line - 14, x + 62, line + 10), radius=7, fill=paint)
        draw.rounded_rectangle((x + 10, line - 26, x + 48, line - 8), radius=6, fill=(58, 64, 72))
        for wheel in (x + 14, x + 48):
            draw.ellipse((wheel - 7, line + 3, wheel + 7, line + 17), fill=(36, 36, 38))


_BACKDROPS = {
    "wall": _draw_wall,
    "shop": _draw_shop,
    "hedge": _draw_hedge,
    "building": _draw_building,
    "open": _draw_open,
}
