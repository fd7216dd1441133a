"""Write docs/towers.md: every image tower of the installed open_clip, built at 256 x 128; run with `python`.

Parameters are on the meta device, and the features' shapes are those of a run there. Its norms and GELUs look at shapes
alone: torch has them there as a dozen steps in Python. Networks that differ in the size that they were trained at, or
in their activation, are the same tower once adapted, and built once.
"""

import json
import re
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import torch
from torch import Tensor
from torch.nn import functional

from reid_pipeline.models.architecture import Architecture, model_names
from reid_pipeline.models.image_encoder import TowerSettings
from reid_pipeline.models.towers import build_tower
from reid_pipeline.schema.errors import UserError

PAGE = Path(__file__).parents[2] / "docs" / "towers.md"
SIZE = (256, 128)

_INTRODUCTION = """# Image towers

Every image tower of open_clip {open_clip} (with timm {timm}), built at 256 x 128: its kind, and the widths of the three
features ([methods.md](methods.md)). `backbone.name` takes these names; others, in folders and repositories, are taken
if they are of one of these kinds ([parameters.md](parameters.md)). Written by `python tests/models/towers_table.py`;
the suite builds one of each kind anew and compares, `bench/matrices.py` all.

## Kinds

| kind | networks | penultimate, entering the last block or stage | final | SIE goes to | OLP | frozen patches |
|---|---|---|---|---|---|---|
{kinds}

(1) Refused where patches come from convolutions: MobileCLIP-B, ViTamin.

- `projected` is what the tower gives by itself. Where it has no projection (SigLIP), it is `final`: embedded, weighted
  and given a neck once.
- `sie_tokens: all` adds side information to all tokens; a tower without a class token does so in any case.
- Learnt positions are resized bilinearly, as CLIP-ReID does it for CLIP's; rotary and relative ones are computed for
  the grid; Swin's windows follow the grid, as timm does it, and networks of stages take any size.
- A kind is a module of `src/reid_pipeline/models/towers/`.

## Networks

| name | kind | grid | penultimate | final | projected | embedding |
|---|---|---|---|---|---|---|
"""

_KINDS = (
    (
        "class-token ViT",
        "CLIP, DFN, MetaCLIP",
        "the class token",
        "the class token, normed",
        "class token",
        "yes",
        "yes",
    ),
    (
        "average-pooled ViT",
        "CLIPA",
        "the mean of the patches",
        "the mean of the patches, normed",
        "class token",
        "yes",
        "yes",
    ),
    (
        "attention-pooled ViT",
        "CoCa",
        "the mean of all tokens",
        "the pool's first output, normed",
        "class token",
        "yes",
        "yes",
    ),
    (
        "ModifiedResNet",
        "CLIP's ResNets",
        "the mean of `layer3`",
        "the mean of `layer4`, of stride 1",
        "refused",
        "refused",
        "refused",
    ),
    (
        "timm ViT with class token",
        "EVA01, EVA02, MobileCLIP-B and -L",
        "the class token",
        "the class token, normed",
        "class token",
        "yes (1)",
        "yes (1)",
    ),
    (
        "timm attention-pooled ViT",
        "SigLIP, PE-Core",
        "the mean of what the pool reads",
        "the pool's output",
        "class token or all",
        "yes",
        "yes",
    ),
    (
        "timm average-pooled ViT",
        "ViTamin, vit_medium_gap",
        "the mean of the tokens",
        "the mean of the tokens, normed",
        "all tokens",
        "yes (1)",
        "yes (1)",
    ),
    (
        "timm network of stages",
        "ConvNeXt, MobileCLIP-S, Swin",
        "the mean of the map",
        "the mean of the last map, normed",
        "refused",
        "refused",
        "refused",
    ),
    (
        "timm NaFlex ViT",
        "none that open_clip lists",
        "as the ViTs above",
        "as the ViTs above",
        "class token or all",
        "refused",
        "yes",
    ),
)


class Row(NamedTuple):
    """What the table says of a tower."""

    kind: str
    grid: str
    widths: tuple[str, ...]


def page(names: Sequence[str] | None = None) -> str:
    """Return the page as it should be, of all networks that are known, or of `names`."""
    kinds = "\n".join(f"| {' | '.join(cells)} |" for cells in _KINDS)
    introduction = _INTRODUCTION.format(open_clip=version("open_clip_torch"), timm=version("timm"), kinds=kinds)
    built: dict[str, Row | str] = {}
    lines = []
    for name in names or model_names():
        structure = _structure(name)
        found = built.get(structure, "")
        if not found:
            by_shape = {"layer_norm": _layer_norm, "batch_norm": _batch_norm, "gelu": _gelu}
            with mock.patch.multiple(functional, **by_shape):
                found = built[structure] = _row(name)
        if isinstance(found, str):
            lines.append(f"| {name} | refused: {found} | | | | | |")
        else:
            lines.append(f"| {name} | {found.kind} | {found.grid} | {' | '.join(found.widths)} |")
    return introduction + "\n".join(lines) + "\n"


def _layer_norm(images: Tensor, normalized_shape: Sequence[int], *_: Any, **__: Any) -> Tensor:
    shape = tuple(normalized_shape)
    if tuple(images.shape[-len(shape) :]) != shape:
        raise AssertionError(f"A layer norm of {shape} is given {tuple(images.shape)}.")
    return torch.empty_like(images)


def _batch_norm(images: Tensor, running_mean: Tensor, *_: Any, **__: Any) -> Tensor:
    if images.shape[1] != len(running_mean):
        raise AssertionError(f"A batch norm of {len(running_mean)} channels is given {tuple(images.shape)}.")
    return torch.empty_like(images)


def _gelu(images: Tensor, *_: Any, **__: Any) -> Tensor:
    return torch.empty_like(images)


def _structure(name: str) -> str:
    config = Architecture(name).config
    vision = {key: value for key, value in config["vision_cfg"].items() if key != "image_size"}
    vision["timm_model_name"] = re.sub(r"(_window\d+)?_\d+$", "", vision.get("timm_model_name") or "")
    return json.dumps([config["embed_dim"], vision], sort_keys=True)


def _row(name: str) -> Row | str:
    """Return what is found of a tower, or why it is refused."""
    architecture = Architecture(name)
    settings = TowerSettings(SIZE, None, 0, 0, *architecture.pixel_statistics(None))
    try:
        tower = build_tower(architecture, settings)
    except UserError as error:
        return str(error).split(". ")[0]
    features = tower.to("meta").encode_image(torch.empty(1, 3, *SIZE, device="meta"))
    widths = [each.shape[1] for each in features]
    if widths != [tower.penultimate_width, tower.width, tower.projected_width]:
        raise AssertionError(f"{name} gives features {widths}, and states others.")
    last = str(widths[2]) if tower.projects else "= final"
    rows, columns = tower.grid_size
    return Row(tower.KIND, f"{rows} x {columns}", (str(widths[0]), str(widths[1]), last, str(tower.embedding_width)))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"Wrote {PAGE}.\n")
