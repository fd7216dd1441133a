"""A ViT of open_clip that is pooled by attention, as CoCa's are, adapted to re-identification.

Learnt queries attend to all tokens, and the first of them gives the feature. Source: Yu et al., CoCa, TMLR 2022, in
open_clip's form of it.

Shape suffixes: B images, 3 colours, H W image rows and columns, L = 1 + h * w tokens (class token first), D width of
the tower, Q queries of the pool, E its width.
"""

from typing import Any

from torch import Tensor

from reid_pipeline.models.image_encoder import ImageFeatures, Pooling
from reid_pipeline.models.towers._open_clip_vit import OpenClipViT, is_open_clip_vit, tokens


class AttentionPooledViT(OpenClipViT):
    """An attention-pooled ViT of open_clip: `penultimate` is the mean of all tokens, which is what the pool reads."""

    KIND = "attention-pooled ViT"
    pooling: Pooling = "attention"

    @classmethod
    def fits(cls, visual: Any) -> bool:
        """Return whether this is open_clip's own ViT with one attention pool, of which the first query is read."""
        if not is_open_clip_vit(visual) or visual.attn_pool is None:
            return False
        return visual.pool_type == "tok" and visual.attn_pool_contrastive is None

    def _features(self, images_B3HW: Tensor, camids: Tensor | None, viewids: Tensor | None) -> ImageFeatures:
        visual = self.visual
        x_BLD = tokens(self, images_B3HW, self._side_information(images_B3HW, camids, viewids))
        *blocks, last = visual.transformer.resblocks
        for block in blocks:
            x_BLD = block(x_BLD)
        pooled_BQE = visual.attn_pool(last(x_BLD))
        final_BE = visual.ln_post(pooled_BQE)[:, 0]
        return ImageFeatures(x_BLD.mean(1), final_BE, final_BE @ visual.proj)

    def _read_alone(self, cells_ND: Tensor) -> tuple[Tensor, ...]:
        final_NE = self.visual.ln_post(self.visual.attn_pool(cells_ND[:, None]))[:, 0]
        return final_NE, final_NE @ self.visual.proj


TOWER = AttentionPooledViT
