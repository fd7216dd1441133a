"""CLIP's class-token ViT, adapted to re-identification (methods.md, section 1).

Any input size and patch stride, side information, three features instead of one.

Shape suffixes: B images, 3 colours, H W image rows and columns, L = 1 + h * w tokens (class token first), D width of
the tower.
"""

from typing import Any

from torch import Tensor

from reid_pipeline.models.image_encoder import ImageFeatures, Pooling
from reid_pipeline.models.last_block import first_token_after
from reid_pipeline.models.towers._open_clip_vit import OpenClipViT, is_open_clip_vit, tokens


class ViTEncoder(OpenClipViT):
    """A class-token ViT of open_clip: all features are read at the class token."""

    KIND = "class-token ViT"
    pooling: Pooling = "class token"

    @classmethod
    def fits(cls, visual: Any) -> bool:
        """Return whether this is open_clip's own ViT, pooled by its class token."""
        return is_open_clip_vit(visual) and visual.pool_type == "tok" and visual.attn_pool is None

    def _features(self, images_B3HW: Tensor, camids: Tensor | None, viewids: Tensor | None) -> ImageFeatures:
        x_BLD = tokens(self, images_B3HW, self._side_information(images_B3HW, camids, viewids))
        *blocks, last = self.visual.transformer.resblocks
        for block in blocks:
            x_BLD = block(x_BLD)
        penultimate_BD = x_BLD[:, 0]
        final_BD = self.visual.ln_post(first_token_after(last, x_BLD))
        return ImageFeatures(penultimate_BD, final_BD, final_BD @ self.visual.proj)


TOWER = ViTEncoder
