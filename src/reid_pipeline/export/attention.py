"""torch's attention layer in operators that runtimes have, in the place of its own way through them.

`nn.MultiheadAttention` stacks its three projections and takes them apart by axes of size 1. onnxruntime 1.24 and later
ends in a segmentation fault on such a network in half precision (its issue 28392), and its inference kernel has no
counterpart in ONNX at all. The numbers are the same but for rounding.

Shape suffixes: B images, L tokens that ask, S tokens that are asked, D width, A heads, K width of a head.
"""

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F


class PlainAttention(nn.Module):
    """Attention with the weights of an `nn.MultiheadAttention`, for inference, without masks."""

    def __init__(self, attention: nn.MultiheadAttention) -> None:
        super().__init__()
        self.heads, self.batch_first = attention.num_heads, attention.batch_first
        weights: Any = (attention.q_proj_weight, attention.k_proj_weight, attention.v_proj_weight)
        if attention.in_proj_weight is not None:
            weights = attention.in_proj_weight.chunk(3)
        biases = (None, None, None) if attention.in_proj_bias is None else attention.in_proj_bias.chunk(3)
        layers = [_linear(weight, bias) for weight, bias in zip(weights, biases, strict=True)]
        self.query, self.key, self.value = layers
        self.out_proj = attention.out_proj

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, *, need_weights: bool = False, attn_mask: None = None
    ) -> tuple[Tensor, None]:
        """Return what `nn.MultiheadAttention` does, and no weights."""
        if need_weights or attn_mask is not None:
            raise ValueError("this layer gives no weights and takes no mask")
        if not self.batch_first:
            query, key, value = (each.transpose(0, 1) for each in (query, key, value))
        query_BALK, key_BASK, value_BASK = (
            layer(tokens).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for layer, tokens in ((self.query, query), (self.key, key), (self.value, value))
        )
        attended_BALK = F.scaled_dot_product_attention(query_BALK, key_BASK, value_BASK)
        mixed_BLD = self.out_proj(attended_BALK.transpose(1, 2).flatten(2))
        return (mixed_BLD if self.batch_first else mixed_BLD.transpose(0, 1)), None


def with_plain_attention(module: nn.Module) -> None:
    """Put `PlainAttention` in the place of every layer within a module that it can stand for."""
    for name, child in module.named_children():
        if type(child) is nn.MultiheadAttention and child.bias_k is None and not child.add_zero_attn:
            setattr(module, name, PlainAttention(child))
        else:
            with_plain_attention(child)


def _linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
    layer.weight = nn.Parameter(weight.detach().clone(), requires_grad=False)
    if bias is not None:
        layer.bias = nn.Parameter(bias.detach().clone(), requires_grad=False)
    return layer
