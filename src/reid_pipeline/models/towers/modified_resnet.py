"""CLIP's ModifiedResNet (RN50, RN101, RN50x4 ...), adapted to re-identification (methods.md, section 1).

Any input size, the last stride 1 instead of 2 (a grid of 16 x 8 for 256 x 128), three features instead of one.

Shape suffixes: B images, 3 colours, H W image rows and columns, h w grid rows and columns, L = 1 + h * w
tokens of the attention pool (mean token first), D width of layer4, A heads, K width of a head.
"""

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reid_pipeline.models.image_encoder import ImageEncoder, ImageFeatures, Pooling, require_image_size

_STRIDE = 16  # pixels per grid cell on each axis once layer4 has stride 1


class ResNetEncoder(ImageEncoder):
    """A ModifiedResNet of open_clip. The statistics of its batch norms move in training mode."""

    KIND = "ModifiedResNet"
    pooling: Pooling = "attention"
    WIDENS = True
    POSITION_KEY = "attnpool.positional_embedding"

    @classmethod
    def fits(cls, visual: Any) -> bool:
        """Return whether this is CLIP's own ResNet."""
        return type(visual).__name__ == "ModifiedResNet"

    def _adapt(self) -> None:
        self.image_size = require_image_size(self, _STRIDE, "the stride of the network,")
        self._refuse_patch_stride("a ResNet has no patches")
        self._refuse_side_information("side information is added to tokens, and a ResNet has none")
        # After the stem (rounding up, then down) and two more poolings by 2 (rounding down).
        rows, columns = ((side + 1) // 2 // 8 for side in self.image_size)
        self.grid_size = rows, columns

        # The stride of layer4 lies in the average pools before its third convolution and in its shortcut.
        first = self.visual.layer4[0]
        first.avgpool = nn.Identity()
        setattr(first.downsample, "-1", nn.Identity())
        first.stride = 1
        self.penultimate_width = int(first.conv1.in_channels)
        self.projected_width, self.width = (int(size) for size in self.visual.attnpool.c_proj.weight.shape)
        self._resize_positions()

    def _features(self, images_B3HW: Tensor, camids: Tensor | None, viewids: Tensor | None) -> ImageFeatures:  # noqa: ARG002
        third_BDhw = self._third(images_B3HW)
        fourth_BDhw = self.visual.layer4(third_BDhw)
        final_BD = fourth_BDhw.mean((2, 3))
        return ImageFeatures(third_BDhw.mean((2, 3)), final_BD, self._pool(fourth_BDhw, final_BD))

    def _third(self, images_B3HW: Tensor) -> Tensor:
        """Return the map that enters layer4."""
        visual = self.visual
        return cast("Tensor", visual.layer3(visual.layer2(visual.layer1(visual.stem(images_B3HW)))))

    def _cells(self, images_B3HW: Tensor, camids: Tensor | None, viewids: Tensor | None) -> Tensor:  # noqa: ARG002
        return cast("Tensor", self.visual.layer4(self._third(images_B3HW)).flatten(2).transpose(1, 2))

    def _read_alone(self, cells_ND: Tensor) -> tuple[Tensor, ...]:
        """Return the cells of `layer4`, and what the pool makes of each with its own position."""
        pool = self.visual.attnpool
        position_LD = pool.positional_embedding[1:].to(cells_ND.dtype)
        placed_ND = cells_ND + position_LD.repeat(len(cells_ND) // len(position_LD), 1)
        return cells_ND, pool.c_proj(pool.v_proj(placed_ND))

    def _pool(self, x_BDhw: Tensor, mean_BD: Tensor) -> Tensor:
        """Return the attention pool's output, float [B, projected_width], by the one query that is read."""
        pool = self.visual.attnpool
        x_BLD = torch.cat([mean_BD[:, None], x_BDhw.flatten(2).transpose(1, 2)], dim=1)
        x_BLD = x_BLD + pool.positional_embedding.to(x_BLD.dtype)
        query_BALK, key_BALK, value_BALK = (
            projection(tokens_BLD).unflatten(2, (pool.num_heads, -1)).transpose(1, 2)
            for projection, tokens_BLD in ((pool.q_proj, x_BLD[:, :1]), (pool.k_proj, x_BLD), (pool.v_proj, x_BLD))
        )
        attended_BA1K = F.scaled_dot_product_attention(query_BALK, key_BALK, value_BALK)
        return cast("Tensor", pool.c_proj(attended_BA1K.flatten(1)))


TOWER = ResNetEncoder
