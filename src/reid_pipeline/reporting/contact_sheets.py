"""Small pictures, one or several side by side, as WebP: a page shows hundreds of them in a megabyte."""

import base64
import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Picture = NDArray[np.uint8]
HEIGHT = 56
"""Pixels; a width is at most twice that."""
GAP, FIRST_GAP = 4, 20
"""Pixels between two images; after the first, where that is the one asked about."""
_PAPER = (255, 255, 255, 0)  # the page's own shows through, white or dark


def thumbnail(picture: Picture, height: int = HEIGHT) -> Picture:
    """Return the picture, uint8 [H, W, 3], whole and `height` pixels high, or lower where it is very broad."""
    rows, columns = picture.shape[:2]
    scale = min(height / rows, 2 * height / columns)
    size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))


def row_of(pictures: Sequence[Picture], *, asked: bool = False) -> bytes:
    """Return thumbnails in a row on what is below them, as WebP; with `asked` the first stands apart."""
    gaps = [FIRST_GAP if asked and not place else GAP for place in range(len(pictures))]
    width = sum(each.shape[1] for each in pictures) + sum(gaps)
    row, left = Image.new("RGBA", (width, HEIGHT), _PAPER), 0
    for picture, gap in zip(pictures, gaps, strict=True):
        row.paste(Image.fromarray(picture), (left, (HEIGHT - picture.shape[0]) // 2))
        left += picture.shape[1] + gap
    return as_webp(np.asarray(row))


def as_webp(picture: Picture) -> bytes:
    """Return the picture, uint8 [H, W, 3] or [H, W, 4] with transparency, as WebP: about half of the bytes of JPEG."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "WEBP", quality=75)
    return buffer.getvalue()


def source_of(picture: bytes) -> str:
    """Return a picture of `as_webp` as the source of an `img` that loads nothing."""
    return f"data:image/webp;base64,{base64.b64encode(picture).decode('ascii')}"
