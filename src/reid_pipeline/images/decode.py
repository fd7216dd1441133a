"""Opening one image file."""

from pathlib import Path

import numpy as np
from PIL import Image

from reid_pipeline.images.picture import PictureError, load_picture, to_rgb, upright
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.parameters import Resize

_FILTERS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}


def read_image(path: Path, size: tuple[int, int] | None = None, resize: Resize = "bicubic") -> np.ndarray:
    """Decode an image as RGB and, if asked, resize it (antialiased, aspect not kept).

    Args:
        path: a file in any format Pillow reads; EXIF rotation is applied; grey, CMYK and palette images
            become RGB, transparent parts white, 16-bit grey is scaled (`picture.to_rgb`).
        size: height, width in pixels; the file's own when None.
        resize: the filter.

    Returns:
        uint8 array [height, width, 3].

    Raises:
        UserError: the file is absent, empty, truncated or no image; the message names it.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise UserError(f"Image {path} does not exist. Put it back, or run ingestion again.") from error
    except OSError as error:
        raise UserError(
            f"Image {path} cannot be decoded, since it cannot be opened: {error.strerror}. Make it readable,"
            " or remove it and run ingestion again."
        ) from error
    try:
        image = to_rgb(upright(load_picture(content)))
    except PictureError as error:
        raise UserError(
            f"Image {path} ({len(content)} bytes) cannot be decoded: {error}."
            " Replace the file with a good copy, or remove it and run again."
        ) from error
    if size is not None:
        image = image.resize((size[1], size[0]), _FILTERS[resize])
    return np.asarray(image)
