"""The three image features, by name.

Shape suffixes: B images, P W widths of the image tower (equal in a ViT), E width of CLIP's joint space.
"""

from typing import NamedTuple

from torch import Tensor


class ImageFeatures(NamedTuple):
    """What the image tower says about B images: at the class token of a ViT, averaged in a ResNet.

    Attributes:
        penultimate: float [B, P]. ViT: output of the block before the last, no closing layer norm. ResNet:
            output of `layer3`, averaged over the grid.
        final: float [B, W]. ViT: output of the last block after `ln_post`. ResNet: output of `layer4`,
            averaged over the grid.
        projected: float [B, E], the image in CLIP's joint space. ViT: `final @ proj`. ResNet: output of the
            attention pool.
    """

    penultimate: Tensor
    final: Tensor
    projected: Tensor
