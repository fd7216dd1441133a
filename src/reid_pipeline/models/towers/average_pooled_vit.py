"""A ViT of open_clip that is pooled by the mean of its patches, as CLIPA's are, adapted to re-identification.

It has a class token, which takes part in attention and nothing more; side information goes to it. Source: Li et al.,
CLIPA, NeurIPS 2023.

Shape suffixes: B images, 3 colours, H W image rows and columns, L = 1 + h * w tokens (class token first), D width of
the tower.
"""

from typing import Any

from torch import Tensor

from reid_pipeline.models.image_encoder import ImageFeatures, Pooling
from reid_pipeline.models.towers._open_clip_vit import OpenClipViT, is_open_clip_vit, tokens


class AveragePooledViT(OpenClipViT):
    """An average-pooled ViT of open_clip: `penultimate` and `final` are means of the patches, the class token apart."""

    KIND = "average-pooled ViT"
    pooling: Pooling = "mean"

    @classmethod
    def fits(cls, visual: Any) -> bool:
        """Return whether this is open_clip's own ViT, pooled by the mean of its patches."""
        return is_open_clip_vit(visual) and visual.pool_type == "avg" and visual.attn_pool is None

    def _features(self, images_B3HW: Tensor, camids: Tensor | None, viewids: Tensor | None) -> ImageFeatures:
        visual = self.visual
        x_BLD = tokens(self, images_B3HW, self._side_information(images_B3HW, camids, viewids))
        *blocks, last = visual.transformer.resblocks
        for block in blocks:
            x_BLD = block(x_BLD)
        penultimate_BD = x_BLD[:, 1:].mean(1)
        x_BLD = last(x_BLD)
        if visual.final_ln_after_pool:
            final_BD = visual.ln_post(x_BLD[:, 1:].mean(1))
        else:
            final_BD = visual.ln_post(x_BLD)[:, 1:].mean(1)
        return ImageFeatures(penultimate_BD, final_BD, final_BD @ visual.proj)


TOWER = AveragePooledViT
