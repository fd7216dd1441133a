"""What the kinds of timm's ViTs share: patches, positions of each make, the way through the blocks.

Three networks of timm are meant: `VisionTransformer` (learnt positions; patches may come from convolutions, as in
ViTamin and MobileCLIP-B), `Eva` (learnt and rotary positions) and `VisionTransformerRelPos` (relative positions).

Shape suffixes: B images, 3 colours, H W image rows and columns, L tokens (class token and registers first, then
h * w), D width of the tower.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call

from reid_pipeline.models.architecture import Grid
from reid_pipeline.models.image_encoder import ImageEncoder, require_image_size
from reid_pipeline.models.towers._patches import set_patches, with_side
from reid_pipeline.models.towers._timm import alone, set_widths, trunk_of
from reid_pipeline.schema.errors import UserError

_NETWORKS = ("VisionTransformer", "Eva", "VisionTransformerRelPos")


class Tokens(NamedTuple):
    """All tokens of B images at both ends of the last block, float [B, L, D]."""

    entering: Tensor
    leaving: Tensor  # after the norm of the whole, where the network has one before it pools


def is_timm_vit(visual: Any, pool: str) -> bool:
    """Return whether this is a ViT of timm, pooled so: `token`, `avg` or `map` (attention)."""
    trunk = trunk_of(visual)
    return type(trunk).__name__ in _NETWORKS and trunk.global_pool == pool


class TimmViT(ImageEncoder):
    """A ViT of timm; its subclasses differ in how it is pooled."""

    POSITION_KEY = "trunk.pos_embed"

    def _built_grid(self) -> Grid:
        """Return the grid of timm's positions; its own networks' names say another size than open_clip's."""
        rows, columns = self.visual.trunk.patch_embed.grid_size
        return int(rows), int(columns)

    def _adapt(self) -> None:
        trunk: Any = self.visual.trunk
        embed = trunk.patch_embed
        if _has_patches(trunk):
            set_patches(self, embed.proj)
        else:
            self._refuse_patch_stride("its patches come from convolutions")
            self.image_size = require_image_size(self, embed.feat_ratio(), "the stride of its convolutions,")
            self.grid_size = _convolved_grid(embed.backbone, self.image_size)
            embed.feature_size = self.grid_size
        embed.img_size, embed.grid_size = self.image_size, self.grid_size
        embed.num_patches = self.grid_size[0] * self.grid_size[1]
        set_widths(self, int(trunk.embed_dim))
        self._resize_positions()
        _set_other_positions(self, trunk)

    def freeze_patch_projection(self) -> None:
        """Stop training of the patch projection; UserError where patches come from convolutions."""
        trunk: Any = self.visual.trunk
        if not _has_patches(trunk):
            super().freeze_patch_projection()
        trunk.patch_embed.proj.requires_grad_(False)

    @property
    def num_blocks(self) -> int:
        """The blocks of the trunk."""
        return len(self.visual.trunk.blocks)

    def _cells(self, images_B3HW: Tensor, camids: Tensor | None, viewids: Tensor | None) -> Tensor:
        side_BD = self._side_information(images_B3HW, camids, viewids)
        return through_blocks(self, images_B3HW, side_BD).leaving[:, -self.grid_size[0] * self.grid_size[1] :]

    def _read_alone(self, cells_ND: Tensor) -> tuple[Tensor, ...]:
        return alone(self, cells_ND)


def through_blocks(tower: ImageEncoder, images_B3HW: Tensor, side_BD: Tensor | None) -> Tokens:
    """Return the tokens that enter the last block, and what leaves it."""
    trunk: Any = tower.visual.trunk
    x_BLD = trunk.patch_embed(images_B3HW)
    options: list[dict[str, Any]] = [{}] * len(trunk.blocks)
    if type(trunk).__name__ == "VisionTransformerRelPos":
        if trunk.cls_token is not None:
            x_BLD = torch.cat([trunk.cls_token.expand(x_BLD.shape[0], -1, -1), x_BLD], dim=1)
        shared = None if trunk.shared_rel_pos is None else trunk.shared_rel_pos.get_bias()
        options = [{"shared_rel_pos": shared}] * len(trunk.blocks)
    elif type(trunk).__name__ == "Eva":
        x_BLD, rotations = trunk._pos_embed(x_BLD)
        mixed = getattr(trunk, "rope_mixed", False) and rotations is not None
        options = [{"rope": rotations[block] if mixed else rotations} for block in range(len(trunk.blocks))]
    else:
        x_BLD = trunk.patch_drop(trunk._pos_embed(x_BLD))
    if side_BD is not None:
        first_only = tower.sie_tokens == "class" and trunk.cls_token is not None
        x_BLD = with_side(x_BLD, tower.sie_coefficient * side_BD, first_only=first_only)
    x_BLD = getattr(trunk, "norm_pre", nn.Identity())(x_BLD)
    for block, given in zip(trunk.blocks[:-1], options[:-1], strict=True):
        x_BLD = block(x_BLD, **given)
    return Tokens(x_BLD, trunk.norm(trunk.blocks[-1](x_BLD, **options[-1])))


def head_input(tower: ImageEncoder, tokens: Tokens) -> Tensor:
    """Return what timm's classifier reads, pooled and normalised: float [B, width]."""
    pooled_BD: Tensor = tower.visual.trunk.forward_head(tokens.leaving, pre_logits=True)
    return pooled_BD


def _has_patches(trunk: Any) -> bool:
    return not hasattr(trunk.patch_embed, "backbone")


def _convolved_grid(backbone: nn.Module, image_size: Grid) -> Grid:
    """Return (rows, columns) of the map that convolutions make of an image, computed without numbers."""
    tensors = {**dict(backbone.named_parameters()), **dict(backbone.named_buffers())}
    image = torch.empty(2, 3, *image_size, device="meta")
    on_meta = {name: tensor.detach().to("meta") for name, tensor in tensors.items()}
    rows, columns = functional_call(backbone, on_meta, (image,)).shape[-2:]
    return int(rows), int(columns)


def _set_other_positions(tower: ImageEncoder, trunk: Any) -> None:
    """Give rotary and relative positions the grid of this input size."""
    if getattr(trunk, "rope", None) is not None:
        trunk.rope.update_feat_shape(tower.grid_size)
    relative = [each for each in (getattr(block.attn, "rel_pos", None) for block in trunk.blocks) if each is not None]
    if getattr(trunk, "shared_rel_pos", None) is not None:
        relative.append(trunk.shared_rel_pos)
    for each in relative:
        if tuple(each.window_size) == tower.grid_size:
            continue
        if not hasattr(each, "set_window_size"):
            raise UserError(
                f"Backbone {tower.name!r} takes images of its own size alone in this version of timm, and not "
                f"{list(tower.image_size)}. Install a newer timm, or set `backbone` to another network."
            )
        each.set_window_size(tower.grid_size)
