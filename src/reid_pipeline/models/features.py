"""The three image features, by name.

Shape suffixes: B images, W width of the image tower, E width of CLIP's joint space.
"""

from typing import NamedTuple

from torch import Tensor


class ImageFeatures(NamedTuple):
    """What the image tower says about B images, all read at the class token.

    Attributes:
        penultimate: Float [B, W], output of the block before the last, no closing layer norm.
        final: Float [B, W], output of the last block after ``ln_post``.
        projected: Float [B, E], ``final @ proj``: the image in CLIP's joint space.
    """

    penultimate: Tensor
    final: Tensor
    projected: Tensor
