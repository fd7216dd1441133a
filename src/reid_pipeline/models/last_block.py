"""The last block of a transformer, of whose output one token is read.

Its attention then needs one query instead of L, and its MLP one token: an exact saving but for rounding.

Shape suffixes: B sequences, L tokens, D width.
"""

import inspect
from typing import Any, cast

from torch import Tensor

_PARTS = ("ln_1", "attention", "ls_1", "ln_2", "mlp", "ls_2")


def first_token_after(block: Any, x_BLD: Tensor) -> Tensor:
    """Return `block(x)[:, 0]`, float [B, D], from the tokens that enter the block, float [B, L, D]."""
    return token_after(block, x_BLD, 0)


def token_after(block: Any, x_BLD: Tensor, position: int, mask_LL: Tensor | None = None) -> Tensor:
    """Return `block(x, attn_mask=mask_LL)[:, position]`, float [B, D], from tokens, float [B, L, D].

    `mask_LL` is 0 where a row's token sees a column's, else minus infinity; None: every token sees all.
    """
    if not is_plain(block):
        whole_BLD = block(x_BLD) if mask_LL is None else block(x_BLD, attn_mask=mask_LL)
        return cast("Tensor", whole_BLD[:, position])
    normed_BLD = block.ln_1(x_BLD)
    query_B1D = normed_BLD[:, position : position + 1]
    masked = {} if mask_LL is None else {"attn_mask": mask_LL[position : position + 1]}
    attended_B1D = block.attention(query_B1D, normed_BLD, normed_BLD, **masked)
    x_BD = x_BLD[:, position] + block.ls_1(attended_B1D)[:, 0]
    return cast("Tensor", x_BD + block.ls_2(block.mlp(block.ln_2(x_BD))))


def is_plain(block: Any) -> bool:
    """Return whether this is open_clip's plain residual attention block; any other is run whole."""
    if type(block).__name__ != "ResidualAttentionBlock" or not all(hasattr(block, part) for part in _PARTS):
        return False
    return list(inspect.signature(block.attention).parameters)[:3] == ["q_x", "k_x", "v_x"]
