"""Images as a caller has them, files or pictures in memory, decoded and resized as all others are."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from reid_pipeline.images.decode import TargetSize, read_image, resize
from reid_pipeline.images.picture import PictureError, to_rgb, upright
from reid_pipeline.images.reid_images import ReIDImages
from reid_pipeline.schema.errors import UserError

GivenImage = str | Path | Image.Image | np.ndarray
"""A file, a picture of Pillow's, or RGB pixels, uint8 [h, w, 3]."""


class GivenImages(ReIDImages):
    """Images of one size, made of whatever the caller gives; each is decoded when it is asked for."""

    def __init__(self, given: Sequence[GivenImage], size: TargetSize, *, threads: int = 4) -> None:
        names = [str(each) if isinstance(each, str | Path) else f"image {place}" for place, each in enumerate(given)]
        super().__init__(Path(), names, size, memory_limit=0, threads=threads)
        self._given = given

    def _decode(self, rows: list[int]) -> list[np.ndarray]:
        return [self._pixels(row) for row in rows]

    def _pixels(self, row: int) -> np.ndarray:
        given = self._given[row]
        if isinstance(given, str | Path):
            return read_image(Path(given).expanduser(), self.target)
        if isinstance(given, Image.Image):
            try:
                return resize(np.array(to_rgb(upright(given), self.target.white_value)), self.target)
            except (PictureError, OSError) as error:
                raise UserError(f"Image {row} of those given cannot be decoded: {error}.") from error
        if not isinstance(given, np.ndarray) or given.dtype != np.uint8 or given.ndim != 3 or given.shape[2] != 3:
            raise UserError(f"Image {row} of those given is {_noun(given)}. Give {_FORMS}.")
        if not given.size:
            raise UserError(f"Image {row} of those given has no pixels: its shape is {list(given.shape)}.")
        return resize(np.array(given, order="C"), self.target)


_FORMS = "the path of a file, a picture of Pillow's, or RGB pixels as a uint8 array [height, width, 3]"


def _noun(given: object) -> str:
    if isinstance(given, np.ndarray):
        return f"a {given.dtype} array {list(given.shape)}"
    return f"of type {type(given).__name__}"
