"""The last block of a transformer, of whose output one token is read.

Its attention then needs one query instead of L, and its MLP one token: an exact saving but for rounding.

Shape suffixes: B sequences, L tokens, D width.
"""

from typing import Any, cast

import torch
from torch import Tensor


def first_token_after(block: Any, x_BLD: Tensor) -> Tensor:
    """Return `block(x)[:, 0]`, float [B, D], from the tokens that enter the block, float [B, L, D]."""
    if not _is_plain(block):
        return cast("Tensor", block(x_BLD)[:, 0])
    normed_BLD = block.ln_1(x_BLD)
    return _finished(block, x_BLD[:, 0], block.attention(normed_BLD[:, :1], normed_BLD, normed_BLD))


def causal_token_after(block: Any, x_BLD: Tensor, positions_B: Tensor, mask_LL: Tensor) -> Tensor:
    """Return `block(x, attn_mask=mask_LL)[b, positions_B[b]]`, float [B, D], of positions int64 [B] in 0..L-1.

    `mask_LL` is the causal mask: 0 where a row's token sees a column's, else minus infinity.
    """
    rows_B = torch.arange(len(x_BLD), device=x_BLD.device)
    if not _is_plain(block):
        return cast("Tensor", block(x_BLD, attn_mask=mask_LL)[rows_B, positions_B])
    normed_BLD = block.ln_1(x_BLD)
    attended_B1D = block.attn(
        normed_BLD[rows_B, positions_B][:, None],
        normed_BLD,
        normed_BLD,
        key_padding_mask=mask_LL[positions_B].to(x_BLD.dtype),
        need_weights=False,
    )[0]
    return _finished(block, x_BLD[rows_B, positions_B], attended_B1D)


def _is_plain(block: Any) -> bool:
    """Return whether this is open_clip's plain residual attention block; any other is run whole."""
    return type(block).__name__ == "ResidualAttentionBlock"


def _finished(block: Any, x_BD: Tensor, attended_B1D: Tensor) -> Tensor:
    x_BD = x_BD + block.ls_1(attended_B1D)[:, 0]
    return x_BD + cast("Tensor", block.ls_2(block.mlp(block.ln_2(x_BD))))
