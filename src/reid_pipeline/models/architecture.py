"""Architectures: open_clip's configurations by name, and our demo model. Nothing here reads weights.

`open_clip` is imported where a network is built: it takes seconds, and a wrong name is answered before.
"""

import math
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from reid_pipeline.models.open_clip_lists import ModelConfig, configs, facts_of
from reid_pipeline.schema.errors import UserError, first_few, nearest

Grid = tuple[int, int]
Triple = tuple[float, float, float]

DEMO_MODEL = "demo-vit"
CLASS_TOKEN_VIT = "class-token ViT"  # noqa: S105
MODIFIED_RESNET = "ModifiedResNet"
SUPPORTED_KINDS = (CLASS_TOKEN_VIT, MODIFIED_RESNET)
_RESNET_REDUCTION = 32  # pixels per grid cell of a ResNet as CLIP trained it, on each axis

# open_clip's default: OpenAI's.
_MEAN, _STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)

# A text tower that costs nothing, for networks of which only the image tower is wanted.
_NO_TEXT = {"context_length": 1, "vocab_size": 1, "width": 8, "heads": 1, "layers": 1}


class Architecture:
    """A network of open_clip, resolved from its name: what is known of it without weights.

    Attributes:
        name: its name in open_clip.
        config: its configuration there.
        kind: the kind of its image tower, one of `SUPPORTED_KINDS`.
        grid: token rows and columns that its image tower is configured with.

    Raises:
        UserError: an unknown name, or an image tower that does not give the three features.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.config = model_config(name)
        self.kind = tower_kind(self.config)
        if self.kind not in SUPPORTED_KINDS:
            raise _unsupported(name, self.kind)
        self.grid = native_grid(self.config)

    @cached_property
    def tokenizer(self) -> Any:
        """Return open_clip's tokenizer: texts to int64 [B, context length]; start, words, end, padding of 0."""
        import open_clip

        if self.name not in open_clip.list_models():
            open_clip.add_model_config(Path(__file__).parent / "configs")
        return open_clip.get_tokenizer(self.name)

    def pixel_statistics(self, pretrained: str | Path | None) -> tuple[Triple, Triple]:
        """Return (mean, std) of pixels in 0..1: the tag's where `pretrained` is one, else open_clip's default."""
        tag = {} if pretrained is None else facts_of(self.name, str(pretrained))
        mean, std = tag.get("mean", _MEAN), tag.get("std", _STD)
        return (mean[0], mean[1], mean[2]), (std[0], std[1], std[2])

    def clip(self, *, text: bool = True, device: str = "cpu") -> Any:
        """Return `open_clip.CLIP`, randomly initialised; the device `"meta"` gives shapes without numbers.

        Without `text` only `.visual` is of use; with it, UserError where the text tower is not CLIP's own. A model
        with open_clip's separate text module is built as the plain one, whose numbers are the same.
        """
        import open_clip

        if text:
            tower = self.config["text_cfg"]
            foreign = tower.get("hf_tokenizer_name") or tower.get("hf_model_name")
            if foreign or tower.get("embed_cls") or tower.get("no_causal_mask") or "multimodal_cfg" in self.config:
                reason = f"reads tokens of another make ({foreign})" if foreign else "is not causal"
                raise UserError(
                    f"The text tower of {self.name!r} {reason}; prompts need CLIP's own. Set `backbone` to a plain "
                    f"CLIP such as ViT-B-16-quickgelu."
                )
            config = {key: value for key, value in self.config.items() if key != "custom_text"}
        else:
            config = {key: self.config[key] for key in ("embed_dim", "vision_cfg", "quick_gelu") if key in self.config}
            config["text_cfg"] = _NO_TEXT
        with torch.device(device):
            return open_clip.CLIP(**config)


def model_names() -> list[str]:
    """Return the name of every open_clip architecture, our demo model among them."""
    return sorted(configs())


def model_config(name: str) -> ModelConfig:
    """Return open_clip's configuration of `name`."""
    known = configs()
    if name not in known:
        names = sorted(known)
        raise UserError(
            f"Unknown backbone {name!r}.{nearest(name, names)} Allowed: the {len(names)} names that "
            f"`python -c 'import open_clip; print(open_clip.list_models())'` prints, and {DEMO_MODEL}; "
            f"for instance ViT-B-16-quickgelu, ViT-L-14-quickgelu, {DEMO_MODEL}."
        )
    return known[name]


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


def native_grid(config: ModelConfig) -> Grid:
    """Return the token grid (rows, columns) that a ViT or ResNet is configured with."""
    vision = config["vision_cfg"]
    size = vision.get("image_size", 224)
    cell = _RESNET_REDUCTION if tower_kind(config) == MODIFIED_RESNET else vision.get("patch_size", 16)
    (height, width), (rows, columns) = ((side, side) if isinstance(side, int) else side for side in (size, cell))
    return height // rows, width // columns


def stored_grid(num_tokens: int, native: Grid) -> Grid | None:
    """Return the grid of a positional embedding with `num_tokens` rows: `native` or a square one, else None."""
    if num_tokens == 1 + native[0] * native[1]:
        return native
    side = math.isqrt(max(num_tokens - 1, 0))
    return (side, side) if side > 0 and side * side == num_tokens - 1 else None


def _unsupported(name: str, kind: str) -> UserError:
    kinds = {other: tower_kind(config) for other, config in configs().items()}
    fit = [other for other, its_kind in kinds.items() if its_kind in SUPPORTED_KINDS]
    preferred = sorted(fit, key=lambda other: (not other.endswith("-quickgelu"), other))
    counts = [list(kinds.values()).count(its_kind) for its_kind in SUPPORTED_KINDS]
    return UserError(
        f"Backbone {name!r} has an image tower of the kind {kind}, which does not give the three "
        f"features.{nearest(name, fit)} Supported: the {counts[0]} class-token ViTs and the {counts[1]} "
        f"ModifiedResNets of open_clip, {first_few(preferred, 8)}. Set `backbone` to one of these."
    )
