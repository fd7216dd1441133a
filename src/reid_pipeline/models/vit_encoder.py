"""CLIP's class-token ViT, adapted to re-identification (methods.md, section 1).

Any input size and patch stride, side information, three features instead of one. Of the last block one token is
read, and so its attention needs one query instead of L, and its MLP one token: an exact saving but for rounding.

Shape suffixes: B images or sequences, 3 colours, H W image rows and columns, L = 1 + h * w tokens (class token
first), D width of the tower, S rows of the side information table, C cameras, V views.
"""

import warnings
from typing import Any, cast

import torch
from torch import Tensor, nn

from reid_pipeline.models.architecture import Grid
from reid_pipeline.models.image_encoder import ImageEncoder, ImageFeatures, require_image_size
from reid_pipeline.schema.errors import UserError


class ViTEncoder(ImageEncoder):
    """A class-token ViT of open_clip.

    With cameras or views there is `side_embedding`, float [S, D], one row per (camera, view), index
    `camera * num_views + view`, and `side_seen`, bool [S], the rows that training has used. All features
    are read at the class token.
    """

    POSITION_KEY = "positional_embedding"
    side_embedding: nn.Parameter | None
    side_seen: Tensor

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
        self._warned: set[str] = set()

        visual.conv1.stride = (stride, stride)
        visual.grid_size, visual.image_size = self.grid_size, self.image_size
        self.width, self.projected_width = (int(size) for size in visual.proj.shape)
        self.penultimate_width = self.width
        if self.num_cameras or self.num_views:
            table_SD = torch.empty(max(self.num_cameras, 1) * max(self.num_views, 1), self.width)
            self.side_embedding = nn.Parameter(nn.init.trunc_normal_(table_SD, std=0.02))
            self.register_buffer("side_seen", torch.zeros(len(table_SD), dtype=torch.bool))
        else:
            self.register_parameter("side_embedding", None)

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

    def _side_information(self, images: Tensor, camids: Tensor | None, viewids: Tensor | None) -> Tensor | None:
        """Return the row of `side_embedding` for each image, float [B, D]; a mean where none was learnt."""
        if self.side_embedding is None:
            return None
        grid = max(self.num_cameras, 1), max(self.num_views, 1)
        seen_CV = self.side_seen.reshape(grid)
        if self.training or not bool(seen_CV.any()):  # before any training no row is better than another
            seen_CV = torch.ones_like(seen_CV)
        camera_B = self._index(images, camids, seen_CV.any(1) if self.num_cameras else None, "camera")
        view_B = self._index(images, viewids, seen_CV.any(0) if self.num_views else None, "view")
        if self.training:
            rows = len(self.side_seen)
            known_B = (camera_B < grid[0]) & (view_B < grid[1])
            hits = self.side_seen.new_zeros(rows + 1)  # the last place takes those that have no row
            hits[torch.where(known_B, camera_B * grid[1] + view_B, rows)] = True
            self.side_seen |= hits[:rows]
        return _with_means(self.side_embedding.reshape(*grid, -1), seen_CV)[camera_B, view_B]

    def _index(self, images: Tensor, ids: Tensor | None, seen: Tensor | None, what: str) -> Tensor:
        """Return int64 [B] in 0..count; `count`, the length of `seen`, stands for an unknown one."""
        if seen is None:
            return torch.zeros(len(images), dtype=torch.long, device=images.device)
        count = len(seen)
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
        known_B &= seen[ids_B.clamp(0, count - 1)]
        if not self.training and what not in self._warned and not bool(known_B.all()):
            unseen = sorted(set(ids_B[~known_B].tolist()))[:5]
            self._warn_once(what, f"Not seen in training: {what} {unseen}")
        return torch.where(known_B, ids_B, count)

    def _warn_once(self, what: str, fact: str) -> None:
        if what not in self._warned:
            self._warned.add(what)
            warnings.warn(f"{fact}; the mean of the learnt ones stands in. This warning is given once.", stacklevel=6)


def token_grid(image_size: Grid, patch_size: Grid, stride: int) -> Grid:
    """Return (rows, columns) of tokens: (256, 128) by patches of (16, 16) and a stride of 12 gives (21, 10)."""
    rows, columns = ((size - patch) // stride + 1 for size, patch in zip(image_size, patch_size, strict=True))
    return rows, columns


def _with_means(table_CVD: Tensor, seen_CV: Tensor) -> Tensor:
    """Return the table with means where nothing was learnt: float [C + 1, V + 1, D].

    A row that was not seen gets the mean of its view's rows; row C, of an unknown camera, likewise; column V,
    of an unknown view, the mean of its camera's rows. Where these have none, the mean of all learnt rows.
    """
    weight_CV1 = seen_CV[..., None].to(table_CVD.dtype)
    learnt_CVD = table_CVD * weight_CV1
    all_D = learnt_CVD.sum((0, 1)) / weight_CV1.sum()

    def mean(axis: int) -> Tensor:
        count = weight_CV1.sum(axis)
        return torch.where(count > 0, learnt_CVD.sum(axis) / count.clamp(min=1), all_D)

    of_views_VD, of_cameras_CD = mean(0), mean(1)
    filled_CVD = torch.cat([torch.where(seen_CV[..., None], table_CVD, of_views_VD), of_views_VD[None]])
    return torch.cat([filled_CVD, torch.cat([of_cameras_CD, all_D[None]])[:, None]], dim=1)


def first_token_after(block: Any, x_BLD: Tensor) -> Tensor:
    """Return `block(x)[:, 0]`, float [B, D], from the tokens that enter the block, float [B, L, D]."""
    if not _is_plain(block):
        return cast("Tensor", block(x_BLD)[:, 0])
    normed_BLD = block.ln_1(x_BLD)
    return _finished(block, x_BLD[:, 0], block.attention(normed_BLD[:, :1], normed_BLD, normed_BLD))


def causal_token_after(block: Any, x_BLD: Tensor, positions_B: Tensor, mask_LL: Tensor) -> Tensor:
    """Return `block(x, attn_mask=mask_LL)[b, positions_B[b]]`, float [B, D], of positions int64 [B] in 0..L-1.

    `mask_LL` is the causal mask: 0 where a row's token sees a column's, else minus infinity.
    """
    rows_B = torch.arange(len(x_BLD), device=x_BLD.device)
    if not _is_plain(block):
        return cast("Tensor", block(x_BLD, attn_mask=mask_LL)[rows_B, positions_B])
    normed_BLD = block.ln_1(x_BLD)
    attended_B1D = block.attn(
        normed_BLD[rows_B, positions_B][:, None],
        normed_BLD,
        normed_BLD,
        key_padding_mask=mask_LL[positions_B].to(x_BLD.dtype),
        need_weights=False,
    )[0]
    return _finished(block, x_BLD[rows_B, positions_B], attended_B1D)


def _is_plain(block: Any) -> bool:
    """Return whether this is open_clip's plain residual attention block; any other is run whole."""
    return type(block).__name__ == "ResidualAttentionBlock"


def _finished(block: Any, x_BD: Tensor, attended_B1D: Tensor) -> Tensor:
    x_BD = x_BD + block.ls_1(attended_B1D)[:, 0]
    return x_BD + cast("Tensor", block.ls_2(block.mlp(block.ln_2(x_BD))))
