"""Write docs/towers.md: every image tower of the installed open_clip, built at 256 x 128; run with `python`.

Parameters are on the meta device, and the features' shapes are those of a run there. Networks that differ in the size
that they were trained at, or in their activation, are the same tower once adapted, and built once.
"""

import json
import re
import sys
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import torch

from reid_pipeline.models.architecture import Architecture, model_names
from reid_pipeline.models.image_encoder import TowerSettings
from reid_pipeline.models.towers import build_tower
from reid_pipeline.schema.errors import UserError

PAGE = Path(__file__).parents[2] / "docs" / "towers.md"
SIZE = (256, 128)

_INTRODUCTION = """# Image towers

Every image tower of open_clip {open_clip} (with timm {timm}), built at 256 x 128: its kind, and the widths of the three
features ([methods.md](methods.md#1-backbone-the-clip-image-encoder-adapted)). `backbone.name` takes these names.
Written by `python tests/models/towers_table.py`; the suite builds each tower anew and compares.

| kind | networks | penultimate | final | other sizes | OLP | SIE goes to | `conv1` frozen |
|---|---|---|---|---|---|---|---|
| class-token ViT | CLIP, DFN, MetaCLIP ... | class token entering the last block | class token, normed | positions resized | yes | class token (`sie_tokens`) | yes |
| average-pooled ViT | CLIPA | mean of the patches entering the last block | mean of the patches, normed | positions resized | yes | class token (`sie_tokens`) | yes |
| attention-pooled ViT | CoCa | mean of all tokens entering the last block | the pool's first output, normed | positions resized | yes | class token (`sie_tokens`) | yes |
| ModifiedResNet | CLIP's RN | mean of layer3 | mean of layer4, of stride 1 | positions resized | no | refused | no |
| timm ViT with class token | EVA01, EVA02, MobileCLIP-B and -L, vit_relpos | class token entering the last block | class token, normed | positions resized; rotary and relative ones computed | yes; MobileCLIP-B: no | class token (`sie_tokens`) | yes; MobileCLIP-B: no |
| timm attention-pooled ViT | SigLIP, PE-Core | mean of the tokens that the pool reads, entering the last block | the pool's output | positions resized, rotary ones computed | yes | class token (`sie_tokens`); without one, all | yes |
| timm average-pooled ViT | ViTamin, vit_medium_gap | mean of the tokens entering the last block | mean of the tokens, normed | positions resized | ViTamin: no | all tokens | ViTamin: no |
| timm network of stages | ConvNeXt, MobileCLIP-S, Swin | mean of the map entering the last stage | mean of the last map, normed | any; Swin's windows follow the grid | no | refused | no |

`projected` is what the tower gives by itself. Where it has no projection (SigLIP), `projected` is `final`: it is embedded,
weighted and given a neck once. Positions are resized bilinearly for all kinds, as CLIP-ReID does it for CLIP's.

| name | kind | grid | penultimate | final | projected | embedding |
|---|---|---|---|---|---|---|
"""


class Row(NamedTuple):
    """What the table says of a tower."""

    kind: str
    grid: str
    widths: tuple[str, ...]


def page() -> str:
    """Return the page as it should be."""
    introduction = _INTRODUCTION.format(open_clip=version("open_clip_torch"), timm=version("timm"))
    built: dict[str, Row | str] = {}
    lines = []
    for name in model_names():
        found = built.setdefault(_structure(name), "")
        if not found:
            found = built[_structure(name)] = _row(name)
        if isinstance(found, str):
            lines.append(f"| {name} | refused: {found} | | | | | |")
        else:
            lines.append(f"| {name} | {found.kind} | {found.grid} | {' | '.join(found.widths)} |")
    return introduction + "\n".join(lines) + "\n"


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
