"""Patches and tokens, as all kinds of ViT have them.

Shape suffixes: B images, L tokens (special ones first, then h * w), D width of the tower.
"""

import torch
from torch import Tensor, nn

from reid_pipeline.models.architecture import Grid
from reid_pipeline.models.image_encoder import ImageEncoder, require_image_size
from reid_pipeline.schema.errors import UserError

MOST_TOKENS = 16_384
"""That many tokens of one image make 2 ** 28 pairs, of which attention has a weight each: 1 GiB per head in float32."""


def set_patches(tower: ImageEncoder, projection: nn.Conv2d) -> None:
    """Check image size and patch stride of a tower, give its patch projection that stride, and set `grid_size`."""
    patch_size: Grid = projection.kernel_size[0], projection.kernel_size[1]
    tower.image_size = require_image_size(tower, max(patch_size), "the patch size")
    stride = patch_size[0] if tower.patch_stride is None else tower.patch_stride
    if not 1 <= stride <= patch_size[0]:
        raise UserError(
            f"patch_stride {stride} is not allowed with {tower.name!r}: 1 to the patch size, {patch_size[0]} (12 is "
            f"usual for overlapping patches of 16), or null for the patch size. Correct `patch_stride`."
        )
    tower.patch_stride = stride
    tower.grid_size = token_grid(tower.image_size, patch_size, stride)
    if (tokens := tower.grid_size[0] * tower.grid_size[1]) > MOST_TOKENS:
        raise UserError(
            f"patch_stride {stride} is not allowed with {tower.name!r} at image_size {list(tower.image_size)}: it "
            f"makes {tokens} tokens of an image, and attention over more than {MOST_TOKENS} takes more than 1 GiB "
            f"per head and image. Raise `patch_stride` (12 is usual for patches of 16), or lower `image_size`."
        )
    projection.stride = (stride, stride)


def token_grid(image_size: Grid, patch_size: Grid, stride: int) -> Grid:
    """Return (rows, columns) of tokens: (256, 128) by patches of (16, 16) and a stride of 12 gives (21, 10)."""
    rows, columns = ((size - patch) // stride + 1 for size, patch in zip(image_size, patch_size, strict=True))
    return rows, columns


def with_side(x_BLD: Tensor, side_BD: Tensor, *, first_only: bool) -> Tensor:
    """Return tokens with side information added to the first one, the class token, or to all; float [B, L, D]."""
    added_B1D = side_BD[:, None].to(x_BLD.dtype)
    return torch.cat([x_BLD[:, :1] + added_B1D, x_BLD[:, 1:]], dim=1) if first_only else x_BLD + added_B1D
