"""timm's ViTs that are pooled by the mean of their tokens: vit_medium_patch16_gap, ViTamin.

ViTamin's tokens come from convolutions. Source: Chen et al., ViTamin, CVPR 2024.

Shape suffixes: B images, 3 colours, H W image rows and columns, L tokens (class token and registers
first, mostly none), D width of the tower.
"""

from typing import Any

from torch import Tensor

from reid_pipeline.models.image_encoder import ImageFeatures, Pooling
from reid_pipeline.models.towers import _timm_vit
from reid_pipeline.models.towers._timm import projected


class TimmAveragePooledViT(_timm_vit.TimmViT):
    """An average-pooled ViT of timm: `penultimate` and `final` are means of the patches, special tokens apart."""

    KIND = "timm average-pooled ViT"
    pooling: Pooling = "mean"

    @classmethod
    def fits(cls, visual: Any) -> bool:
        """Return whether this is a ViT of timm, pooled by the mean of its tokens."""
        return _timm_vit.is_timm_vit(visual, "avg")

    def _features(self, images_B3HW: Tensor, camids: Tensor | None, viewids: Tensor | None) -> ImageFeatures:
        side_BD = self._side_information(images_B3HW, camids, viewids)
        tokens = _timm_vit.through_blocks(self, images_B3HW, side_BD)
        final_BD = _timm_vit.head_input(self, tokens)
        penultimate_BD = tokens.entering[:, self.visual.trunk.num_prefix_tokens :].mean(1)
        return ImageFeatures(penultimate_BD, final_BD, projected(self, final_BD))


TOWER = TimmAveragePooledViT
