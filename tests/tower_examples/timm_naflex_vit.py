"""SigLIP's form of it, and one with a class token, rotary positions and convolutional patches."""

from typing import Any

from timm.models import register_model
from timm.models.naflexvit import NaFlexVitCfg, _create_naflexvit
from torch import Tensor

from tower_examples import entering

_SMALL = {"patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 2, "pos_embed_grid_size": (4, 4)}


@register_model
def small_naflex(pretrained: bool = False, **options: Any) -> Any:
    own = NaFlexVitCfg(**_SMALL, global_pool="map", act_layer="gelu_tanh", class_token=False, reg_tokens=0)
    return _create_naflexvit("small_naflex", pretrained, cfg=own, **options)


@register_model
def small_naflex_rotary(pretrained: bool = False, **options: Any) -> Any:
    own = NaFlexVitCfg(
        **_SMALL, global_pool="token", class_token=True, reg_tokens=0, rope_type="axial", attn_type="rope"
    )
    return _create_naflexvit("small_naflex_rotary", pretrained, cfg=own, **options)


EXAMPLES = {
    "small-naflex": {
        "timm_model_name": "small_naflex",
        "timm_pool": "map",
        "timm_proj": "none",
        "image_size": 32,
        "width": 32,
    },
    "small-naflex-rotary": {
        "timm_model_name": "small_naflex_rotary",
        "timm_pool": "token",
        "timm_proj": None,
        "image_size": 32,
    },
}


def penultimate(visual: Any, images: Tensor) -> Tensor:
    tokens = entering(visual.trunk.blocks[-1], visual, images)
    return tokens[:, 0] if visual.trunk.global_pool == "token" else tokens.mean(1)
