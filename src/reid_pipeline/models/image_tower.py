"""What every image tower offers, whatever its kind (methods.md, section 1).

Shape suffixes: B images, 3 colours, H W image rows and columns.
"""

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor, nn

from reid_pipeline.models.features import ImageFeatures
from reid_pipeline.models.position_grid import Grid
from reid_pipeline.models.pretrained import pixel_statistics
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.parameters import Resize, SIETokens


class ImageEncoder(nn.Module, ABC):
    """The image tower of one CLIP at one input size: `ViTEncoder` or `ResNetEncoder`.

    Its parameters are open_clip's own, under `visual.`; the positional embedding, `visual.` and
    `POSITION_KEY`, has the grid of this input size.

    Attributes:
        name: its name in open_clip.
        image_size: (H, W) it takes.
        patch_stride: step between patches, smaller than the patch for overlapping patches (OLP); None where
            there are no patches.
        grid_size: (h, w) cells that the tower sees, the class token (ViT) or mean token (ResNet) apart.
        num_cameras: cameras known to the side information, or 0.
        num_views: views known to it, or 0.
        penultimate_width: width of `penultimate`.
        width: width of `final`.
        projected_width: width of `projected`.
        embedding_width: `width + projected_width`, the retrieval embedding.
        sie_coefficient: weight of the side information, lambda of methods.md.
        sie_tokens: whether it is added to the class token (`"class"`) or to all (`"all"`).
        pixel_mean: mean per colour, of pixels in 0..1, that images are normalised with.
        pixel_std: standard deviation, likewise.
        evaluation_resize: filter by which images to be embedded are resized.
    """

    POSITION_KEY: str
    image_size: Grid
    patch_stride: int | None
    grid_size: Grid
    penultimate_width: int
    width: int
    projected_width: int

    def __init__(self, name: str, visual: Any, *, num_cameras: int = 0, num_views: int = 0) -> None:
        """Keep what is common; a subclass sets the sizes.

        Raises:
            UserError: a negative count.
        """
        super().__init__()
        for what, count in (("num_cameras", num_cameras), ("num_views", num_views)):
            if count < 0:
                raise UserError(f"{what} {count} is not allowed: 0 (no side information) or more. Correct `{what}`.")
        self.name = name
        self.visual = visual
        self.num_cameras, self.num_views = int(num_cameras), int(num_views)
        self.sie_coefficient = 1.0
        self.sie_tokens: SIETokens = "class"
        self.evaluation_resize: Resize = "bicubic"
        self.pixel_mean, self.pixel_std = pixel_statistics(name, None)

    @property
    def embedding_width(self) -> int:
        """Width of the retrieval embedding."""
        return self.width + self.projected_width

    def forward(
        self, images_B3HW: Tensor, camids: Tensor | None = None, viewids: Tensor | None = None
    ) -> ImageFeatures:
        """Do as `encode_image`."""
        return self.encode_image(images_B3HW, camids, viewids)

    def encode_image(
        self, images: Tensor, camids: Tensor | None = None, viewids: Tensor | None = None
    ) -> ImageFeatures:
        """Return the three features of each image.

        Args:
            images: float [B, 3, H, W], normalised by `pixel_mean` and `pixel_std`.
            camids: Int64 [B], 0-based cameras; read only if `num_cameras` is not 0. A camera outside the
                table, or none given, gets the mean of the learnt cameras (with one warning in eval mode).
            viewids: Int64 [B], 0-based views; likewise.

        Raises:
            UserError: the images have another size, or side information is missing in training.
        """
        if tuple(images.shape[-2:]) != self.image_size:
            raise UserError(
                f"The images are {tuple(images.shape[-2:])} and the encoder was built for {self.image_size} "
                f"(rows, columns). Resize the images, or set `image_size` to {list(images.shape[-2:])}."
            )
        return self._features(images, camids, viewids)

    @abstractmethod
    def freeze_patch_projection(self) -> None:
        """Stop training of the patch projection `conv1` (the stability trick of MoCo v3).

        Raises:
            UserError: the tower has none.
        """

    @abstractmethod
    def _features(self, images_B3HW: Tensor, camids: Tensor | None, viewids: Tensor | None) -> ImageFeatures:
        """Return the three features of images of the right size."""


def require_image_size(image_size: Grid, least: int, why: str) -> Grid:
    """Return (rows, columns) as whole numbers.

    Args:
        image_size: as the user gave it.
        least: fewest pixels on each axis.
        why: what needs them, for the message.

    Raises:
        UserError: not two numbers, or too small.
    """
    size = tuple(int(side) for side in image_size)
    if len(size) != 2 or min(size) < least:
        raise UserError(
            f"image_size {list(image_size)} is not allowed: two whole numbers (rows, columns), each at least "
            f"{why} {least}. For persons [256, 128], for vehicles [256, 256]. Correct `image_size`."
        )
    return size[0], size[1]
