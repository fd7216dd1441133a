"""Patterns of cloth: where the second colour shows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from reid_drawings.canvas import SIZE, Paint
from reid_drawings.identity import Garment
from reid_drawings.skeleton import View

_X = np.arange(SIZE[0], dtype=np.float32)[None, :]
_Y = np.arange(SIZE[1], dtype=np.float32)[:, None]


def paint_of(garment: Garment, view: View, *, waist: float) -> Paint:
    """The paint of a garment as it lies on a body in a view.

    Args:
        garment: kind, colours and pattern.
        view: gives the pattern's scale and place.
        waist: height at which a two-coloured garment changes colour.

    Returns:
        the paint.
    """
    if garment.pattern == "plain":
        return Paint(garment.colour.rgb)
    x, y = view.place((0.0, waist, 0.0))
    period = max(3.0, garment.period * view.scale)
    shown = _shown(garment.pattern, _X - np.float32(x + 0.3 * period), _Y - np.float32(y), np.float32(period))
    mask = Image.fromarray(np.broadcast_to(shown.astype(np.uint8) * 255, SIZE[::-1]))
    return Paint(garment.colour.rgb, garment.second.rgb, mask)


def _shown(pattern: str, x: NDArray[np.float32], y: NDArray[np.float32], period: np.float32) -> NDArray[np.bool_]:
    if pattern == "striped":
        level = period * np.float32(0.45) - y % period
    elif pattern == "vertically striped":
        level = period * np.float32(0.4) - x % period
    elif pattern == "checked":
        level = period * np.float32(0.3) - np.minimum(x % period, y % period)
    elif pattern == "dotted":
        row = np.floor(y / period) % 2
        across = (x + row * period / 2) % period - period / 2
        down = y % period - period / 2
        level = (period * np.float32(0.3)) ** 2 - (across * across + down * down)
    elif pattern == "two-coloured":
        level = -y
    else:
        slow = np.sin(x / period * 3 + 2 * np.sin(y / period * 2.1))
        level = slow + np.sin(y / period * 3.7 + x / period * 1.3) - np.float32(0.4)
    return np.asarray(level > 0, dtype=np.bool_)
