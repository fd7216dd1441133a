"""A number for each cell of an image, as colours over the image: dark violet is least, then red, yellow is most."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from reid_pipeline.schema.explanations import HeatMap

Picture = NDArray[np.uint8]
HEIGHT, WIDEST = 160, 200
"""Pixels of a picture at most."""
_RAMP = np.array([(8, 6, 40), (78, 18, 110), (176, 42, 92), (236, 104, 38), (252, 186, 40), (252, 250, 160)], float)
_SHARE = 0.6  # of the colour; the rest is the image, in grey


def picture_below(picture: Picture) -> Picture:
    """Return the picture, uint8 [H, W, 3], whole, and as large as it is shown."""
    rows, columns = picture.shape[:2]
    scale = min(HEIGHT / rows, WIDEST / columns)
    size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))


def coloured(picture: Picture, heat: HeatMap, ends: tuple[float, float] | None = None) -> Picture:
    """Return the picture in grey below the colours of its cells, uint8 [H, W, 3].

    `ends` are the values of the first and the last colour; None: the least and the greatest of this map. Between the
    middles of cells colours go over into one another.
    """
    values = np.array(heat.values, np.float32).reshape(heat.rows, heat.columns)
    low, high = (float(values.min()), float(values.max())) if ends is None else ends
    shares = np.clip((values - low) / max(high - low, 1e-12), 0, 1).astype(np.float32)
    rows, columns = picture.shape[:2]
    smooth = np.asarray(Image.fromarray(shares).resize((columns, rows), Image.Resampling.BILINEAR))
    places = smooth * (len(_RAMP) - 1)
    channels = [np.interp(places, np.arange(len(_RAMP)), _RAMP[:, channel]) for channel in range(3)]
    grey = np.asarray(Image.fromarray(picture).convert("L"), np.float64)
    blended = _SHARE * np.stack(channels, axis=2) + (1 - _SHARE) * grey[:, :, None]
    return blended.round().astype(np.uint8)
