"""Positional embeddings at another input size.

Shape suffixes: L tokens (special ones first, then h * w), W width, h w token rows and columns.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from reid_pipeline.models.architecture import Grid


def resize_positions(position_LW: Tensor, source: Grid, target: Grid) -> Tensor:
    """Resize the grid part bilinearly, from float [..., S + h * w, W] to [..., S + h' * w', W]; the first S rows stay.

    Pixel centres aligned as in `align_corners=False`, no anti-aliasing: as the released code of CLIP-ReID
    and PCL-CLIP does (methods.md, section 1). Where the grids are equal, the very tensor is returned.
    """
    if source == target:
        return position_LW
    *outer, rows, width = position_LW.shape
    special = rows - source[0] * source[1]
    grid_1Whw = position_LW[..., special:, :].reshape(1, *source, width).permute(0, 3, 1, 2)
    resized_1Whw = F.interpolate(grid_1Whw.float(), size=target, mode="bilinear", align_corners=False)
    resized_LW = resized_1Whw.permute(0, 2, 3, 1).reshape(*outer, -1, width).to(position_LW.dtype)
    return torch.cat([position_LW[..., :special, :], resized_LW], dim=-2)
