"""timm's ViTs that are pooled by their class token: EVA01, EVA02, MobileCLIP-B and -L, vit_relpos.

Source: Sun et al., EVA-CLIP, arXiv 2303.15389; Vasu et al., MobileCLIP, CVPR 2024.

Shape suffixes: B images, 3 colours, H W image rows and columns, L tokens (class token first), D width of the tower.
"""

from typing import Any

from torch import Tensor

from reid_pipeline.models.image_encoder import ImageFeatures, Pooling
from reid_pipeline.models.towers import _timm_vit
from reid_pipeline.models.towers._timm import projected


class TimmClassTokenViT(_timm_vit.TimmViT):
    """A class-token ViT of timm: all features are read at the class token."""

    KIND = "timm ViT with class token"
    pooling: Pooling = "class token"

    @classmethod
    def fits(cls, visual: Any) -> bool:
        """Return whether this is a ViT of timm, pooled by its class token."""
        return _timm_vit.is_timm_vit(visual, "token")

    def _features(self, images_B3HW: Tensor, camids: Tensor | None, viewids: Tensor | None) -> ImageFeatures:
        side_BD = self._side_information(images_B3HW, camids, viewids)
        tokens = _timm_vit.through_blocks(self, images_B3HW, side_BD)
        final_BD = _timm_vit.head_input(self, tokens)
        return ImageFeatures(tokens.entering[:, 0], final_BD, projected(self, final_BD))


TOWER = TimmClassTokenViT
