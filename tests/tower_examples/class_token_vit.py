"""CLIP's ViT; with layer scale, and with patches left out in training."""

from typing import Any

from torch import Tensor

from tower_examples import entering

_VIT = {"image_size": 32, "patch_size": 8, "width": 32, "head_width": 16, "layers": 2}
EXAMPLES = {"small-vit": _VIT, "small-vit-scaled": _VIT | {"ls_init_value": 0.1}}


def penultimate(visual: Any, images: Tensor) -> Tensor:
    return entering(visual.transformer.resblocks[-1], visual, images)[:, 0]
