"""Random weights in OpenAI's two formats, and CLIP's image tower in plain tensor operations."""

import math
import warnings
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class OpenAIFiles:
    state: dict[str, Tensor]
    state_dict: Path
    archive: Path


def _block_shapes(prefix: str, width: int) -> Shapes:
    return {
        f"{prefix}.attn.in_proj_weight": (3 * width, width),
        f"{prefix}.attn.in_proj_bias": (3 * width,),
        f"{prefix}.attn.out_proj.weight": (width, width),
        f"{prefix}.attn.out_proj.bias": (width,),
        f"{prefix}.ln_1.weight": (width,),
        f"{prefix}.ln_1.bias": (width,),
        f"{prefix}.mlp.c_fc.weight": (4 * width, width),
        f"{prefix}.mlp.c_fc.bias": (4 * width,),
        f"{prefix}.mlp.c_proj.weight": (width, 4 * width),
        f"{prefix}.mlp.c_proj.bias": (width,),
        f"{prefix}.ln_2.weight": (width,),
        f"{prefix}.ln_2.bias": (width,),
    }


def vit_b16_shapes() -> Shapes:
    shapes: Shapes = {
        "positional_embedding": (77, 512),
        "text_projection": (512, 512),
        "logit_scale": (),
        "visual.class_embedding": (768,),
        "visual.positional_embedding": (197, 768),
        "visual.proj": (768, 512),
        "visual.conv1.weight": (768, 3, 16, 16),
        "visual.ln_pre.weight": (768,),
        "visual.ln_pre.bias": (768,),
    }
    for block in range(12):
        shapes |= _block_shapes(f"visual.transformer.resblocks.{block}", 768)
    shapes |= {"visual.ln_post.weight": (768,), "visual.ln_post.bias": (768,)}
    for block in range(12):
        shapes |= _block_shapes(f"transformer.resblocks.{block}", 512)
    return shapes | {"token_embedding.weight": (49408, 512), "ln_final.weight": (512,), "ln_final.bias": (512,)}


def random_openai_state() -> dict[str, Tensor]:
    """A ViT-B/16 as OpenAI stores it: half precision, layer norms in float32, three facts beside."""
    generator = torch.Generator().manual_seed(0)
    state = {}
    for key, shape in vit_b16_shapes().items():
        fan_in = math.prod(shape[1:]) if len(shape) > 1 else 100
        tensor = torch.randn(shape, generator=generator) / math.sqrt(fan_in)
        if ".ln_" in key or key.startswith("ln_final"):
            state[key] = tensor + 1 if key.endswith("weight") else tensor
        else:
            state[key] = tensor.half()
    facts = {"input_resolution": 224, "context_length": 77, "vocab_size": 49408}
    return state | {key: torch.tensor(value) for key, value in facts.items()}


class _Node(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x


def torchscript_module(state: dict[str, Tensor]) -> torch.jit.ScriptModule:
    """A TorchScript module whose state has exactly these names."""
    root = _Node()
    for key, value in state.items():
        *path, leaf = key.split(".")
        node: nn.Module = root
        for step in path:
            if step not in dict(node.named_children()):
                node.add_module(step, _Node())
            node = node.get_submodule(step)
        node.register_buffer(leaf, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return torch.jit.trace(root, torch.zeros(1), check_trace=False)


def plain_features(
    state: dict[str, Tensor], images: Tensor, *, stride: int
) -> tuple[Tensor, Tensor, Tensor, tuple[int, int]]:
    """Penultimate, final and projected features, and the token grid, in float64, from a state dict alone."""
    p = {key.removeprefix("visual."): v.double() for key, v in state.items() if key.startswith("visual.")}
    width, _, patch, _ = p["conv1.weight"].shape
    rows, columns = ((side - patch) // stride + 1 for side in images.shape[-2:])
    patches = F.unfold(images.double(), patch, stride=stride).transpose(1, 2)
    tokens = patches @ p["conv1.weight"].reshape(width, -1).T
    x = torch.cat([p["class_embedding"].expand(len(images), 1, -1), tokens], dim=1)
    x = _norm(x + _positions(p["positional_embedding"], rows, columns), p, "ln_pre")
    outputs = []
    for block in range(12):
        x = _block(x, p, f"transformer.resblocks.{block}")
        outputs.append(x[:, 0])
    final = _norm(outputs[11], p, "ln_post")
    return outputs[10], final, final @ p["proj"], (rows, columns)


def _positions(table: Tensor, rows: int, columns: int) -> Tensor:
    """Bilinear interpolation written out: half-pixel centres, borders repeated."""
    side = math.isqrt(len(table) - 1)
    grid = table[1:].reshape(side, side, -1)
    vertical, horizontal = _hat_weights(side, rows), _hat_weights(side, columns)
    resized = torch.einsum("ra,abd,cb->rcd", vertical, grid, horizontal)
    return torch.cat([table[:1], resized.reshape(rows * columns, -1)])


def _hat_weights(source: int, target: int) -> Tensor:
    weights = torch.zeros(target, source, dtype=torch.float64)
    for out in range(target):
        position = min(max((out + 0.5) * source / target - 0.5, 0.0), source - 1.0)
        low = math.floor(position)
        weights[out, low] += 1 - (position - low)
        weights[out, min(low + 1, source - 1)] += position - low
    return weights


def _norm(x: Tensor, p: dict[str, Tensor], name: str) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    variance = centred.square().mean(-1, keepdim=True)
    return centred / (variance + 1e-5).sqrt() * p[f"{name}.weight"] + p[f"{name}.bias"]


def _block(x: Tensor, p: dict[str, Tensor], name: str) -> Tensor:
    batch, length, width = x.shape
    h = _norm(x, p, f"{name}.ln_1") @ p[f"{name}.attn.in_proj_weight"].T + p[f"{name}.attn.in_proj_bias"]
    q, k, v = (part.reshape(batch, length, -1, 64).transpose(1, 2) for part in h.chunk(3, dim=-1))
    weights = (q @ k.transpose(2, 3) / 8).softmax(-1)
    attended = (weights @ v).transpose(1, 2).reshape(batch, length, width)
    x = x + attended @ p[f"{name}.attn.out_proj.weight"].T + p[f"{name}.attn.out_proj.bias"]
    h = _norm(x, p, f"{name}.ln_2") @ p[f"{name}.mlp.c_fc.weight"].T + p[f"{name}.mlp.c_fc.bias"]
    h = h * torch.sigmoid(1.702 * h)
    return x + h @ p[f"{name}.mlp.c_proj.weight"].T + p[f"{name}.mlp.c_proj.bias"]
