"""CLIP's ResNet."""

from typing import Any

from torch import Tensor

from tower_examples import entering

EXAMPLES = {"small-resnet": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8, "head_width": 16}}


def penultimate(visual: Any, images: Tensor) -> Tensor:
    return entering(visual.layer4, visual, images).mean((2, 3))
