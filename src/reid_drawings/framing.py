"""How a crop is framed: where its thing is, what is behind, how bright it is, and what stands in the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from reid_drawings.background import wide_window
from reid_drawings.camera import Camera, expose
from reid_drawings.canvas import Canvas
from reid_drawings.occluders import draw_occluder


@dataclass(frozen=True, slots=True)
class Framing:
    """What differs between two crops of one thing by one camera, apart from its pose.

    Attributes:
        fill: share of the picture that the thing fills, at most, along either axis.
        shift: of its middle from the picture's, as fractions of the width and the height.
        window: which part of the camera's scene is behind: horizontal and vertical offset, and zoom.
        brightness: this shot's own exposure.
        occluder: one of `occluders`, or empty.
        occluder_place: where it stands, as a fraction of the width.
        occluder_seed: seed of its details.
    """

    fill: float
    shift: tuple[float, float]
    window: tuple[float, float, float]
    brightness: float
    occluder: str
    occluder_place: float
    occluder_seed: int

    def canvas(self, camera: Camera, size: tuple[int, int]) -> Canvas:
        """Return a canvas of a width and height, with the window of the camera's scene on it."""
        return Canvas(wide_window(camera, size, self.window), light=camera.light)

    def exposed(self, canvas: Canvas, camera: Camera, generator: np.random.Generator, *, cells: int) -> Image.Image:
        """Draw what stands in the way, and take the picture.

        Args:
            canvas: with the thing on it.
            camera: the camera.
            generator: the source of uneven light, on 6 by `cells` cells, and of the sensor's noise.
            cells: along the width.

        Returns:
            an RGB picture.
        """
        if self.occluder:
            draw_occluder(canvas, self.occluder, self.occluder_place, np.random.default_rng(self.occluder_seed))
        unevenness = generator.normal(1.0, 0.05, size=(6, cells)).astype(np.float32)
        return expose(canvas.finish(unevenness), camera, generator, brightness=self.brightness)


def draw_framing(
    generator: np.random.Generator,
    misfit: NDArray[np.float64],
    *,
    edge: float,
    occluders: Sequence[str],
    zoom: tuple[float, float],
) -> Framing:
    """Draw a framing.

    Args:
        generator: the source of randomness.
        misfit: how badly the crop fits, `[3]`: in size, across and upright.
        edge: at which edge an occluder stands: -1 left, 1 right.
        occluders: what may stand in the way, by name; nothing if empty.
        zoom: least and greatest of the scene behind.

    Returns:
        the framing.
    """
    return Framing(
        fill=float(0.92 * np.exp(0.07 * misfit[0])),
        shift=(float(0.04 * misfit[1]), float(0.04 * misfit[2])),
        window=(float(generator.random()), float(generator.normal(0.0, 0.05)), float(generator.uniform(*zoom))),
        brightness=float(np.exp(generator.normal(0.0, 0.07))),
        occluder=occluders[int(generator.integers(len(occluders)))] if occluders else "",
        occluder_place=0.5 + edge * float(generator.uniform(0.1, 0.45)),
        occluder_seed=int(generator.integers(2**31)),
    )
