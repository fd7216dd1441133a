"""What every image tower offers, whatever its kind (methods.md, section 1).

Shape suffixes: B images, 3 colours, H W image rows and columns, P W widths of the image tower (equal in a
ViT), E width of CLIP's joint space, h w token rows and columns.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reid_pipeline.models.architecture import Architecture, Grid, Triple, stored_grid
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.parameters import Resize, SIETokens

_PREFIX = "visual."


class ImageFeatures(NamedTuple):
    """The three features of B images: at the class token of a ViT, averaged over the grid in a ResNet.

    Attributes:
        penultimate: float [B, P]. ViT: output of the block before the last, no layer norm. ResNet: of `layer3`.
        final: float [B, W]. ViT: output of the last block after `ln_post`. ResNet: of `layer4`.
        projected: float [B, E], in CLIP's joint space. ViT: `final @ proj`. ResNet: output of the attention pool.
    """

    penultimate: Tensor
    final: Tensor
    projected: Tensor


class TowerSettings(NamedTuple):
    """What an image tower is built for beside its architecture; the attributes of `ImageEncoder` of the same names."""

    image_size: Grid  # (H, W) it takes
    patch_stride: int | None  # below the patch size for overlapping patches (OLP); None where there are no patches
    num_cameras: int  # known to the side information, or 0
    num_views: int
    pixel_mean: Triple  # per colour, of pixels in 0..1, that images are normalised with
    pixel_std: Triple
    sie_coefficient: float = 1.0  # lambda of methods.md
    sie_tokens: SIETokens = "class"  # to which tokens side information is added
    evaluation_resize: Resize = "bicubic"  # filter by which images to be embedded are resized


class ImageEncoder(nn.Module, ABC):
    """The image tower of one CLIP at one input size: `ViTEncoder` or `ResNetEncoder`.

    Its parameters are open_clip's own, under `visual.`; the positional embedding, `visual.` and
    `POSITION_KEY`, has the grid of this input size.

    Attributes:
        name: its name in open_clip.
        grid_size: (h, w) cells that the tower sees, the class token (ViT) or mean token (ResNet) apart.
        penultimate_width: width of `penultimate`.
        width: width of `final`.
        projected_width: width of `projected`.

    The other attributes are those of `TowerSettings`.
    """

    POSITION_KEY: str
    image_size: Grid
    patch_stride: int | None
    grid_size: Grid
    num_cameras: int
    num_views: int
    penultimate_width: int
    width: int
    projected_width: int
    sie_coefficient: float
    sie_tokens: SIETokens
    pixel_mean: Triple
    pixel_std: Triple
    evaluation_resize: Resize

    def __init__(
        self, architecture: Architecture, settings: TowerSettings, state: Mapping[str, Tensor] | None = None
    ) -> None:
        """Adapt open_clip's tower, of a kind that the subclass is for.

        The tensors of `state`, by OpenAI's names, become the tower's own, not copies, and the positional embedding is
        resized. Without a state the tower stays on the meta device.

        Raises:
            UserError: a negative count of cameras or views, or settings that the kind of tower does not allow.
        """
        super().__init__()
        for what, count in (("num_cameras", settings.num_cameras), ("num_views", settings.num_views)):
            if count < 0:
                raise UserError(f"{what} {count} is not allowed: 0 (no side information) or more. Correct `{what}`.")
        self.name = architecture.name
        self.visual: Any = architecture.clip(text=False, device="meta").visual
        for key, value in settings._asdict().items():
            setattr(self, key, value)
        self._adapt()
        module = self.visual.get_submodule(self.POSITION_KEY.rpartition(".")[0])
        native_LD = module.positional_embedding.data
        module.positional_embedding = nn.Parameter(resize_positions(native_LD, architecture.grid, self.grid_size))
        if state is not None:
            own = {key.removeprefix(_PREFIX): value for key, value in state.items() if key.startswith(_PREFIX)}
            position_LD = own[self.POSITION_KEY]
            source = stored_grid(len(position_LD), architecture.grid) or architecture.grid
            own[self.POSITION_KEY] = resize_positions(position_LD, source, self.grid_size)
            self.visual.load_state_dict(own, assign=True)

    @property
    def embedding_width(self) -> int:
        """Width of the retrieval embedding, `width + projected_width`."""
        return self.width + self.projected_width

    def encode_image(
        self, images: Tensor, camids: Tensor | None = None, viewids: Tensor | None = None
    ) -> ImageFeatures:
        """Return the three features of each image.

        Args:
            images: float [B, 3, H, W], normalised by `pixel_mean` and `pixel_std`.
            camids: int64 [B], 0-based cameras; read only if `num_cameras` is not 0. A camera outside the
                table, or none given, gets the mean of the learnt cameras (with one warning in eval mode).
            viewids: int64 [B], 0-based views; likewise.

        Raises:
            UserError: the images have another size, or side information is missing in training.
        """
        if tuple(images.shape[-2:]) != self.image_size:
            raise UserError(
                f"The images are {tuple(images.shape[-2:])} and the encoder was built for {self.image_size} "
                f"(rows, columns). Resize the images, or set `image_size` to {list(images.shape[-2:])}."
            )
        return self._features(images, camids, viewids)

    forward = encode_image

    @abstractmethod
    def freeze_patch_projection(self) -> None:
        """Stop training of the patch projection `conv1` (the stability trick of MoCo v3); UserError without one."""

    @abstractmethod
    def _adapt(self) -> None:
        """Check the settings, change `visual` to suit them, and set grid and widths."""

    @abstractmethod
    def _features(self, images_B3HW: Tensor, camids: Tensor | None, viewids: Tensor | None) -> ImageFeatures:
        """Return the three features of images of the right size."""


def resize_positions(position_LW: Tensor, source: Grid, target: Grid) -> Tensor:
    """Resize the grid part bilinearly, from float [1 + h * w, W] to [1 + h' * w', W]; the first row stays.

    Pixel centres aligned as in `align_corners=False`, no anti-aliasing: as the released code of CLIP-ReID
    and PCL-CLIP does (methods.md, section 1). Where the grids are equal, the very tensor is returned.
    """
    if source == target:
        return position_LW
    width = position_LW.shape[1]
    grid_1Whw = position_LW[1:].reshape(1, *source, width).permute(0, 3, 1, 2)
    resized_1Whw = F.interpolate(grid_1Whw.float(), size=target, mode="bilinear", align_corners=False)
    resized_LW = resized_1Whw.permute(0, 2, 3, 1).reshape(-1, width).to(position_LW.dtype)
    return torch.cat([position_LW[:1], resized_LW])


def require_image_size(image_size: Grid, least: int, why: str) -> Grid:
    """Return (rows, columns) as whole numbers; refuse fewer than `least` pixels on an axis, which `why` needs."""
    size = tuple(int(side) for side in image_size)
    if len(size) != 2 or min(size) < least:
        raise UserError(
            f"image_size {list(image_size)} is not allowed: two whole numbers (rows, columns), each at least "
            f"{why} {least}. For persons [256, 128], for vehicles [256, 256]. Correct `image_size`."
        )
    return size[0], size[1]
