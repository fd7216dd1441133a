"""timm's NaFlex ViT, whose positions are resized by itself to any grid; here it reads images of one size.

open_clip 3.3 lists no network of it; folders and repositories may have one as their `timm_model_name`. Patches are not
left out in training. Source: Dehghani et al., Patch n' Pack: NaViT, NeurIPS 2023; Tschannen et al., SigLIP 2, 2025.

Shape suffixes: B images, 3 colours, H W image rows and columns, L tokens (class token and registers first, where there
are any), D width of the tower.
"""

from typing import Any

from torch import Tensor, nn

from reid_pipeline.models.image_encoder import ImageEncoder, ImageFeatures, Pooling, require_image_size
from reid_pipeline.models.towers._patches import with_side
from reid_pipeline.models.towers._timm import alone, projected, set_widths, trunk_of
from reid_pipeline.schema.errors import UserError


class TimmNaFlexViT(ImageEncoder):
    """A NaFlex ViT: `penultimate` is the class token where that is read, else the mean of the tokens that are read."""

    KIND = "timm NaFlex ViT"

    @classmethod
    def fits(cls, visual: Any) -> bool:
        """Return whether this is timm's NaFlex ViT, pooled by class token, mean or attention."""
        trunk = trunk_of(visual)
        return type(trunk).__name__ == "NaFlexVit" and trunk.global_pool in {"token", "avg", "map"}

    def _adapt(self) -> None:
        trunk = self.visual.trunk
        embeds = trunk.embeds
        patch_size: tuple[int, int] = tuple(embeds.patch_size)
        self._refuse_patch_stride("its patches are cut without overlap")
        self.image_size = require_image_size(self, max(patch_size), "the patch size")
        rests = [size % patch for size, patch in zip(self.image_size, patch_size, strict=True)]
        if isinstance(embeds.proj, nn.Linear) and any(rests):
            raise UserError(
                f"image_size {list(self.image_size)} is not allowed with {self.name!r}: whole patches of "
                f"{list(patch_size)}, such as [{patch_size[0] * 16}, {patch_size[1] * 8}]. Correct `image_size`."
            )
        rows, columns = embeds.dynamic_feat_size(self.image_size)
        self.grid_size = int(rows), int(columns)
        set_widths(self, int(trunk.embed_dim))
        pools: dict[str, Pooling] = {"token": "class token", "avg": "mean", "map": "attention"}
        self.pooling = pools[trunk.global_pool]

    def freeze_patch_projection(self) -> None:
        """Stop training of the patch projection."""
        self.visual.trunk.embeds.proj.requires_grad_(False)

    @property
    def num_blocks(self) -> int:
        """The blocks of the trunk."""
        return len(self.visual.trunk.blocks)

    def _features(self, images_B3HW: Tensor, camids: Tensor | None, viewids: Tensor | None) -> ImageFeatures:
        x_BLD, last_BLD = self._through_blocks(images_B3HW, camids, viewids)
        final_BD = self.visual.trunk.forward_head(last_BLD, pre_logits=True)
        return ImageFeatures(self._read(x_BLD), final_BD, projected(self, final_BD))

    def _cells(self, images_B3HW: Tensor, camids: Tensor | None, viewids: Tensor | None) -> Tensor:
        cells = self.grid_size[0] * self.grid_size[1]
        return self._through_blocks(images_B3HW, camids, viewids)[1][:, -cells:]

    def _read_alone(self, cells_ND: Tensor) -> tuple[Tensor, ...]:
        return alone(self, cells_ND)

    def _through_blocks(
        self, images_B3HW: Tensor, camids: Tensor | None, viewids: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Return the tokens that enter the last block, and what leaves it, normalised: float [B, L, D] each."""
        trunk = self.visual.trunk
        x_BLD, grid = trunk.embeds(images_B3HW)
        if (side_BD := self._side_information(images_B3HW, camids, viewids)) is not None:
            first_only = self.sie_tokens == "class" and trunk.has_class_token
            x_BLD = with_side(x_BLD, self.sie_coefficient * side_BD, first_only=first_only)
        x_BLD = trunk.norm_pre(x_BLD)
        *options, for_last = self._rotations(grid)
        for block, given in zip(trunk.blocks[:-1], options, strict=True):
            x_BLD = block(x_BLD, **given)
        return x_BLD, trunk.norm(trunk.blocks[-1](x_BLD, **for_last))

    def _rotations(self, grid: Any) -> list[dict[str, Any]]:
        """Return what each block is given beside the tokens: the grid's rotary positions, where it has such."""
        trunk = self.visual.trunk
        if trunk.rope is None:
            return [{}] * len(trunk.blocks)
        rotations = trunk.rope.get_embed(shape=grid)
        return [{"rope": each} for each in (rotations if trunk.rope_is_mixed else [rotations] * len(trunk.blocks))]

    def _read(self, x_BLD: Tensor) -> Tensor:
        """Return the class token, or the mean of the tokens that pooling reads: float [B, D]."""
        trunk = self.visual.trunk
        if trunk.global_pool == "token":
            return x_BLD[:, 0]
        return x_BLD[:, 0 if trunk.pool_include_prefix else trunk.num_prefix_tokens :].mean(1)


TOWER = TimmNaFlexViT
