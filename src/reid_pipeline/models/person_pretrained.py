"""ViTs that were pretrained without texts, on people or on pictures: TransReID-SSL, PASS, DINO and timm's own names.

Their files become weights of timm's ViT within open_clip's tower, `visual.trunk...`:

- timm: the names as they are, without classifier (`head.*`, `fc.*`);
- DINO, TransReID-SSL: `teacher` of a dictionary that also has a `student`, below `module.` and `backbone.`;
- TransReID-SSL's convolutional stem (ICS): `patch_embed.conv.*` before `patch_embed.proj`;
- PASS: `part_token1`..`3` with positions of their own become timm's further special tokens behind the class token.

The networks are in `models/configs`, by timm's names; those of the last two are made in `models.person_networks`.

Shape suffixes: N patches, D width.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

TRUNK = "visual.trunk."
_WRAPPERS = ("module.", "backbone.")
_MARKS = {"cls_token", "patch_embed.proj.weight", "blocks.0.attn.qkv.weight", "pos_embed"}
_LEFT_OUT = ("head.", "head_dist.", "fc.", "pre_logits.")
_BLOCK = {
    f"{part}.{kind}"
    for part in ("norm1", "attn.qkv", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2")
    for kind in ("weight", "bias")
}
_PARTS = (1, 2, 3)
_OF_A_TRUNK = ("cls_token", "reg_token", "pos_embed", "patch_embed.", "blocks.", "norm.")
_STEM = "patch_embed.conv.0.weight"


class PlainViT(NamedTuple):
    """What tells such networks apart: width, depth, patch size, and whether there are a stem and part tokens."""

    width: int
    depth: int = 12
    patch: int = 16
    stem: bool = False
    parts: bool = False


NETWORKS = {
    "vit_small_patch16_224": PlainViT(384),
    "vit_base_patch16_224": PlainViT(768),
    "vit_small_patch8_224": PlainViT(384, patch=8),
    "vit_base_patch8_224": PlainViT(768, patch=8),
    "vit_small_ics_patch16_224": PlainViT(384, stem=True),
    "vit_base_ics_patch16_224": PlainViT(768, stem=True),
    "vit_small_pass_patch16_224": PlainViT(384, parts=True),
    "vit_base_pass_patch16_224": PlainViT(768, parts=True),
}
"""The networks by name; each has a file in `models/configs`."""


def is_plain_vit(names: Iterable[str]) -> bool:
    """Return whether these are the names of such a network, whatever is wrapped around them."""
    return {_unwrapped(name) for name in names} >= _MARKS


def plain_vit_among(places: Iterable[str]) -> str | None:
    """Return which of several such networks in one file is meant: DINO's teacher; None where nothing says."""
    found = list(places)
    teachers = [place for place in found if place.split(".")[-1] == "teacher"]
    return teachers[0] if len(teachers) == 1 else found[0] if len(found) == 1 else None


def trunk_names(named: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tensors of such a network by the names of open_clip's tower, without classifiers and heads."""
    own = {_unwrapped(name): value for name, value in named.items()}
    plain = {name: value for name, value in own.items() if not name.startswith(_LEFT_OUT)}
    return {f"{TRUNK}{name}": value for name, value in _with_registers(plain).items()}


def network_of(state: Mapping[str, Tensor]) -> str | None:
    """Return the name of the network whose trunk has these tensors; None where it is none of `NETWORKS`."""
    own = {name.removeprefix(TRUNK): tensor for name, tensor in state.items() if name.startswith(TRUNK)}
    block = {name.removeprefix("blocks.0.") for name in own if name.startswith("blocks.0.")}
    others = [name for name in own if not name.startswith(_OF_A_TRUNK)]
    if not own.keys() >= _MARKS or block != _BLOCK or "norm.weight" not in own or others:
        return None
    stem = _STEM in own
    facts = PlainViT(
        width=own["cls_token"].shape[-1],
        depth=len({name.split(".")[1] for name in own if name.startswith("blocks.")}),
        patch=own["patch_embed.proj.weight"].shape[-1] * (2 if stem else 1),
        stem=stem,
        parts="reg_token" in own,
    )
    return next((name for name, each in NETWORKS.items() if each == facts), None)


def _unwrapped(name: str) -> str:
    for wrapper in _WRAPPERS:
        name = name.removeprefix(wrapper)
    return name


def _with_registers(plain: dict[str, Any]) -> dict[str, Any]:
    """Return PASS's part tokens as timm's registers, with one positional embedding of all tokens."""
    tokens = [plain.get(f"part_token{part}") for part in _PARTS]
    positions = [plain.get(name) for name in ("cls_pos", *(f"part{part}_pos" for part in _PARTS), "pos_embed")]
    if not all(isinstance(each, Tensor) and each.ndim == 3 for each in (*tokens, *positions)):
        return plain
    taken = {"cls_pos", *(f"part_token{part}" for part in _PARTS), *(f"part{part}_pos" for part in _PARTS)}
    rest = {name: value for name, value in plain.items() if name not in taken}
    token_13D, position_1LD = (
        torch.cat([each for each in parts if each is not None], 1) for parts in (tokens, positions)
    )
    return {**rest, "reg_token": token_13D, "pos_embed": position_1LD}
