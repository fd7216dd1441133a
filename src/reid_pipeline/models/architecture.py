"""Which networks can serve as a backbone: open_clip's configurations by name, and our demo model.

Nothing here reads weights. `open_clip` is imported inside the functions: it takes seconds.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from reid_pipeline.models.position_grid import Grid
from reid_pipeline.schema.errors import UserError, first_few, nearest

ModelConfig = dict[str, Any]

DEMO_MODEL = "demo-vit"
CLASS_TOKEN_VIT = "class-token ViT"  # noqa: S105
MODIFIED_RESNET = "ModifiedResNet"
RESNET_REDUCTION = 32  # pixels per grid cell of a ResNet as CLIP trained it, on each axis
SUPPORTED_KINDS = (CLASS_TOKEN_VIT, MODIFIED_RESNET)
CONFIG_FOLDER = Path(__file__).parent / "configs"

# A text tower that costs nothing, for networks of which only the image tower is wanted.
_NO_TEXT = {"context_length": 1, "vocab_size": 1, "width": 8, "heads": 1, "layers": 1}


def model_names() -> list[str]:
    """Return the name of every open_clip architecture, our demo model among them."""
    import open_clip

    if DEMO_MODEL not in open_clip.list_models():
        open_clip.add_model_config(CONFIG_FOLDER)
    names: list[str] = open_clip.list_models()
    return names


def model_config(name: str) -> ModelConfig:
    """Return open_clip's configuration of `name`.

    Raises:
        UserError: no architecture has this name.
    """
    import open_clip

    names = model_names()
    if name not in names:
        examples = ["ViT-B-16-quickgelu", "ViT-L-14-quickgelu", DEMO_MODEL]
        raise UserError(
            f"Unknown backbone {name!r}.{nearest(name, names)} Allowed: the {len(names)} names that "
            f"`python -c 'import open_clip; print(open_clip.list_models())'` prints, and {DEMO_MODEL}; "
            f"for instance {', '.join(examples)}."
        )
    config: ModelConfig = open_clip.get_model_config(name)
    return config


def tower_kind(config: ModelConfig) -> str:
    """Name the kind of image tower a configuration describes; `SUPPORTED_KINDS` can be built."""
    vision = config["vision_cfg"]
    if vision.get("timm_model_name"):
        return f"timm network ({vision['timm_model_name']})"
    if isinstance(vision.get("layers", 12), list | tuple):
        return MODIFIED_RESNET
    if vision.get("attentional_pool"):
        return "attention-pooled ViT"
    if vision.get("pool_type", "tok") != "tok":
        return "average-pooled ViT" if vision["pool_type"] == "avg" else "unpooled ViT"
    return CLASS_TOKEN_VIT


def supported_config(name: str) -> ModelConfig:
    """Return the configuration of `name` if its image tower gives the three features.

    Raises:
        UserError: unknown name, or an image tower of another kind.
    """
    config = model_config(name)
    kind = tower_kind(config)
    if kind not in SUPPORTED_KINDS:
        kinds = {other: tower_kind(model_config(other)) for other in model_names()}
        fit = [other for other, its_kind in kinds.items() if its_kind in SUPPORTED_KINDS]
        preferred = sorted(fit, key=lambda other: (not other.endswith("-quickgelu"), other))
        counts = [list(kinds.values()).count(its_kind) for its_kind in SUPPORTED_KINDS]
        raise UserError(
            f"Backbone {name!r} has an image tower of the kind {kind}, which does not give the three "
            f"features.{nearest(name, fit)} Supported: the {counts[0]} class-token ViTs and the {counts[1]} "
            f"ModifiedResNets of open_clip, {first_few(preferred, 8)}. Set `backbone` to one of these."
        )
    return config


def build_visual_tower(config: ModelConfig, *, device: str = "cpu") -> Any:
    """Return open_clip's image tower, randomly initialised from torch's global generator.

    Args:
        config: configuration of a supported kind, see `supported_config`.
        device: `"meta"` gives shapes without numbers, and draws nothing.
    """
    import open_clip

    with torch.device(device):
        clip = open_clip.CLIP(
            config["embed_dim"],
            vision_cfg=config["vision_cfg"],
            text_cfg=_NO_TEXT,
            quick_gelu=config.get("quick_gelu", False),
        )
    return clip.visual


def native_grid(visual: Any) -> Grid:
    """Return the token grid (rows, columns) that an image tower of open_clip was configured with."""
    if hasattr(visual, "attnpool"):
        side = visual.image_size // RESNET_REDUCTION
        return side, side
    rows, columns = visual.grid_size
    return rows, columns


def build_clip(name: str, *, device: str = "cpu") -> nn.Module:
    """Return the whole CLIP (image and text tower) of `name`, randomly initialised.

    `open_clip.CLIP`: `encode_image`, `encode_text`, `logit_scale`. A model whose configuration asks
    for open_clip's separate text module is built as the plain one, whose numbers are the same.

    Raises:
        UserError: unknown name, an unsupported image tower, or a text tower that is not CLIP's.
    """
    import open_clip

    config = supported_config(name)
    foreign = config["text_cfg"].get("hf_model_name") or ("CoCa" if "multimodal_cfg" in config else None)
    if foreign:
        raise UserError(
            f"Backbone {name!r} has a text tower of another make ({foreign}); prompts need CLIP's own. "
            f"Set `backbone` to a plain CLIP such as ViT-B-16-quickgelu."
        )
    config.pop("custom_text", None)
    with torch.device(device):
        clip: nn.Module = open_clip.CLIP(**config)
    return clip


def model_shapes(module: nn.Module) -> dict[str, torch.Size]:
    """Return the shape of every tensor in a module's state."""
    state: dict[str, Tensor] = module.state_dict()
    return {key: tensor.shape for key, tensor in state.items()}
