"""ConvNeXt (with open_clip's projection of two layers), FastViT as MobileCLIP-S has it, Swin."""

from typing import Any

from timm.models import register_model
from timm.models.convnext import _create_convnext
from timm.models.fastvit import _create_fastvit
from timm.models.swin_transformer import _create_swin_transformer
from torch import Tensor

from tower_examples import entering


@register_model
def small_convnext(pretrained: bool = False, **options: Any) -> Any:
    own = {"depths": (1, 1, 1, 1), "dims": (8, 8, 16, 32)}
    return _create_convnext("small_convnext", pretrained, **(own | options))


@register_model
def small_fastvit(pretrained: bool = False, **options: Any) -> Any:
    own = {"layers": (1, 1, 1, 1), "embed_dims": (8, 8, 16, 32), "mlp_ratios": (2, 2, 2, 2)}
    own |= {"se_downsamples": (False, False, True, True), "token_mixers": ("repmixer",) * 3 + ("attention",)}
    return _create_fastvit("small_fastvit", pretrained, **(own | options))


@register_model
def small_swin(pretrained: bool = False, **options: Any) -> Any:
    own = {"img_size": 64, "patch_size": 4, "window_size": 4, "embed_dim": 8, "depths": (2, 2), "num_heads": (2, 2)}
    return _create_swin_transformer("small_swin", pretrained, **(own | options))


EXAMPLES = {
    "small-convnext": {"timm_model_name": "small_convnext", "timm_pool": "", "timm_proj": "mlp", "image_size": 64},
    "small-fastvit": {"timm_model_name": "small_fastvit", "timm_pool": "avg", "timm_proj": None, "image_size": 64},
    "small-swin": {"timm_model_name": "small_swin", "timm_pool": "", "timm_proj": "linear", "image_size": 64},
}


def penultimate(visual: Any, images: Tensor) -> Tensor:
    if hasattr(visual.trunk, "layers"):  # Swin: channels last
        return entering(visual.trunk.layers[-1], visual, images).mean((1, 2))
    return entering(visual.trunk.stages[-1], visual, images).mean((2, 3))
