"""Opening one image file."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional as F

from reid_pipeline.images.picture import PictureError, load_picture, to_rgb, upright
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.parameters import Resize
from reid_pipeline.schema.regular_files import read_regular

READING = 1  # version of the way from file to pixels; incremented when pixels change, so that no cache returns old ones


class TargetSize(NamedTuple):
    """How images become arrays: height and width in pixels, the filter, and the 16-bit number that is white.

    A plain (height, width) is bicubic, and white is 65535.
    """

    height: int
    width: int
    resize_filter: Resize = "bicubic"
    white_value: int | None = None  # `ingestion.white_value`

    @property
    def nbytes(self) -> int:
        """Bytes of an image."""
        return self.height * self.width * 3


def read_image(
    path: Path, size: tuple[int, int] | TargetSize | None = None, *, white_value: int | None = None
) -> np.ndarray:
    """Decode an image as RGB and, where a size is given, resize it (antialiased, aspect ratio not preserved).

    EXIF rotation is applied; how other modes become RGB says `picture.to_rgb`. `white_value` is for an image in its own
    size; a `TargetSize` has it among its fields.

    Returns:
        uint8 array [height, width, 3].

    Raises:
        UserError: the file is absent, empty, truncated or no image; the message names it.
    """
    return decode_image(read_file(path), path, size, white_value=white_value)


def read_file(path: Path) -> bytes:
    """Return the bytes of an image file, or refuse one that is absent or cannot be opened."""
    try:
        return read_regular(path)
    except FileNotFoundError as error:
        raise UserError(f"Image {path} does not exist. Put it back, or run ingestion again.") from error
    except OSError as error:
        raise UserError(
            f"Image {path} cannot be decoded, since it cannot be opened: {error.strerror}. Make it readable,"
            " or remove it and run ingestion again."
        ) from error


def decode_image(
    content: bytes, path: Path, size: tuple[int, int] | TargetSize | None = None, *, white_value: int | None = None
) -> np.ndarray:
    """Decode `content`, the bytes of the file `path`, as `read_image` does."""
    target = None if size is None else TargetSize(*size)
    white = white_value if target is None else target.white_value
    try:
        pixels = np.array(to_rgb(upright(load_picture(content)), white))
    except PictureError as error:
        raise UserError(
            f"Image {path} ({len(content)} bytes) cannot be decoded: {error}."
            " Replace the file with a good copy, or remove it and run again."
        ) from error
    return pixels if target is None else resize(pixels, target)


def resize(pixels: np.ndarray, target: TargetSize) -> np.ndarray:
    """Resize uint8 [h, w, 3] with antialiasing: Pillow's result but for rounding, by two levels at most.

    It is four times as fast (docs/performance.md): weights have 16 bits here and 22 there, and rows come first.
    """
    # The batch axis goes in front of the rows: only then torch sees that channels come last.
    batch = torch.from_numpy(pixels)[None].permute(0, 3, 1, 2)
    made = F.interpolate(batch, (target.height, target.width), mode=target.resize_filter, antialias=True)
    return made[0].permute(1, 2, 0).numpy()
