"""timm's ViTs that are pooled by attention: SigLIP and SigLIP 2, PE-Core.

A learnt query attends to the tokens. SigLIP has no class token and no projection behind the pool; PE-Core has both
(its largest without a class token). Source: Zhai et al., SigLIP, ICCV 2023; Bolya et al., Perception Encoder, 2025.

Shape suffixes: B images, 3 colours, H W image rows and columns, L tokens (class token first, where there is one), D
width of the tower.
"""

from typing import Any

from torch import Tensor

from reid_pipeline.models.image_encoder import ImageFeatures, Pooling
from reid_pipeline.models.towers import _timm_vit
from reid_pipeline.models.towers._timm import projected


class TimmAttentionPooledViT(_timm_vit.TimmViT):
    """An attention-pooled ViT of timm: `penultimate` is the mean of the tokens that the pool reads."""

    KIND = "timm attention-pooled ViT"
    pooling: Pooling = "attention"

    @classmethod
    def fits(cls, visual: Any) -> bool:
        """Return whether this is a ViT of timm, pooled by attention."""
        return _timm_vit.is_timm_vit(visual, "map")

    def _features(self, images_B3HW: Tensor, camids: Tensor | None, viewids: Tensor | None) -> ImageFeatures:
        side_BD = self._side_information(images_B3HW, camids, viewids)
        tokens = _timm_vit.through_blocks(self, images_B3HW, side_BD)
        final_BD = _timm_vit.head_input(self, tokens)
        trunk = self.visual.trunk
        read_from = 0 if getattr(trunk, "pool_include_prefix", True) else trunk.num_prefix_tokens  # Eva: all tokens
        return ImageFeatures(tokens.entering[:, read_from:].mean(1), final_BD, projected(self, final_BD))


TOWER = TimmAttentionPooledViT
