"""What a network is fed: pixels as they are, or the numbers that a tracker makes of them.

All are NCHW, RGB: trackers feed this, tools read height and width from it, and the network begins with a convolution in
it. Whoever has images as OpenCV and Pillow hold them transposes once. Shape suffixes: B images, 3 colours, H W rows and
columns.

What trackers feed was read in their sources, see docs/exporting.md.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from reid_pipeline.models.architecture import Triple
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.export_parameters import SignatureName

Size = tuple[int, int]
_IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_PERSON, _SQUARE = (256, 128), (256, 256)  # the two sizes that BoxMOT crops to, by the file's name


@dataclass(frozen=True)
class Signature:
    """What goes in.

    Attributes:
        name: `pixels`, `normalised`, `boxmot` or `ultralytics`.
        size: rows and columns of what is fed; the network resizes it where its own are others.
        mean, std: per colour: what is fed is (pixel / 255 - mean) / std.
        whole: whether pixels are fed as uint8, 0 to 255, to which mean and std do not apply.
        words: what it is, for the card and for whoever opens the file.
        prefix: how the file's name begins, where a tracker reads it.
    """

    name: SignatureName
    size: Size
    mean: Triple
    std: Triple
    whole: bool
    words: str
    prefix: str = ""

    @property
    def dtype(self) -> str:
        """Of what is fed."""
        return "uint8" if self.whole else "float32"

    def fed(self, pixels_B3HW: np.ndarray) -> np.ndarray:
        """Return what a caller makes of uint8 pixels of `size`."""
        if self.whole:
            return pixels_B3HW
        mean, std = (np.array(values, np.float32).reshape(3, 1, 1) for values in (self.mean, self.std))
        fed: np.ndarray = (pixels_B3HW.astype(np.float32) / np.float32(255) - mean) / std
        return fed

    def scale_and_shift(self, mean: Triple, std: Triple) -> tuple[Triple, Triple]:
        """Return per colour what turns what is fed into pixels normalised by `mean` and `std`: fed * scale + shift."""
        own_mean, own_std = ((0.0,) * 3, (1 / 255,) * 3) if self.whole else (self.mean, self.std)
        scale = [own / wanted for own, wanted in zip(own_std, std, strict=True)]
        shift = [(own - wanted) / by for own, wanted, by in zip(own_mean, mean, std, strict=True)]
        return (scale[0], scale[1], scale[2]), (shift[0], shift[1], shift[2])


def signature(name: SignatureName, size: Size, mean: Triple, std: Triple) -> Signature:
    """Return a signature for a model of this image size and these pixel statistics.

    Raises:
        UserError: the tracker feeds no image that such a model can be given.
    """
    return _MADE[name](size, mean, std)


def _pixels(size: Size, mean: Triple, std: Triple) -> Signature:
    return Signature("pixels", size, mean, std, whole=True, words="RGB pixels, 0 to 255, resized by the caller")


def _normalised(size: Size, mean: Triple, std: Triple) -> Signature:
    words = f"RGB pixels, (pixel / 255 - mean) / std by mean {_text(mean)} and std {_text(std)}, resized by the caller"
    return Signature("normalised", size, mean, std, whole=False, words=words)


def _boxmot(size: Size, _mean: Triple, _std: Triple) -> Signature:
    fed, prefix = (_SQUARE, "osnet_x0_25_vehicleid_") if size[0] == size[1] else (_PERSON, "osnet_x0_25_")
    words = "RGB crops as BoxMOT makes them: (pixel / 255 - mean) / std by ImageNet's mean and std"
    return Signature("boxmot", fed, *_IMAGENET, whole=False, words=words, prefix=prefix)


def _ultralytics(size: Size, _mean: Triple, _std: Triple) -> Signature:
    side = max(size)
    words = "RGB crops as Ultralytics makes them: squares, pixel / 255"
    return Signature("ultralytics", (side, side), (0.0,) * 3, (1.0,) * 3, whole=False, words=words)


_MADE: dict[SignatureName, Callable[[Size, Triple, Triple], Signature]] = {
    "pixels": _pixels, "normalised": _normalised, "boxmot": _boxmot, "ultralytics": _ultralytics,
}  # fmt: skip


def require_side_information_fits(made: Signature, cameras: int, views: int) -> None:
    """Refuse a tracker's signature for a model that reads cameras or views: a tracker feeds images alone."""
    if made.prefix or made.name == "ultralytics":
        _refuse(made.name, cameras, views)


def _refuse(name: str, cameras: int, views: int) -> None:
    if cameras or views:
        raise UserError(
            f"The model reads the camera or view of each image ({cameras} cameras, {views} views), and signature={name}"
            " is of a tracker that feeds images alone. Give signature=pixels or normalised, or a model with"
            " backbone.sie=none."
        )


def _text(values: Triple) -> str:
    return ", ".join(f"{value:.8g}" for value in values)
