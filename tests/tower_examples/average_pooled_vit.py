"""CLIPA's ViT, and one that is normed before it is pooled, with fixed positions."""

from typing import Any

from torch import Tensor

from tower_examples import entering

_VIT = {"image_size": 32, "patch_size": 8, "width": 32, "head_width": 16, "layers": 2, "pool_type": "avg"}
EXAMPLES = {
    "small-clipa": _VIT | {"no_ln_pre": True, "final_ln_after_pool": True},
    "small-sincos": _VIT | {"pos_embed_type": "sin_cos_2d"},
}


def penultimate(visual: Any, images: Tensor) -> Tensor:
    return entering(visual.transformer.resblocks[-1], visual, images)[:, 1:].mean(1)
