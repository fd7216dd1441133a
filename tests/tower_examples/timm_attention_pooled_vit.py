"""SigLIP (no class token, no projection) and PE-Core (both, and rotary positions)."""

from typing import Any

from timm.models import register_model
from timm.models.eva import _create_eva
from timm.models.vision_transformer import _create_vision_transformer
from torch import Tensor

from tower_examples import entering

_SMALL = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 2, "global_pool": "map"}


@register_model
def small_siglip(pretrained: bool = False, **options: Any) -> Any:
    own = {"class_token": False, "act_layer": "gelu_tanh"}
    return _create_vision_transformer("small_siglip", pretrained, **(_SMALL | own | options))


@register_model
def small_pe_core(pretrained: bool = False, **options: Any) -> Any:
    rotary = {"use_rot_pos_emb": True, "ref_feat_shape": (4, 4), "rope_grid_offset": 1.0, "rope_grid_indexing": "xy"}
    own = {"attn_type": "rope", "use_pre_transformer_norm": True, "attn_pool_num_heads": 2, "attn_pool_mlp_ratio": 4.0}
    return _create_eva("small_pe_core", pretrained, **(_SMALL | own | rotary | options))


EXAMPLES = {
    "small-siglip": {
        "timm_model_name": "small_siglip",
        "timm_pool": "map",
        "timm_proj": "none",
        "image_size": 32,
        "width": 32,
    },
    "small-pe-core": {"timm_model_name": "small_pe_core", "timm_pool": "map", "timm_proj": None, "image_size": 32},
}


def penultimate(visual: Any, images: Tensor) -> Tensor:
    return entering(visual.trunk.blocks[-1], visual, images).mean(1)
