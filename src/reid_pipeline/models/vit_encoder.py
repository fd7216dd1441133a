"""CLIP's class-token ViT, adapted to re-identification (methods.md, section 1).

At any input size (also not square) and any patch stride, with side information, giving three features
instead of one.

Shape suffixes: B images, 3 colours, H W image rows and columns, L = 1 + h * w tokens (class token first),
D width of the tower, S rows of the side information table, C cameras, V views.
"""

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from reid_pipeline.models.features import ImageFeatures
from reid_pipeline.models.image_tower import ImageEncoder, require_image_size
from reid_pipeline.models.last_block import first_token_after
from reid_pipeline.models.position_grid import Grid, resize_positions, token_grid
from reid_pipeline.schema.errors import UserError


class ViTEncoder(ImageEncoder):
    """A class-token ViT of open_clip.

    With cameras or views there is ``side_embedding``, float [S, D], one row per (camera, view), index
    ``camera * num_views + view``. All features are read at the class token.
    """

    POSITION_KEY = "positional_embedding"

    def __init__(
        self,
        name: str,
        visual: Any,
        *,
        image_size: Grid,
        patch_stride: int | None = None,
        num_cameras: int = 0,
        num_views: int = 0,
    ) -> None:
        """Adapt open_clip's tower ``visual``, in place; arguments as for ``build_image_encoder``."""
        super().__init__(name, visual, num_cameras=num_cameras, num_views=num_views)
        patch_size: Grid = tuple(visual.patch_size)
        self.image_size = require_image_size(image_size, max(patch_size), "the patch size")
        stride = _stride(patch_stride, patch_size[0])
        self.patch_stride = stride
        self.grid_size = token_grid(self.image_size, patch_size, stride)
        self._warned: set[str] = set()

        visual.conv1.stride = (stride, stride)
        position_LD = resize_positions(visual.positional_embedding.data, visual.grid_size, self.grid_size)
        visual.positional_embedding = nn.Parameter(position_LD)
        visual.grid_size = self.grid_size
        visual.image_size = self.image_size
        self.width, self.projected_width = (int(size) for size in visual.proj.shape)
        self.penultimate_width = self.width
        if self.num_cameras or self.num_views:
            table_SD = torch.empty(max(self.num_cameras, 1) * max(self.num_views, 1), self.width)
            self.side_embedding: nn.Parameter | None = nn.Parameter(nn.init.trunc_normal_(table_SD, std=0.02))
        else:
            self.register_parameter("side_embedding", None)

    def freeze_patch_projection(self) -> None:
        """Stop training of the patch projection ``conv1`` (the stability trick of MoCo v3)."""
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
            class_BD = class_BD + self.sie_coefficient * side_BD.to(patches_BLD.dtype)
        x_BLD = torch.cat([class_BD[:, None], patches_BLD], dim=1)
        x_BLD = x_BLD + self.visual.positional_embedding.to(x_BLD.dtype)
        tokens_BLD: Tensor = self.visual.ln_pre(self.visual.patch_dropout(x_BLD))
        return tokens_BLD

    def _side_information(
        self, images: Tensor, camids: Tensor | None, viewids: Tensor | None
    ) -> Tensor | None:
        """Return the row of ``side_embedding`` for each image, float [B, D]; the mean where there is none."""
        if self.side_embedding is None:
            return None
        table_CVD = self.side_embedding.reshape(max(self.num_cameras, 1), max(self.num_views, 1), -1)
        if self.num_cameras:
            table_CVD = torch.cat([table_CVD, table_CVD.mean(0, keepdim=True)])
        if self.num_views:
            table_CVD = torch.cat([table_CVD, table_CVD.mean(1, keepdim=True)], dim=1)
        camera_B = self._index(images, camids, self.num_cameras, "camera")
        view_B = self._index(images, viewids, self.num_views, "view")
        return table_CVD[camera_B, view_B]

    def _index(self, images: Tensor, ids: Tensor | None, count: int, what: str) -> Tensor:
        """Return int64 [B] in 0..count, where ``count`` stands for an unknown one."""
        if count == 0:
            return torch.zeros(len(images), dtype=torch.long, device=images.device)
        if ids is None:
            if self.training:
                raise UserError(
                    f"The encoder learns {count} {what}s (`num_{what}s: {count}`) and the batch names none. "
                    f"Give the {what} of each image, or set `num_{what}s: 0`."
                )
            self._warn_once(what, f"No {what} is given, of {count} learnt ones")
            return torch.full((len(images),), count, dtype=torch.long, device=images.device)
        ids_B = ids.to(images.device).long()
        known_B = (ids_B >= 0) & (ids_B < count)
        if not self.training and what not in self._warned and not bool(known_B.all()):
            unseen = sorted(set(ids_B[~known_B].tolist()))[:5]
            self._warn_once(what, f"Not seen in training: {what} {unseen}, outside 0..{count - 1}")
        return torch.where(known_B, ids_B, count)

    def _warn_once(self, what: str, fact: str) -> None:
        """Say once per encoder, not once per batch, that a mean stands in."""
        if what not in self._warned:
            self._warned.add(what)
            warnings.warn(f"{fact}; the mean of the learnt ones stands in. Said once.", stacklevel=6)


def _stride(patch_stride: int | None, patch_size: int) -> int:
    stride = patch_size if patch_stride is None else int(patch_stride)
    if not 1 <= stride <= patch_size:
        raise UserError(
            f"patch_stride {patch_stride} is not allowed: 1 to the patch size, {patch_size} (12 is usual for "
            f"overlapping patches of 16), or null for the patch size. Correct `patch_stride`."
        )
    return stride
