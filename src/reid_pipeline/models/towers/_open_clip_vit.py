"""What the kinds of open_clip's own ViT share: patches, positions, tokens up to the first block.

Shape suffixes: B images, 3 colours, H W image rows and columns, L = 1 + h * w tokens (class token first), D width of
the tower.
"""

from typing import Any, cast

import torch
from torch import Tensor

from reid_pipeline.models.image_encoder import ImageEncoder
from reid_pipeline.models.towers._patches import set_patches


def is_open_clip_vit(visual: Any) -> bool:
    """Return whether this is open_clip's own ViT, however it is pooled."""
    return type(visual).__name__ == "VisionTransformer" and hasattr(visual, "conv1")


class OpenClipViT(ImageEncoder):
    """open_clip's own ViT; its subclasses differ in how it is pooled."""

    POSITION_KEY = "positional_embedding"

    def _adapt(self) -> None:
        visual = self.visual
        set_patches(self, visual.conv1)
        visual.grid_size, visual.image_size = self.grid_size, self.image_size
        self.width, self.projected_width = (int(size) for size in visual.proj.shape)
        self.penultimate_width = int(visual.conv1.out_channels)
        self._resize_positions()

    def freeze_patch_projection(self) -> None:
        """Stop training of `conv1`."""
        self.visual.conv1.requires_grad_(False)

    @property
    def num_blocks(self) -> int:
        """The blocks of the transformer."""
        return len(self.visual.transformer.resblocks)

    def _cells(self, images_B3HW: Tensor, camids: Tensor | None, viewids: Tensor | None) -> Tensor:
        x_BLD = tokens(self, images_B3HW, self._side_information(images_B3HW, camids, viewids))
        for block in self.visual.transformer.resblocks:
            x_BLD = block(x_BLD)
        return x_BLD[:, 1:]

    def _read_alone(self, cells_ND: Tensor) -> tuple[Tensor, ...]:
        final_NW = self.visual.ln_post(cells_ND)
        return final_NW, final_NW @ self.visual.proj


def tokens(tower: ImageEncoder, images_B3HW: Tensor, side_BD: Tensor | None) -> Tensor:
    """Return the tokens that enter the first block, float [B, L, D]."""
    visual = tower.visual
    patches_BLD = visual.conv1(images_B3HW).flatten(2).transpose(1, 2)
    # Not len(): that is a number, and an exported network would take batches of that size alone.
    class_BD = visual.class_embedding.to(patches_BLD.dtype).expand(patches_BLD.shape[0], -1)
    if side_BD is not None:
        side_BD = tower.sie_coefficient * side_BD.to(patches_BLD.dtype)
        class_BD = class_BD + side_BD
        if tower.sie_tokens == "all":
            patches_BLD = patches_BLD + side_BD[:, None]
    x_BLD = torch.cat([class_BD[:, None], patches_BLD], dim=1)
    x_BLD = x_BLD + visual.positional_embedding.to(x_BLD.dtype)
    return cast("Tensor", visual.ln_pre(visual.patch_dropout(x_BLD)))
