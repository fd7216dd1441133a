"""The last block of a transformer, of which one token per sequence is read.

Exact saving: the attention of that block needs one query instead of L, and its MLP one token. Features and
gradients equal those of the whole block but for rounding. A block that is not open_clip's plain residual
attention block is run whole.

Shape suffixes: B sequences, L tokens, D width of the tower.
"""

from typing import Any

import torch
from torch import Tensor


def first_token_after(block: Any, x_BLD: Tensor) -> Tensor:
    """Return `block(x)[:, 0]`, float [B, D], from the tokens that enter the block, float [B, L, D]."""
    if not _is_plain(block):
        token_BD: Tensor = block(x_BLD)[:, 0]
        return token_BD
    normed_BLD = block.ln_1(x_BLD)
    return _finished(block, x_BLD[:, 0], block.attention(normed_BLD[:, :1], normed_BLD, normed_BLD))


def causal_token_after(block: Any, x_BLD: Tensor, positions_B: Tensor, mask_LL: Tensor) -> Tensor:
    """Return `block(x, attn_mask=mask_LL)[b, positions_B[b]]`, float [B, D].

    Args:
        block: a residual attention block of open_clip.
        x_BLD: float [B, L, D], the tokens that enter it.
        positions_B: Int64 [B] in 0..L-1.
        mask_LL: float [L, L], the causal mask: 0 where a row's token sees a column's, else minus infinity.
    """
    rows_B = torch.arange(len(x_BLD), device=x_BLD.device)
    if not _is_plain(block):
        token_BD: Tensor = block(x_BLD, attn_mask=mask_LL)[rows_B, positions_B]
        return token_BD
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
    return type(block).__name__ == "ResidualAttentionBlock"


def _finished(block: Any, x_BD: Tensor, attended_B1D: Tensor) -> Tensor:
    x_BD = x_BD + block.ls_1(attended_B1D)[:, 0]
    after_BD: Tensor = x_BD + block.ls_2(block.mlp(block.ln_2(x_BD)))
    return after_BD
