"""vit_medium_patch16_gap and ViTamin (patches from convolutions)."""

from typing import Any

from timm.models import register_model
from timm.models.vision_transformer import _create_vision_transformer
from timm.models.vitamin import GeGluMlp, VitCfg, VitConvCfg, _create_vitamin
from torch import Tensor

from tower_examples import entering

_SMALL = {"img_size": 32, "embed_dim": 32, "depth": 2, "num_heads": 2, "class_token": False, "global_pool": "avg"}


@register_model
def small_gap(pretrained: bool = False, **options: Any) -> Any:
    own = {"patch_size": 8, "qkv_bias": False, "init_values": 0.1, "fc_norm": False}
    return _create_vision_transformer("small_gap", pretrained, **(_SMALL | own | options))


@register_model
def small_vitamin(pretrained: bool = False, **options: Any) -> Any:
    convolutions = VitConvCfg(norm_layer="layernorm2d", norm_eps=1e-6)
    stages = VitCfg(embed_dim=(8, 16, 32), depths=(1, 1, 1), stem_width=8, conv_cfg=convolutions, head_type="1d")
    own = {"mlp_layer": GeGluMlp, "mlp_ratio": 2.0, "embed_cfg": stages}
    return _create_vitamin("small_vitamin", pretrained=pretrained, **(_SMALL | own | options))


EXAMPLES = {
    "small-gap": {"timm_model_name": "small_gap", "timm_pool": "", "timm_proj": "linear", "image_size": 32},
    "small-vitamin": {"timm_model_name": "small_vitamin", "timm_pool": "", "timm_proj": "linear", "image_size": 32},
}


def penultimate(visual: Any, images: Tensor) -> Tensor:
    return entering(visual.trunk.blocks[-1], visual, images).mean(1)
