"""EVA02 (rotary and learnt positions), MobileCLIP-B (patches from convolutions), vit_relpos, a ViT with registers."""

from typing import Any

from timm.models import register_model
from timm.models.eva import _create_eva
from timm.models.vision_transformer import _create_vision_transformer
from timm.models.vision_transformer_hybrid import ConvStem, _create_vision_transformer_hybrid
from timm.models.vision_transformer_relpos import _create_vision_transformer_relpos
from torch import Tensor

from tower_examples import entering

_SMALL = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 2}


@register_model
def small_eva02(pretrained: bool = False, **options: Any) -> Any:
    own = {"qkv_fused": False, "swiglu_mlp": True, "scale_mlp": True, "use_rot_pos_emb": True, "ref_feat_shape": (4, 4)}
    return _create_eva("small_eva02", pretrained, **(_SMALL | own | options))


@register_model
def small_registers(pretrained: bool = False, **options: Any) -> Any:
    own = {"reg_tokens": 2, "pre_norm": True}
    return _create_vision_transformer("small_registers", pretrained, **(_SMALL | own | options))


@register_model
def small_mci(pretrained: bool = False, **options: Any) -> Any:
    sizes = {"channels": (8, 8, 32), "stride": (2, 2, 2), "kernel_size": (2, 2, 2), "padding": 0}
    own = {"no_embed_class": True, "embed_args": {"proj": False}, "backbone": ConvStem(**sizes)}
    own |= {key: value for key, value in _SMALL.items() if key != "patch_size"}
    return _create_vision_transformer_hybrid("small_mci", pretrained=pretrained, **(own | options))


@register_model
def small_relpos(pretrained: bool = False, **options: Any) -> Any:
    own = {"rel_pos_dim": 8, "class_token": True, "global_pool": "token"}
    return _create_vision_transformer_relpos("small_relpos", pretrained, **(_SMALL | own | options))


@register_model
def small_relpos_table(pretrained: bool = False, **options: Any) -> Any:
    own = {"rel_pos_type": "bias", "class_token": True, "global_pool": "token", "shared_rel_pos": True}
    return _create_vision_transformer_relpos("small_relpos_table", pretrained, **(_SMALL | own | options))


EXAMPLES = {
    "small-eva02": {"timm_model_name": "small_eva02", "timm_pool": "token", "timm_proj": None, "image_size": 32},
    "small-registers": {
        "timm_model_name": "small_registers",
        "timm_pool": "token",
        "timm_proj": None,
        "image_size": 32,
    },
    "small-mci": {"timm_model_name": "small_mci", "timm_pool": "token", "timm_proj": None, "image_size": 32},
    "small-relpos": {"timm_model_name": "small_relpos", "timm_pool": "", "timm_proj": "linear", "image_size": 32},
    "small-table": {"timm_model_name": "small_relpos_table", "timm_pool": "", "timm_proj": "linear", "image_size": 32},
}


def penultimate(visual: Any, images: Tensor) -> Tensor:
    return entering(visual.trunk.blocks[-1], visual, images)[:, 0]
