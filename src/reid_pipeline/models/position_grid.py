"""Token grids, and positional embeddings resized from one to another.

Shape suffixes: h w token rows and columns, L = 1 + h * w tokens (class token first), W width.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

Grid = tuple[int, int]


def token_grid(image_size: Grid, patch_size: Grid, stride: int) -> Grid:
    """Return (rows, columns) of tokens: (size - patch) // stride + 1 on each axis.

    >>> token_grid((256, 128), (16, 16), 12)
    (21, 10)
    """
    rows, columns = ((size - patch) // stride + 1 for size, patch in zip(image_size, patch_size, strict=True))
    return rows, columns


def stored_grid(num_tokens: int, native: Grid) -> Grid | None:
    """Return the grid of a positional embedding with `num_tokens` rows: `native` or a square one, else None."""
    if num_tokens == 1 + native[0] * native[1]:
        return native
    side = math.isqrt(max(num_tokens - 1, 0))
    return (side, side) if side > 0 and side * side == num_tokens - 1 else None


def resize_positions(position_LW: Tensor, source: Grid, target: Grid) -> Tensor:
    """Resize the grid part bilinearly, from float [1 + h * w, W] to [1 + h' * w', W]; the first row stays.

    Pixel centres aligned as in `align_corners=False`, no anti-aliasing: as the released code of CLIP-ReID
    and PCL-CLIP does (methods.md, section 1). Where the grids are equal, the very tensor is returned.
    """
    if source == target:
        return position_LW
    width = position_LW.shape[1]
    grid_1Whw = position_LW[1:].reshape(1, *source, width).permute(0, 3, 1, 2)
    resized_1Whw = F.interpolate(grid_1Whw.float(), size=target, mode="bilinear", align_corners=False)
    resized_LW = resized_1Whw.permute(0, 2, 3, 1).reshape(-1, width).to(position_LW.dtype)
    return torch.cat([position_LW[:1], resized_LW])
