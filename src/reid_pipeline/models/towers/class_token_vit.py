"""CLIP's class-token ViT, adapted to re-identification (methods.md, section 1).

Any input size and patch stride, side information, three features instead of one.

Shape suffixes: B images, 3 colours, H W image rows and columns, L = 1 + h * w tokens (class token first), D width of
the tower.
"""

from typing import Any, cast

import torch
from torch import Tensor

from reid_pipeline.models.architecture import Grid
from reid_pipeline.models.image_encoder import ImageEncoder, ImageFeatures, require_image_size
from reid_pipeline.models.last_block import first_token_after
from reid_pipeline.schema.errors import UserError


class ViTEncoder(ImageEncoder):
    """A class-token ViT of open_clip: all features are read at the class token."""

    KIND = "class-token ViT"
    POSITION_KEY = "positional_embedding"

    @classmethod
    def fits(cls, visual: Any) -> bool:
        """Return whether this is open_clip's own ViT, pooled by its class token."""
        return type(visual).__name__ == "VisionTransformer" and visual.pool_type == "tok" and visual.attn_pool is None

    def _adapt(self) -> None:
        visual = self.visual
        patch_size: Grid = tuple(visual.patch_size)
        self.image_size = require_image_size(self.image_size, max(patch_size), "the patch size")
        stride = patch_size[0] if self.patch_stride is None else self.patch_stride
        if not 1 <= stride <= patch_size[0]:
            raise UserError(
                f"patch_stride {stride} is not allowed: 1 to the patch size, {patch_size[0]} (12 is usual for "
                f"overlapping patches of 16), or null for the patch size. Correct `patch_stride`."
            )
        self.patch_stride = stride
        self.grid_size = token_grid(self.image_size, patch_size, stride)

        visual.conv1.stride = (stride, stride)
        visual.grid_size, visual.image_size = self.grid_size, self.image_size
        self.width, self.projected_width = (int(size) for size in visual.proj.shape)
        self.penultimate_width = self.width
        self._make_side_table(self.width)
        self._resize_positions()

    def freeze_patch_projection(self) -> None:
        """Stop training of `conv1`."""
        self.visual.conv1.requires_grad_(False)

    def _features(self, images_B3HW: Tensor, camids: Tensor | None, viewids: Tensor | None) -> ImageFeatures:
        x_BLD = self._tokens(images_B3HW, self._side_information(images_B3HW, camids, viewids))
        *blocks, last = self.visual.transformer.resblocks
        for block in blocks:
            x_BLD = block(x_BLD)
        penultimate_BD = x_BLD[:, 0]
        final_BD = self.visual.ln_post(first_token_after(last, x_BLD))
        return ImageFeatures(penultimate_BD, final_BD, final_BD @ self.visual.proj)

    def _tokens(self, images_B3HW: Tensor, side_BD: Tensor | None) -> Tensor:
        """Return the tokens that enter the first block, float [B, L, D]."""
        patches_BLD = self.visual.conv1(images_B3HW).flatten(2).transpose(1, 2)
        class_BD = self.visual.class_embedding.to(patches_BLD.dtype).expand(len(patches_BLD), -1)
        if side_BD is not None:
            side_BD = self.sie_coefficient * side_BD.to(patches_BLD.dtype)
            class_BD = class_BD + side_BD
            if self.sie_tokens == "all":
                patches_BLD = patches_BLD + side_BD[:, None]
        x_BLD = torch.cat([class_BD[:, None], patches_BLD], dim=1)
        x_BLD = x_BLD + self.visual.positional_embedding.to(x_BLD.dtype)
        return cast("Tensor", self.visual.ln_pre(self.visual.patch_dropout(x_BLD)))


def token_grid(image_size: Grid, patch_size: Grid, stride: int) -> Grid:
    """Return (rows, columns) of tokens: (256, 128) by patches of (16, 16) and a stride of 12 gives (21, 10)."""
    rows, columns = ((size - patch) // stride + 1 for size, patch in zip(image_size, patch_size, strict=True))
    return rows, columns


TOWER = ViTEncoder
