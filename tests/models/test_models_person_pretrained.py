"""State dicts of TransReID-SSL, PASS, DINO and timm as weights, in small; features against a plain forward in float64.

Names and shapes are those that the releases publish; nothing of the project is used to compute.
"""

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from timm.models import register_model
from torch import Tensor
from torch.nn import functional as F

from reid_pipeline.methods import find_method
from reid_pipeline.models.architecture import Architecture
from reid_pipeline.models.backbone import build_image_encoder
from reid_pipeline.models.chunks import batch_norms
from reid_pipeline.models.person_networks import StemPatches, plain_vit
from reid_pipeline.models.person_pretrained import NETWORKS, network_of
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.population import Population

WIDTH, DEPTH, HEADS, SIZE = 32, 2, 2, (64, 32)
SMALL = {"depth": DEPTH, "img_size": 64}
OPTIONS: dict[str, dict[str, Any]] = {"plain": {}, "stem": {"embed_layer": StemPatches}, "parts": {"reg_tokens": 3}}


@pytest.fixture(scope="module", autouse=True)
def small_networks() -> Iterator[None]:
    """open_clip and timm know the shrunken networks while these tests run."""
    import open_clip

    for kind, options in OPTIONS.items():

        def made(options: dict[str, Any] = options, **given: Any) -> Any:
            return plain_vit(WIDTH, HEADS, **SMALL, **options, **given)

        made.__name__ = f"vit_{kind}_patch16_64"
        made.__module__ = "timm.models.vision_transformer"
        register_model(made)
        vision = {"image_size": 64, "timm_model_name": made.__name__, "timm_pool": "token", "timm_proj": "none"}
        config = {"embed_dim": WIDTH, "vision_cfg": vision, "text_cfg": {}}
        open_clip.factory._MODEL_CONFIGS[made.__name__] = config
    yield
    for kind in OPTIONS:
        open_clip.factory._MODEL_CONFIGS.pop(f"vit_{kind}_patch16_64")


def random(*shape: int) -> Tensor:
    return 0.3 * torch.randn(*shape)


def released(kind: str = "plain", *, patches: int = 16, width: int = WIDTH, depth: int = DEPTH) -> dict[str, Tensor]:
    """Return a state dict of a kind with that many patches' positions."""
    torch.manual_seed(patches)
    state = {"cls_token": random(1, 1, width), "patch_embed.proj.bias": random(width)}
    state |= {"pos_embed": random(1, patches + (kind != "parts"), width)}
    state["patch_embed.proj.weight"] = random(width, 64, 8, 8) / 20 if kind == "stem" else random(width, 3, 16, 16) / 10
    for block in range(depth):
        for name, shape in (
            ("norm1", (width,)),
            ("attn.qkv", (3 * width, width)),
            ("attn.proj", (width, width)),
            ("norm2", (width,)),
            ("mlp.fc1", (4 * width, width)),
            ("mlp.fc2", (width, 4 * width)),
        ):
            state[f"blocks.{block}.{name}.weight"] = random(*shape) + (len(shape) == 1)
            state[f"blocks.{block}.{name}.bias"] = random(shape[0])
    state |= {"norm.weight": random(width) + 1, "norm.bias": random(width)}
    if kind == "stem":
        sizes = {0: (64, 3, 7, 7), 3: (64, 64, 3, 3), 6: (64, 64, 3, 3)}
        state |= {f"patch_embed.conv.{place}.weight": random(*shape) / 4 for place, shape in sizes.items()}
        for place, count in (("1.IN", 32), ("1.BN", 32), ("4.IN", 32), ("4.BN", 32), ("7", 64)):
            name = f"patch_embed.conv.{place}"
            state |= {f"{name}.weight": random(count) + 1, f"{name}.bias": random(count)}
            if not place.endswith("IN"):
                state |= {f"{name}.running_mean": random(count), f"{name}.running_var": random(count) ** 2 + 0.5}
                state[f"{name}.num_batches_tracked"] = torch.tensor(9)
    if kind == "parts":
        for name in ("part_token1", "part_token2", "part_token3", "cls_pos", "part1_pos", "part2_pos", "part3_pos"):
            state[name] = random(1, 1, width)
    return state


def norm(state: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    mean, var = x.mean(-1, keepdim=True), x.var(-1, unbiased=False, keepdim=True)
    return (x - mean) / (var + 1e-6).sqrt() * state[f"{name}.weight"] + state[f"{name}.bias"]


def linear(state: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]


def by_batch(state: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    scale, shift, mean, var = (
        state[f"{name}.{part}"][:, None, None] for part in ("weight", "bias", "running_mean", "running_var")
    )
    return (x - mean) / (var + 1e-5).sqrt() * scale + shift


def by_instance(state: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    mean, var = x.mean((2, 3), keepdim=True), x.var((2, 3), unbiased=False, keepdim=True)
    scale, shift = (state[f"{name}.{part}"][:, None, None] for part in ("weight", "bias"))
    return (x - mean) / (var + 1e-5).sqrt() * scale + shift


def patches_of(state: dict[str, Tensor], images: Tensor) -> Tensor:
    x, stride = images, 16
    if "patch_embed.conv.0.weight" in state:
        x, stride = F.conv2d(x, state["patch_embed.conv.0.weight"], stride=2, padding=3), 8
        for normed, following in (("1", "3"), ("4", "6")):
            name = f"patch_embed.conv.{normed}"
            parts = by_instance(state, f"{name}.IN", x[:, :32]), by_batch(state, f"{name}.BN", x[:, 32:])
            x = torch.cat(parts, 1).clamp(min=0)
            x = F.conv2d(x, state[f"patch_embed.conv.{following}.weight"], padding=1)
        x = by_batch(state, "patch_embed.conv.7", x).clamp(min=0)
    x = F.conv2d(x, state["patch_embed.proj.weight"], state["patch_embed.proj.bias"], stride=stride)
    return x.flatten(2).transpose(1, 2)


def expected(state: dict[str, Tensor], images: Tensor, grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return (penultimate, final) at the class token; positions of `grid` are resized to 4 x 2."""
    state = {name: tensor.double() for name, tensor in state.items()}
    special = [("cls_token", state.get("cls_pos", state["pos_embed"][:, :1]))]
    if "part_token1" in state:
        special += [(f"part_token{part}", state[f"part{part}_pos"]) for part in (1, 2, 3)]
    else:
        state["pos_embed"] = state["pos_embed"][:, 1:]
    place = state["pos_embed"].transpose(1, 2).reshape(1, WIDTH, *grid)
    place = F.interpolate(place, size=(4, 2), mode="bilinear", align_corners=False).flatten(2).transpose(1, 2)
    x = patches_of(state, images.double()) + place
    tokens = [(state[name] + position).expand(len(x), 1, WIDTH) for name, position in special]
    x = torch.cat([*tokens, x], dim=1)
    entering = x
    for block in range(DEPTH):
        entering, name = x, f"blocks.{block}"
        mixed = linear(state, f"{name}.attn.qkv", norm(state, f"{name}.norm1", x))
        heads = []
        for head in range(HEADS):
            size = WIDTH // HEADS
            q, k, v = (mixed[..., part * WIDTH + head * size :][..., :size] for part in range(3))
            heads.append((q @ k.transpose(1, 2) / math.sqrt(size)).softmax(-1) @ v)
        x = x + linear(state, f"{name}.attn.proj", torch.cat(heads, -1))
        hidden = linear(state, f"{name}.mlp.fc1", norm(state, f"{name}.norm2", x))
        x = x + linear(state, f"{name}.mlp.fc2", hidden * (1 + torch.erf(hidden / math.sqrt(2))) / 2)
    return entering[:, 0], norm(state, "norm", x)[:, 0]


def images() -> Tensor:
    return torch.randn(2, 3, *SIZE, generator=torch.Generator().manual_seed(2))


def wrapped(state: dict[str, Tensor], form: str) -> Any:
    heads = {"head.mlp.0.weight": random(4, 4), "head.last_layer.weight_v": random(4, 4)}
    if form == "timm":
        return {**state, "head.weight": random(10, WIDTH), "head.bias": random(10), "fc.weight": random(10, WIDTH)}
    if form == "dino":
        teacher = {f"backbone.{name}": tensor for name, tensor in state.items()} | heads
        student = {
            f"module.backbone.{name}": tensor + 1 for name, tensor in state.items() if tensor.is_floating_point()
        }
        return {"teacher": teacher, "student": student, "epoch": 100, "args": "--arch vit_small"}
    return {"state_dict": {f"module.backbone.{name}": tensor for name, tensor in state.items()}, "epoch": 3}


@pytest.mark.parametrize(
    ("kind", "form", "grid"),
    [
        ("plain", "timm", (4, 4)),  # 1 + 196 in the releases
        ("plain", "dino", (4, 4)),
        ("plain", "state_dict", (4, 2)),  # 1 + 128
        ("plain", "timm", (6, 3)),
        ("stem", "dino", (4, 2)),
        ("stem", "state_dict", (4, 4)),
        ("parts", "dino", (4, 2)),
        ("parts", "timm", (4, 4)),
    ],
)
def test_the_features_are_those_of_the_release(kind: str, form: str, grid: tuple[int, int], tmp_path: Path) -> None:
    state = released(kind, patches=grid[0] * grid[1])
    torch.save(wrapped(state, form), tmp_path / "weights.pth")
    tower = build_image_encoder(f"vit_{kind}_patch16_64", pretrained=tmp_path / "weights.pth", image_size=SIZE).eval()
    with torch.no_grad():
        features = tower(images())
    wanted = expected(state, images(), grid)
    for found, each in zip((features.penultimate, features.final), wanted, strict=True):
        torch.testing.assert_close(found.double(), each, atol=2e-5, rtol=1e-5)
    assert features.projected is features.final
    assert (tower.projects, tower.grid_size, tower.embedding_width) == (False, (4, 2), WIDTH)


def test_all_networks_are_known_by_name_and_by_their_tensors() -> None:
    for name in NETWORKS:
        visual = Architecture(name).visual()
        assert network_of({f"visual.{key}": tensor for key, tensor in visual.state_dict().items()}) == name


@pytest.mark.parametrize("method", ["baseline", "pcl", "unsupervised_pcl", "zero_shot"])
def test_methods_without_text_take_them(method: str, tmp_path: Path) -> None:
    torch.save(released(), tmp_path / "weights.pth")
    model = find_method(method).build(parameters(method, tmp_path / "weights.pth"), Population(2))
    assert model.embedder()(images()).shape == (2, WIDTH)
    assert model.projected_neck is None


@pytest.mark.parametrize("method", ["clip_reid", "svll_reid"])
def test_methods_with_text_say_why_not(method: str, tmp_path: Path) -> None:
    torch.save(released(), tmp_path / "weights.pth")
    says = (
        r"The text tower of 'vit_plain_patch16_64' is not there, since it was pretrained without texts: clip_reid and "
        r"svll_reid, .*or train a method without text"
    )
    with pytest.raises(UserError, match=says):
        find_method(method).build(parameters(method, tmp_path / "weights.pth"), Population(2))


def parameters(method: str, file: Path) -> Any:
    import yaml

    held = yaml.safe_load((Path(__file__).parents[2] / f"conf/base/parameters_{method}.yml").read_text())[method]
    backbone = {"name": "vit_plain_patch16_64", "pretrained": str(file), "image_size": list(SIZE)}
    return find_method(method).params.model_validate({**held, "backbone": backbone})


def test_a_stem_has_no_patches_to_overlap_or_freeze() -> None:
    tower = build_image_encoder("vit_stem_patch16_64", image_size=SIZE)
    with pytest.raises(UserError, match="Set `freeze_patch_projection: false`"):
        tower.freeze_patch_projection()
    with pytest.raises(UserError, match="its patches come from convolutions"):
        build_image_encoder("vit_stem_patch16_64", image_size=SIZE, patch_stride=12)
    assert len(batch_norms(tower)) == 3, "plans in chunks are refused for these"


@pytest.mark.parametrize(
    ("kind", "name"), [("plain", "vit_small_patch16_224"), ("parts", "vit_small_pass_patch16_224")]
)
def test_a_clip_of_another_make_is_answered_with_the_name(kind: str, name: str, tmp_path: Path) -> None:
    state = released(kind, patches=128, width=384, depth=12)
    torch.save(wrapped({key: tensor.half() for key, tensor in state.items()}, "dino"), tmp_path / "dino.pth")
    with pytest.raises(UserError, match=re.escape(f"The file looks like {name}. Set `backbone` to {name!r}, or")):
        build_image_encoder("ViT-B-32", pretrained=tmp_path / "dino.pth")


def test_two_networks_in_one_file_are_not_guessed_at(tmp_path: Path) -> None:
    torch.save({"a": released(), "b": released()}, tmp_path / "two.pth")
    with pytest.raises(UserError, match=r"holds several networks \(a, b\)"):
        build_image_encoder("vit_plain_patch16_64", pretrained=tmp_path / "two.pth", image_size=SIZE)
