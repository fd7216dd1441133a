"""A small random ModifiedResNet in OpenAI's format, and its features in plain tensor operations."""

import math

import torch
from openai_format import _positions
from torch import Tensor
from torch.nn import functional as F

State = dict[str, Tensor]

# The shape of RN50, narrow and shallow: layer3 is 64 wide, layer4 128, the attention pool has 2 heads.
SMALL_RESNET = {
    "embed_dim": 24,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 224, "layers": [2, 1, 1, 2], "width": 4, "patch_size": None},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}


def random_resnet_state(shapes: dict[str, torch.Size]) -> State:
    """Half precision where OpenAI has it, batch norms in float32 with statistics that matter, three facts."""
    generator = torch.Generator().manual_seed(0)
    state: State = {}
    for key, shape in shapes.items():
        fan_in = math.prod(shape[1:]) if len(shape) > 1 else 4
        tensor = torch.randn(shape, generator=generator) / math.sqrt(fan_in)
        if key.endswith("num_batches_tracked"):
            state[key] = torch.tensor(7)
        elif key.endswith("running_var"):
            state[key] = tensor.square() + 0.5
        elif ".bn" in key or ".downsample.1" in key:
            state[key] = tensor + 1 if key.endswith("weight") else tensor
        else:
            state[key] = tensor.half()
    facts = {"input_resolution": 224, "context_length": 77, "vocab_size": 49408}
    return state | {key: torch.tensor(value) for key, value in facts.items()}


def plain_resnet_features(
    state: State, images: Tensor, *, last_stride: int, heads: int
) -> tuple[Tensor, Tensor, Tensor, tuple[int, int]]:
    """Pooled layer3 and layer4, attention pool, and its grid, in float64, from a state dict alone."""
    p = {key.removeprefix("visual."): v.double() for key, v in state.items() if key.startswith("visual.")}
    x = images.double()
    for number, stride in ((1, 2), (2, 1), (3, 1)):
        convolved = F.conv2d(x, p[f"conv{number}.weight"], stride=stride, padding=1)
        x = _batch_norm(convolved, p, f"bn{number}").clamp(min=0)
    x = _halve(x)
    pooled = []
    for layer in (1, 2, 3, 4):
        blocks = len({key.split(".")[1] for key in p if key.startswith(f"layer{layer}.")})
        for block in range(blocks):
            stride = 1 if layer == 1 or block > 0 else (last_stride if layer == 4 else 2)
            x = _bottleneck(x, p, f"layer{layer}.{block}", stride)
        pooled.append(x.sum((2, 3)) / (x.shape[2] * x.shape[3]))
    grid = (x.shape[2], x.shape[3])
    return pooled[2], pooled[3], _attention_pool(x, p, heads), grid


def _bottleneck(x: Tensor, p: State, name: str, stride: int) -> Tensor:
    out = _batch_norm(F.conv2d(x, p[f"{name}.conv1.weight"]), p, f"{name}.bn1").clamp(min=0)
    out = _batch_norm(F.conv2d(out, p[f"{name}.conv2.weight"], padding=1), p, f"{name}.bn2").clamp(min=0)
    out = _halve(out) if stride == 2 else out
    out = _batch_norm(F.conv2d(out, p[f"{name}.conv3.weight"]), p, f"{name}.bn3")
    if f"{name}.downsample.0.weight" in p:
        x = _halve(x) if stride == 2 else x
        x = _batch_norm(F.conv2d(x, p[f"{name}.downsample.0.weight"]), p, f"{name}.downsample.1")
    return (out + x).clamp(min=0)


def _batch_norm(x: Tensor, p: State, name: str) -> Tensor:
    mean, variance, weight, bias = (
        p[f"{name}.{part}"][:, None, None] for part in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / (variance + 1e-5).sqrt() * weight + bias


def _halve(x: Tensor) -> Tensor:
    rows, columns = x.shape[2] // 2, x.shape[3] // 2
    return x[:, :, : 2 * rows, : 2 * columns].unflatten(2, (rows, 2)).unflatten(4, (columns, 2)).mean((3, 5))


def _attention_pool(x: Tensor, p: State, heads: int) -> Tensor:
    _, _, rows, columns = x.shape
    cells = x.flatten(2).transpose(1, 2)
    tokens = torch.cat([cells.mean(1, keepdim=True), cells], dim=1)
    tokens = tokens + _positions(p["attnpool.positional_embedding"], rows, columns)

    def project(values: Tensor, part: str) -> Tensor:
        return values @ p[f"attnpool.{part}_proj.weight"].T + p[f"attnpool.{part}_proj.bias"]

    query, key, value = (project(tokens, part) for part in "qkv")
    size = query.shape[2] // heads
    answers = []
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        weights = (query[:, :1, part] @ key[..., part].transpose(1, 2) / math.sqrt(size)).softmax(-1)
        answers.append((weights @ value[..., part])[:, 0])
    return project(torch.cat(answers, dim=1), "c")
