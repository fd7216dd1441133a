"""CoCa's ViT."""

from typing import Any

from torch import Tensor

from tower_examples import entering

EXAMPLES = {
    "small-coca": {
        "image_size": 32,
        "patch_size": 8,
        "width": 32,
        "head_width": 16,
        "layers": 2,
        "attentional_pool": True,
        "attn_pooler_queries": 5,
        "attn_pooler_heads": 2,
        "output_tokens": True,
    }
}


def penultimate(visual: Any, images: Tensor) -> Tensor:
    return entering(visual.transformer.resblocks[-1], visual, images).mean(1)
