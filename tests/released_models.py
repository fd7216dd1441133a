"""Released ReID models in small: modules with the names of the releases in their state dicts, and plain arithmetic.

Written from methods.md (sections 1, 8 and 14) and the papers; nothing of the project is used. They compute in float64.

`RELEASED_VIT` and `RELEASED_RESNET` are open_clip's descriptions of the two towers: those of ViT-B/16 and RN50, narrow
and shallow. `released_model` makes any release, with numbers that all matter.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

RELEASED_VIT = {
    "embed_dim": 24,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 32, "layers": 3, "width": 64, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": 77, "vocab_size": 100, "width": 16, "heads": 2, "layers": 1},
}
RELEASED_RESNET = {
    "embed_dim": 24,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 224, "layers": [2, 1, 1, 2], "width": 4, "patch_size": None},
    "text_cfg": {"context_length": 77, "vocab_size": 100, "width": 16, "heads": 2, "layers": 1},
}
TEXT_WIDTH, CONTEXT = 16, 77


class _Attention(nn.Module):
    """Names of torch's multi-head attention."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.empty(3 * width))
        self.out_proj = nn.Linear(width, width)
        self.heads = heads

    def forward(self, x: Tensor) -> Tensor:
        width = x.shape[-1]
        mixed = x @ self.in_proj_weight.T + self.in_proj_bias
        out = torch.zeros_like(x)
        size = width // self.heads
        for head in range(self.heads):
            q, k, v = (mixed[..., width * part + size * head :][..., :size] for part in range(3))
            weights = (q @ k.transpose(1, 2) / math.sqrt(size)).exp()
            out[..., size * head : size * (head + 1)] = weights @ v / weights.sum(-1, keepdim=True)
        return self.out_proj(out)


class _MLP(nn.Module):
    def __init__(self, width: int, hidden: int, gelu: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.c_fc, self.c_proj = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.gelu = gelu

    def forward(self, x: Tensor) -> Tensor:
        return self.c_proj(self.gelu(self.c_fc(x)))


class _Block(nn.Module):
    def __init__(self, width: int, heads: int, hidden: int, gelu: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.attn, self.mlp = _Attention(width, heads), _MLP(width, hidden, gelu)
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class _Blocks(nn.Module):
    def __init__(self, *blocks: nn.Module) -> None:
        super().__init__()
        self.resblocks = nn.Sequential(*blocks)


def quick_gelu(x: Tensor) -> Tensor:
    return x / (1 + (-1.702 * x).exp())


class ReleasedViT(nn.Module):
    """CLIP's image tower for one grid: penultimate, final and projected feature at the class token."""

    def __init__(self, config: dict[str, Any], size: tuple[int, int], stride: int) -> None:
        super().__init__()
        vision, joint = config["vision_cfg"], config["embed_dim"]
        width, patch = vision["width"], vision["patch_size"]
        heads, hidden = width // vision["head_width"], int(width * vision.get("mlp_ratio", 4))
        gelu = quick_gelu if config.get("quick_gelu") else F.gelu
        self.stride = stride
        self.conv1 = nn.Conv2d(3, width, patch, stride, bias=False)
        rows, columns = ((side - patch) // stride + 1 for side in size)
        self.class_embedding = nn.Parameter(torch.empty(width))
        self.positional_embedding = nn.Parameter(torch.empty(1 + rows * columns, width))
        self.ln_pre, self.ln_post = nn.LayerNorm(width), nn.LayerNorm(width)
        self.transformer = _Blocks(*(_Block(width, heads, hidden, gelu) for _ in range(vision["layers"])))
        self.proj = nn.Parameter(torch.empty(width, joint))
        self.widths = width, joint

    def forward(self, images: Tensor, side: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        tokens = self.conv1(images).flatten(2).transpose(1, 2)
        first = self.class_embedding.expand(len(images), -1)
        first = first if side is None else first + side
        x = self.ln_pre(torch.cat([first[:, None], tokens], 1) + self.positional_embedding)
        *blocks, last = self.transformer.resblocks
        for block in blocks:
            x = block(x)
        final = self.ln_post(last(x))[:, 0]
        return x[:, 0], final, final @ self.proj


class _Bottleneck(nn.Module):
    def __init__(self, inputs: int, planes: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, planes, 1, bias=False), nn.BatchNorm2d(planes)
        self.conv2, self.bn2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False), nn.BatchNorm2d(planes)
        self.conv3, self.bn3 = nn.Conv2d(planes, 4 * planes, 1, bias=False), nn.BatchNorm2d(4 * planes)
        self.stride = stride
        self.downsample = None
        if stride > 1 or inputs != 4 * planes:
            convolution, norm = nn.Conv2d(inputs, 4 * planes, 1, bias=False), nn.BatchNorm2d(4 * planes)
            self.downsample = nn.Sequential()
            self.downsample.add_module("0", convolution)
            self.downsample.add_module("1", norm)

    def forward(self, x: Tensor) -> Tensor:
        def pooled(maps: Tensor) -> Tensor:
            return maps if self.stride == 1 else F.avg_pool2d(maps, self.stride)

        out = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu())).relu()
        out = self.bn3(self.conv3(pooled(out)))
        return (out + (x if self.downsample is None else self.downsample(pooled(x)))).relu()


class _AttentionPool(nn.Module):
    def __init__(self, cells: int, width: int, heads: int, joint: int) -> None:
        super().__init__()
        self.positional_embedding = nn.Parameter(torch.empty(cells + 1, width))
        self.k_proj, self.q_proj, self.v_proj = (nn.Linear(width, width) for _ in range(3))
        self.c_proj = nn.Linear(width, joint)
        self.heads = heads

    def forward(self, maps: Tensor) -> Tensor:
        cells = maps.flatten(2).transpose(1, 2)
        x = torch.cat([cells.mean(1, keepdim=True), cells], 1) + self.positional_embedding
        q, k, v = self.q_proj(x[:, 0]), self.k_proj(x), self.v_proj(x)
        answers = []
        for part in torch.arange(x.shape[2]).chunk(self.heads):
            scores = (k[..., part] @ q[:, part, None])[..., 0] / math.sqrt(len(part))
            answers.append((scores.softmax(1)[..., None] * v[..., part]).sum(1))
        return self.c_proj(torch.cat(answers, 1))


class ReleasedResNet(nn.Module):
    """CLIP's ModifiedResNet with a last stride of 1: layer3, layer4 (averaged) and the attention pool."""

    def __init__(self, config: dict[str, Any], size: tuple[int, int]) -> None:
        super().__init__()
        width, layers, joint = config["vision_cfg"]["width"], config["vision_cfg"]["layers"], config["embed_dim"]
        for number, (inputs, outputs) in enumerate(((3, width // 2), (width // 2, width // 2), (width // 2, width)), 1):
            stride = 2 if number == 1 else 1
            self.add_module(f"conv{number}", nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False))
            self.add_module(f"bn{number}", nn.BatchNorm2d(outputs))
        inputs = width
        for number, blocks in enumerate(layers, 1):
            planes, stride = width * 2 ** (number - 1), 2 if number in (2, 3) else 1
            made = [
                _Bottleneck(inputs, planes, stride),
                *(_Bottleneck(4 * planes, planes, 1) for _ in range(blocks - 1)),
            ]
            self.add_module(f"layer{number}", nn.Sequential(*made))
            inputs = 4 * planes
        self.attnpool = _AttentionPool((size[0] // 16) * (size[1] // 16), inputs, width // 2, joint)
        self.widths = inputs, joint

    def forward(self, images: Tensor, side: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:  # noqa: ARG002
        x = images
        for number in (1, 2, 3):
            x = self.get_submodule(f"bn{number}")(self.get_submodule(f"conv{number}")(x)).relu()
        x = F.avg_pool2d(x, 2)
        for number in (1, 2, 3):
            x = self.get_submodule(f"layer{number}")(x)
        last = self.get_submodule("layer4")(x)
        return x.mean((2, 3)), last.mean((2, 3)), self.attnpool(last)


class _Prompts(nn.Module):
    """Learnt vectors of every identity; 5 tokens before them, and "person", ".", end of text and padding behind."""

    def __init__(self, identities: int) -> None:
        super().__init__()
        self.cls_ctx = nn.Parameter(torch.empty(identities, 4, TEXT_WIDTH))
        self.register_buffer("token_prefix", torch.empty(1, 5, TEXT_WIDTH))
        self.register_buffer("token_suffix", torch.empty(1, CONTEXT - 9, TEXT_WIDTH))


class _Text(nn.Module):
    def __init__(self, joint: int) -> None:
        super().__init__()
        self.transformer = _Blocks(_Block(TEXT_WIDTH, 2, 4 * TEXT_WIDTH, quick_gelu))
        self.positional_embedding = nn.Parameter(torch.empty(CONTEXT, TEXT_WIDTH))
        self.ln_final = nn.LayerNorm(TEXT_WIDTH)
        self.text_projection = nn.Parameter(torch.empty(TEXT_WIDTH, joint))


def _head(inputs: int) -> nn.Sequential:
    head = nn.Sequential()
    for name, part in (
        ("layer1", nn.Linear(inputs, 6)), ("bn1", nn.BatchNorm1d(6)), ("relu1", nn.ReLU()),
        ("layer2", nn.Linear(6, 6)), ("bn2", nn.BatchNorm1d(6)), ("relu2", nn.ReLU()), ("layer3", nn.Linear(6, 4)),
    ):  # fmt: skip
        head.add_module(name, part)
    return head


class ReleasedModel(nn.Module):
    """A whole model of the release of `method`, with a side information table of `rows` rows, and `views` a camera."""

    def __init__(self, method: str, tower: Any, *, rows: int = 0, views: int = 0, identities: int = 5) -> None:
        super().__init__()
        width, joint = tower.widths
        self.method, self.views = method, views
        self.image_encoder = tower
        self.bottleneck, self.bottleneck_proj = nn.BatchNorm1d(width), nn.BatchNorm1d(joint)
        if rows:
            self.cv_embed = nn.Parameter(torch.empty(rows, width))
        if method == "pcl":
            self.classifier = nn.Linear(width + joint, identities, bias=False)
        elif method != "unsupervised_pcl":
            self.classifier = nn.Linear(width, identities, bias=False)
            self.classifier_proj = nn.Linear(joint, identities, bias=False)
        if method in ("clip_reid", "svll_reid"):
            self.prompt_learner, self.text_encoder = _Prompts(identities), _Text(joint)
        if method == "svll_reid":
            self.image_mlp, self.text_mlp = _head(width), _head(joint)

    def embedding(self, images: Tensor, camids: Tensor | None = None, viewids: Tensor | None = None) -> Tensor:
        """Return what the release's evaluation compares: unit vectors, float64."""
        row = None
        if camids is not None and viewids is not None:
            row = camids * self.views + viewids
        elif camids is not None or viewids is not None:
            row = camids if viewids is None else viewids
        side = None if row is None else self.cv_embed[row]
        _, final, projected = self.image_encoder(images.double(), side)
        if self.method in ("pcl", "unsupervised_pcl"):
            final, projected = self.bottleneck(final), self.bottleneck_proj(projected)
        joined = torch.cat([final, projected], 1)
        return joined / joined.square().sum(1, keepdim=True).sqrt()


def released_model(method: str, tower: Any, *, seed: int = 0, **options: Any) -> ReleasedModel:
    """Return a model with random numbers, rounded to single precision: norms around 1, statistics that matter."""
    model = ReleasedModel(method, tower, **options)
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in model.state_dict().items():
        if name.endswith("num_batches_tracked"):
            tensor.fill_(9)
            continue
        sampled = torch.randn(tensor.shape, generator=generator)
        fan_in = math.prod(tensor.shape[1:]) if tensor.ndim > 1 else 10
        if name.endswith("running_var"):
            sampled = sampled.square() + 0.5
        elif name.endswith("weight") and tensor.ndim == 1:
            sampled = 1 + 0.3 * sampled
        elif name != "cv_embed":
            sampled = sampled / math.sqrt(fan_in)
        tensor.copy_(sampled)
    if hasattr(model, "prompt_learner"):  # one token again and again behind the end of the text
        model.prompt_learner.token_suffix[:, 3:] = model.prompt_learner.token_suffix[:, -1:]
    return model.double().eval().requires_grad_(False)


def stored(model: ReleasedModel) -> dict[str, Tensor]:
    """Return the state dict as a release stores it: single precision, counters whole."""
    return {
        name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in model.state_dict().items()
    }
