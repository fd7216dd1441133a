"""Where an image tower looks: attention, recorded as it is computed, followed from the output back to the patches.

Source: Abnar & Zuidema, Quantifying Attention Flow in Transformers, ACL 2020 (attention rollout): in each block the
mean over the heads, plus the identity for the residual path, each row divided by its sum; the product over all blocks.

Shape suffixes: B images, A heads, Q queries, L tokens (special ones first, then h * w patches), S tokens that a pool
attends to, K width of a head, h w grid rows and columns.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from reid_pipeline.models.image_encoder import ImageEncoder

MOST_TOKENS = 2048
"""Of an image whose attention is recorded: 16 heads then have 270 MB of weights at a time in float32."""


class AttentionMaps(NamedTuple):
    """Shares of the attention of B images; those of an image, `elsewhere` included, sum to 1."""

    grids: Tensor  # float32 [B, h, w], on each cell
    elsewhere: Tensor  # float32 [B], on class token, registers and the mean token of a ResNet's pool


class AttentionRecorder(TorchFunctionMode):
    """While it is entered, the weights of every attention are recorded: the mean over the heads, float32 [B, Q, L]."""

    def __init__(self) -> None:
        super().__init__()
        self.weights: list[Tensor] = []

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run what is called, and record its weights if it is an attention."""
        del types
        given = dict(kwargs or {})
        if func is F.multi_head_attention_forward:
            wanted = given.get("need_weights", True)
            output, weights = func(*args, **{**given, "need_weights": True, "average_attn_weights": True})
            self.weights.append(weights.float())
            return output, weights if wanted else None
        if func is F.scaled_dot_product_attention:
            self.weights.append(_weights(*args, **given))
        return func(*args, **given)


def _weights(
    query_BAQK: Tensor, key_BALK: Tensor, value_BALK: Tensor, attn_mask: Tensor | None = None, **others: Any
) -> Tensor:
    """Return the weights that such an attention has, the mean over its heads: float32 [B, Q, L]."""
    del value_BALK
    scale = others.get("scale") or query_BAQK.shape[-1] ** -0.5
    scores_BAQL = scale * query_BAQK.float() @ key_BALK.float().transpose(-2, -1)
    if attn_mask is not None:
        bias = torch.zeros_like(scores_BAQL)
        scores_BAQL = scores_BAQL + (
            bias.masked_fill(~attn_mask, -torch.inf) if attn_mask.dtype == torch.bool else attn_mask
        )
    return cast("Tensor", scores_BAQL.softmax(-1).mean(1))


def why_no_attention(encoder: ImageEncoder) -> str:
    """Return why a tower has no attention that could be followed, as the end of a sentence; empty where it has one."""
    cells = encoder.grid_size[0] * encoder.grid_size[1]
    if encoder.pooling == "map":
        return f"{encoder.name} ({encoder.KIND}) has no attention from its output to the whole image"
    if cells > MOST_TOKENS:
        return f"{encoder.name} makes {cells} patches of an image, and attention is followed over {MOST_TOKENS} at most"
    return ""


@torch.no_grad()
def attention_maps(
    encoder: ImageEncoder, images: Tensor, camids: Tensor | None = None, viewids: Tensor | None = None
) -> AttentionMaps | None:
    """Return how much each cell of an image has to do with its feature, by attention rollout.

    Of a tower with a class token that is its row of the rollout; of one that is pooled by attention the pool's weights
    (of its first query), followed back through the blocks, if there are any; of one that is pooled by a mean the mean
    of the rows of its patches. Heads that cancel one another, values and MLPs are left out of a rollout: it says
    where a feature may come from, and not what is made of it.

    Args:
        encoder: in eval mode, with `why_no_attention` empty.
        images: float [B, 3, H, W], normalised; this and the others as for `encode_image`.
        camids: int64 [B], or None.
        viewids: int64 [B], or None.

    Returns:
        the maps; None where the network does not compute its attention by torch's functions, so that it goes unseen.
    """
    made = []
    for row in range(len(images)):
        one = slice(row, row + 1)
        with AttentionRecorder() as recorder:
            encoder.encode_image(images[one], *(None if ids is None else ids[one] for ids in (camids, viewids)))
        rolled_1L = _rolled_out(encoder, recorder.weights)
        if rolled_1L is None:
            return None
        made.append(rolled_1L)
    rolled_BL = torch.cat(made)
    special = rolled_BL.shape[1] - encoder.grid_size[0] * encoder.grid_size[1]
    grids_Bhw = rolled_BL[:, special:].reshape(-1, *encoder.grid_size)
    return AttentionMaps(grids_Bhw, rolled_BL[:, :special].sum(1))


def _rolled_out(encoder: ImageEncoder, weights: Sequence[Tensor]) -> Tensor | None:
    """Return the share of each token in the feature of one image, float32 [1, L]; None where weights are missing."""
    cells, pooled = encoder.grid_size[0] * encoder.grid_size[1], encoder.pooling == "attention"
    if len(weights) != encoder.num_blocks + pooled or weights[0].shape[-1] < cells:
        return None
    blocks, tokens = weights[: encoder.num_blocks], weights[0].shape[-1]
    start_1L = weights[0].new_zeros(1, tokens)
    if pooled:
        read_1S = weights[-1][:, 0]
        start_1L[:, tokens - read_1S.shape[1] :] = read_1S
    elif encoder.pooling == "mean":
        start_1L[:, tokens - cells :] = 1 / cells
    else:
        start_1L[:, 0] = 1.0
    return rollout(blocks, start_1L)


def rollout(blocks: Sequence[Tensor], start_BL: Tensor) -> Tensor:
    """Return how the attention of all blocks spreads what is read at their end: float [B, L], rows that sum to 1.

    Args:
        blocks: weights of each block in order, the mean over heads, float [B, L, L] with rows that sum to 1. Of
            the last the first row is enough, float [B, 1, L], where only the first token is read.
        start_BL: how much is read of each token that leaves the last block, rows that sum to 1.
    """
    for weights_BQL in reversed(blocks):
        rows = weights_BQL.shape[1]
        residual_QL = torch.eye(rows, weights_BQL.shape[2]).to(weights_BQL)
        mixed_BQL = weights_BQL + residual_QL
        mixed_BQL = mixed_BQL / mixed_BQL.sum(-1, keepdim=True)
        start_BL = (start_BL[:, None, :rows] @ mixed_BQL)[:, 0]
    return start_BL
