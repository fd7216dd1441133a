"""CLIP's image tower, adapted to re-identification (methods.md, section 1).

Any class-token ViT of open_clip, at any input size (also not square) and any patch stride, with side
information, giving three features instead of one.

Shape suffixes: B images, 3 colours, H W image rows and columns, h w token rows and columns, L = 1 + h * w
tokens (class token first), D width of the tower, S rows of the side information table, C cameras, V views.
"""

import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from reid_pipeline.models.architecture import build_visual_tower, require_class_token_vit
from reid_pipeline.models.features import ImageFeatures
from reid_pipeline.models.position_grid import Grid, resize_positions, stored_grid, token_grid
from reid_pipeline.models.pretrained import load_pretrained_state, pixel_statistics
from reid_pipeline.schema.errors import UserError


class ImageEncoder(nn.Module):
    """The image tower of one CLIP at one input size.

    Its parameters are open_clip's own, under ``visual.``; the positional embedding has the grid of
    ``image_size`` and ``patch_stride``. With cameras or views there is ``side_embedding``, float [S, D], one
    row per (camera, view), index ``camera * num_views + view``.

    Attributes:
        name: Its name in open_clip.
        image_size: (H, W) it takes.
        patch_stride: Step between patches; smaller than the patch for overlapping patches (OLP).
        grid_size: (h, w) tokens.
        num_cameras: Cameras known to ``side_embedding``, or 0.
        num_views: Views known to ``side_embedding``, or 0.
        width: Width of ``penultimate`` and ``final``.
        projected_width: Width of ``projected``.
        embedding_width: ``width + projected_width``, the retrieval embedding.
        sie_coefficient: Weight of the side information, lambda of methods.md.
        pixel_mean: Mean per colour, of pixels in 0..1, that images are normalised with.
        pixel_std: Standard deviation, likewise.
    """

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
        super().__init__()
        patch_size: Grid = tuple(visual.patch_size)
        self.name = name
        self.image_size, self.patch_stride = _geometry(image_size, patch_stride, patch_size)
        self.grid_size = token_grid(self.image_size, patch_size, self.patch_stride)
        self.num_cameras, self.num_views = _counts(num_cameras, num_views)
        self.sie_coefficient = 1.0
        self.pixel_mean, self.pixel_std = pixel_statistics(name, None)

        visual.conv1.stride = (self.patch_stride, self.patch_stride)
        position_LD = resize_positions(visual.positional_embedding.data, visual.grid_size, self.grid_size)
        visual.positional_embedding = nn.Parameter(position_LD)
        visual.grid_size = self.grid_size
        visual.image_size = self.image_size
        self.visual = visual
        self.width, self.projected_width = (int(size) for size in visual.proj.shape)
        self.embedding_width = self.width + self.projected_width
        if self.num_cameras or self.num_views:
            table_SD = torch.empty(max(self.num_cameras, 1) * max(self.num_views, 1), self.width)
            self.side_embedding: nn.Parameter | None = nn.Parameter(nn.init.trunc_normal_(table_SD, std=0.02))
        else:
            self.register_parameter("side_embedding", None)

    def forward(
        self, images_B3HW: Tensor, camids: Tensor | None = None, viewids: Tensor | None = None
    ) -> ImageFeatures:
        """Do as ``encode_image``."""
        return self.encode_image(images_B3HW, camids, viewids)

    def encode_image(
        self, images: Tensor, camids: Tensor | None = None, viewids: Tensor | None = None
    ) -> ImageFeatures:
        """Return the three features of each image.

        Args:
            images: Float [B, 3, H, W], normalised by ``pixel_mean`` and ``pixel_std``.
            camids: Int64 [B], 0-based cameras; read only if ``num_cameras`` is not 0. A camera outside the
                table, or none given, gets the mean of the learnt cameras (with a warning in eval mode).
            viewids: Int64 [B], 0-based views; likewise.

        Raises:
            UserError: The images have another size, or side information is missing in training.
        """
        if tuple(images.shape[-2:]) != self.image_size:
            raise UserError(
                f"The images are {tuple(images.shape[-2:])} and the encoder was built for {self.image_size} "
                f"(rows, columns). Resize the images, or set `image_size` to {list(images.shape[-2:])}."
            )
        x_BLD = self._tokens(images, self._side_information(images, camids, viewids))
        *blocks, last = self.visual.transformer.resblocks
        for block in blocks:
            x_BLD = block(x_BLD)
        penultimate_BD = x_BLD[:, 0]
        final_BD = self.visual.ln_post(_class_token_after(last, x_BLD))
        return ImageFeatures(penultimate_BD, final_BD, final_BD @ self.visual.proj)

    def freeze_patch_projection(self) -> None:
        """Stop training of the patch projection ``conv1`` (the stability trick of MoCo v3)."""
        self.visual.conv1.requires_grad_(False)

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
                    f"Give "
                    f"the {what} of each image, or set `num_{what}s: 0`."
                )
            return torch.full((len(images),), count, dtype=torch.long, device=images.device)
        ids_B = ids.to(images.device).long()
        known_B = (ids_B >= 0) & (ids_B < count)
        if not self.training and not bool(known_B.all()):
            unseen = sorted(set(ids_B[~known_B].tolist()))[:5]
            warnings.warn(
                f"Not seen in training: {what} {unseen}, outside 0..{count - 1}; "
                f"the mean of the learnt ones stands in.",
                stacklevel=4,
            )
        return torch.where(known_B, ids_B, count)


def build_image_encoder(
    name: str,
    *,
    pretrained: str | Path | None = None,
    image_size: Grid = (256, 128),
    patch_stride: int | None = None,
    num_cameras: int = 0,
    num_views: int = 0,
) -> ImageEncoder:
    """Return CLIP's image tower ``name`` with its three features.

    Args:
        name: A class-token ViT of open_clip (``ViT-B-16-quickgelu``), or ``demo-vit``.
        pretrained: A tag, the path of a weight file, ``"demo"``, or None for random weights drawn from
            torch's global generator; see ``reid_pipeline.models.pretrained``.
        image_size: (H, W), at least one patch.
        patch_stride: 1..patch; None means the patch size (no overlap).
        num_cameras: Cameras that get a learnt embedding; 0 for none.
        num_views: Views that get one; 0 for none.

    Returns:
        A module in training mode, on the CPU, float32.

    Raises:
        UserError: Any of the above is not allowed, or the weights do not fit.
    """
    config = require_class_token_vit(name)
    state = None if pretrained is None else load_pretrained_state(name, pretrained)
    visual = build_visual_tower(config, device="cpu" if state is None else "meta")
    native: Grid = tuple(visual.grid_size)
    encoder = ImageEncoder(
        name,
        visual,
        image_size=image_size,
        patch_stride=patch_stride,
        num_cameras=num_cameras,
        num_views=num_views,
    )
    if state is not None:
        _load_tower(encoder, state, native)
        encoder.pixel_mean, encoder.pixel_std = pixel_statistics(name, pretrained)
    return encoder


def _load_tower(encoder: ImageEncoder, state: dict[str, Tensor], native: Grid) -> None:
    """Put the weights into a tower that lies on the meta device, the positional embedding resized."""
    position_LD = state["positional_embedding"]
    source = stored_grid(len(position_LD), native) or native
    resized = {"positional_embedding": resize_positions(position_LD, source, encoder.grid_size)}
    encoder.visual.load_state_dict(state | resized, assign=True)


def _class_token_after(block: Any, x_BLD: Tensor) -> Tensor:
    """Return the class token after a block, float [B, D]; where it can, without computing the other tokens.

    Only the class token of the last block is read, so its attention needs one query and its MLP one token.
    Exact but for rounding.
    """
    if type(block).__name__ != "ResidualAttentionBlock":
        token_BD: Tensor = block(x_BLD)[:, 0]
        return token_BD
    normed_BLD = block.ln_1(x_BLD)
    attended_B1D = block.attention(normed_BLD[:, :1], normed_BLD, normed_BLD)
    x_BD = x_BLD[:, 0] + block.ls_1(attended_B1D)[:, 0]
    after_BD: Tensor = x_BD + block.ls_2(block.mlp(block.ln_2(x_BD)))
    return after_BD


def _geometry(image_size: Grid, patch_stride: int | None, patch_size: Grid) -> tuple[Grid, int]:
    size = tuple(int(side) for side in image_size)
    if len(size) != 2 or size[0] < patch_size[0] or size[1] < patch_size[1]:
        raise UserError(
            f"image_size {list(image_size)} is not allowed: two whole numbers (rows, columns), each at "
            f"least the "
            f"patch size {patch_size[0]}. For persons [256, 128], for vehicles [256, 256]. Correct "
            f"`image_size`."
        )
    stride = patch_size[0] if patch_stride is None else int(patch_stride)
    if not 1 <= stride <= patch_size[0]:
        raise UserError(
            f"patch_stride {patch_stride} is not allowed: 1 to the patch size, {patch_size[0]} (12 is usual "
            f"for "
            f"overlapping patches of 16), or null for the patch size. Correct `patch_stride`."
        )
    return (size[0], size[1]), stride


def _counts(num_cameras: int, num_views: int) -> tuple[int, int]:
    for what, count in (("num_cameras", num_cameras), ("num_views", num_views)):
        if count < 0:
            raise UserError(
                f"{what} {count} is not allowed: 0 (no side information) or more. Correct `{what}`."
            )
    return int(num_cameras), int(num_views)
