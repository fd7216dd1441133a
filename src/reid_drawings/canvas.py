"""A canvas of two layers, colour and light, drawn large and reduced at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from reid_drawings.camera import HEIGHT, WIDTH
from reid_drawings.palette import RGB

SUPERSAMPLING = 3
SIZE = (WIDTH * SUPERSAMPLING, HEIGHT * SUPERSAMPLING)
FULL_LIGHT = 128
_STRIPS = ((1.0, 84), (0.84, 106), (0.62, 124), (0.36, 140))
"""Strips of a round body, from the rim inwards: their width and their light."""

Points = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Paint:
    """A colour, or two: the second one where the mask says so."""

    colour: RGB
    second: RGB | None = None
    mask: Image.Image | None = None


class Canvas:
    """Two layers of one picture: the surfaces' own colours, and the light that falls on them.

    Attributes:
        light: where light comes from: -1 left, +1 right.
    """

    def __init__(self, background: Image.Image, *, light: float = 0.0) -> None:
        """Start from a background.

        Args:
            background: RGB picture, `SUPERSAMPLING` times too large; it is drawn upon.
            light: where light comes from.
        """
        self.light = light
        self._colours = background
        self._lights = Image.new("L", background.size, FULL_LIGHT)
        self._on_colours = ImageDraw.Draw(self._colours)
        self._on_lights = ImageDraw.Draw(self._lights)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in drawn pixels, `SUPERSAMPLING` of which make one of the picture."""
        return self._colours.size

    def polygon(self, points: Points, colour: RGB, *, light: int | None = FULL_LIGHT) -> None:
        """Fill a polygon; with `light` None, under the light that is there."""
        flat = points.ravel().tolist()
        self._on_colours.polygon(flat, fill=colour)
        if light is not None:
            self._on_lights.polygon(flat, fill=light)

    def ellipse(self, box: Sequence[float], colour: RGB, *, light: int = FULL_LIGHT) -> None:
        """Fill an ellipse given its box (left, top, right, bottom)."""
        self._on_colours.ellipse(list(box), fill=colour)
        self._on_lights.ellipse(list(box), fill=light)

    def ring(self, box: Sequence[float], colour: RGB, *, width: int) -> None:
        """Draw an ellipse's outline."""
        self._on_colours.ellipse(list(box), outline=colour, width=width)
        self._on_lights.ellipse(list(box), outline=FULL_LIGHT - 20, width=width)

    def line(self, points: Points, colour: RGB, *, width: int) -> None:
        """Draw an open line."""
        flat = points.ravel().tolist()
        self._on_colours.line(flat, fill=colour, width=width)
        self._on_lights.line(flat, fill=FULL_LIGHT, width=width)

    def shadow(self, points: Points, light: int, *, width: int = 0) -> None:
        """Set the light of a polygon, or of a line if a width is given; colours stay."""
        flat = points.ravel().tolist()
        if width:
            self._on_lights.line(flat, fill=light, width=width)
        else:
            self._on_lights.polygon(flat, fill=light)

    def fill(self, points: Points, paint: Paint) -> None:
        """Fill a polygon with a paint; the light stays."""
        flat = points.ravel().tolist()
        self._on_colours.polygon(flat, fill=paint.colour)
        if paint.second is not None and paint.mask is not None:
            self._fill_pattern(points, paint.second, paint.mask)

    def _fill_pattern(self, points: Points, colour: RGB, mask: Image.Image) -> None:
        low = np.maximum(np.floor(points.min(axis=0)), 0).astype(int)
        high = np.minimum(np.ceil(points.max(axis=0)) + 1, self._colours.size).astype(int)
        if (high <= low).any():
            return
        shape = Image.new("1", (int(high[0] - low[0]), int(high[1] - low[1])), 0)
        ImageDraw.Draw(shape).polygon((points - low).ravel().tolist(), fill=1)
        part = mask.crop((int(low[0]), int(low[1]), int(high[0]), int(high[1])))
        both = Image.new("L", shape.size, 0)
        both.paste(part, (0, 0), shape)
        self._colours.paste(colour, (int(low[0]), int(low[1])), both)

    def tube(
        self, points: Points, radii: Sequence[float] | NDArray[np.float64], paint: Paint, *, round_ends: bool = True
    ) -> None:
        """Draw a round limb along a line.

        Args:
            points: the limb's middle line `[n, 2]`.
            radii: its radius at each point.
            paint: its paint.
            round_ends: whether the ends are rounded.
        """
        middle, radius = points, np.asarray(radii, dtype=np.float64)
        steps = np.gradient(middle, axis=0)
        steps /= np.maximum(np.hypot(steps[:, 0], steps[:, 1]), 1e-6)[:, None]
        if round_ends:
            middle = np.vstack(
                [middle[0] - steps[0] * radius[0] * 0.7, middle, middle[-1] + steps[-1] * radius[-1] * 0.7]
            )
            radius = np.concatenate([[radius[0] * 0.6], radius, [radius[-1] * 0.6]])
            steps = np.vstack([steps[0], steps, steps[-1]])
        normals = np.stack([-steps[:, 1], steps[:, 0]], axis=1)
        outline = _outline(middle, normals, radius)
        self.fill(outline, paint)
        lit = normals * (normals[:, 0] * self.light * radius * 0.75)[:, None]
        for width, light in _STRIPS:
            strip = _outline(middle + lit * (1.0 - width), normals, radius * width)
            self._on_lights.polygon(strip.ravel().tolist(), fill=light)

    def finish(self, unevenness: NDArray[np.float32]) -> NDArray[np.float32]:
        """Reduce both layers and multiply them.

        Args:
            unevenness: factors of the light, small `[h, w]`; stretched over the picture.

        Returns:
            colours `[height, width, 3]` of the reduced picture, in 0..255 (or slightly above).
        """
        colours = np.asarray(self._colours.reduce(SUPERSAMPLING), dtype=np.float32)
        lights = np.asarray(self._lights.reduce(SUPERSAMPLING), dtype=np.float32) * np.float32(1 / FULL_LIGHT)
        high, wide = lights.shape
        patches = Image.fromarray(unevenness).resize((wide, high), Image.Resampling.BILINEAR)
        lit = lights * np.asarray(patches, dtype=np.float32)
        return (colours * lit[..., None]).astype(np.float32)


def _outline(middle: Points, normals: Points, radius: NDArray[np.float64]) -> Points:
    reach = normals * radius[:, None]
    return np.vstack([middle + reach, (middle - reach)[::-1]])
