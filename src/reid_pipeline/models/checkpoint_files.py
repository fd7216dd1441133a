"""Checkpoint files in the formats CLIP weights come in, read into one layout and compared with an architecture.

Formats: OpenAI's TorchScript archive, a state dict (`.pt`, `.pth`, `.bin`), open_clip's training
checkpoint (`state_dict` inside, `module.` before each name), safetensors; the dictionary with a CLIP's
names is found wherever it stands in the file. No file may run code of its
own: `torch_pickles` reads what they list, and calls nothing. Names come out as OpenAI's (`visual.conv1.weight`,
`transformer.resblocks.0...`), and names and shapes tell the architecture even where the file's name does not.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from reid_pipeline.models.architecture import Architecture, Grid, native_grid, stored_grid
from reid_pipeline.models.open_clip_lists import ModelConfig
from reid_pipeline.models.open_clip_lists import configs as all_configs
from reid_pipeline.models.torch_pickles import NoWeightsError
from reid_pipeline.models.weight_files import NamedSets, read_weights
from reid_pipeline.schema.errors import UserError, first_few, nearest

WEIGHT_SUFFIXES = (".pt", ".pth", ".bin", ".ckpt", ".safetensors")
# What OpenAI's archive carries beside its weights.
_OPENAI_FACTS = ("input_resolution", "context_length", "vocab_size")
_FOREIGN = {
    ("vision_model.", "text_model."): " These are the names of Hugging Face transformers' CLIP.",
    ("image_encoder.", "module.image_encoder."): (
        " These are the names of a published ReID model: kedro run --pipeline=import_model"
        " --params checkpoint=<file>,method=<name> makes a cell of it."
    ),
    ("encoder.visual.",): " These are weights of this project: load them where they were exported for.",
}
# The positional embedding of a ViT, that of a ResNet's attention pool, and that of timm's ViTs.
_POSITIONS = ("visual.positional_embedding", "visual.attnpool.positional_embedding", "visual.trunk.pos_embed")
# The last layer of timm's towers, as wide as CLIP's joint space; SigLIP has none, and is as wide itself.
_PROJECTIONS = tuple(f"visual.{layer}.weight" for layer in ("head.proj", "head.mlp.fc2", "trunk.head", "trunk.head.fc"))

_Facts = tuple[str, int, object, int, int]


class CheckpointFile(NamedTuple):
    """The tensors of one file, in its precision."""

    state: dict[str, Tensor]  # by OpenAI's names
    others: dict[str, str]  # what else stands under a tensor's name: "a quantised tensor"
    from_openai: bool  # it bears the marks of OpenAI's own, trained with QuickGELU


def read_checkpoint(path: Path) -> CheckpointFile:
    """Read a checkpoint file; UserError where it is missing, unreadable, needs code or holds no CLIP weights."""
    try:
        found = read_weights(path, _clip_among)
    except FileNotFoundError as error:
        beside = [other.name for other in path.parent.glob("*")] if path.parent.is_dir() else []
        raise UserError(
            f"The checkpoint {str(path)!r} does not exist.{nearest(path.name, beside)} Allowed: a file with weights "
            f"in OpenAI's or open_clip's format, or a tag. Correct `pretrained`."
        ) from error
    except OSError as error:
        raise UserError(f"The checkpoint {str(path)!r} cannot be read: {error.strerror}.") from error
    except NoWeightsError as error:
        remedy = error.remedy or "Get the file again, or save its state_dict() alone, and set `pretrained` to it."
        raise UserError(f"The checkpoint {str(path)!r} cannot be read as weights: it {error}. {remedy}") from error
    facts = [key for key in _OPENAI_FACTS if key in found.tensors]
    named: dict[str, Any] = {key: value for key, value in {**found.tensors, **found.others}.items() if key not in facts}
    state = _openai_names(named)
    return CheckpointFile(
        {key: value for key, value in state.items() if isinstance(value, Tensor)},
        {key: value for key, value in state.items() if isinstance(value, str)},
        from_openai=found.scripted or bool(facts),
    )


def _clip_among(sets: NamedSets) -> str:
    """Return the place of the one set of names that has a CLIP's image tower; of several, `state_dict`."""
    clips = [place for place, named in sets.items() if any(key.startswith("visual.") for key in _openai_names(named))]
    if len(clips) == 1 or "state_dict" in clips:
        return "state_dict" if "state_dict" in clips else clips[0]
    remedy = "Save the one you mean alone, and set `pretrained` to that file."
    if clips:
        raise NoWeightsError(f"holds several networks ({first_few(clips)})", remedy)
    names = max((list(named) for named in sets.values()), key=len)
    hints = [hint for prefixes, hint in _FOREIGN.items() if any(key.startswith(prefixes) for key in names)]
    raise NoWeightsError(
        f"holds no CLIP image tower: no tensor is named 'visual...'. It has {len(names)} tensors: {first_few(names)}",
        f"{''.join(hints[:1])} Set `pretrained` to a file in OpenAI's or open_clip's format.".strip(),
    )


def _openai_names(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Drop `module.`, unpack open_clip's separate text module, and prefix a lone image tower."""
    state = {key.removeprefix("module."): value for key, value in raw.items()}
    lone_vit = "class_embedding" in state and "conv1.weight" in state
    if lone_vit or any(key.startswith("trunk.") for key in state):
        return {f"visual.{key}": value for key, value in state.items()}
    return {
        key if key.startswith("text.transformer.embeddings") else key.removeprefix("text."): value
        for key, value in state.items()
    }


def require_same_architecture(
    architecture: Architecture, expected: Mapping[str, Sequence[int]], state: Mapping[str, Tensor], *, source: str
) -> None:
    """Raise UserError where a state does not have the model's tensors, of the `expected` shapes.

    The grid of the image tower's positional embedding may differ, and parts that the model does not have at all (a
    text tower, say) are no fault. `source` names the state in the message.
    """
    name = architecture.name
    parts = {key.split(".")[0] for key in expected}
    extra = [key for key in state if key not in expected and key.split(".")[0] in parts]
    problems = [
        problem
        for key in [*expected, *extra]
        if (problem := _problem(key, expected.get(key), state.get(key), architecture.grid))
    ]
    if not problems:
        return
    others = f" ({len(problems) - 1} more tensors differ)" if len(problems) > 1 else ""
    looks = looks_like(state)
    guess = f" The file looks like {' or '.join(looks)}." if looks else ""
    remedy = f"Set `backbone` to {looks[0]!r}, or" if looks and looks[0] != name else "Set"
    raise UserError(
        f"The weights of {source!r} are not those of {name!r}: {problems[0]}{others}.{guess} {remedy} "
        f"`pretrained` to weights of {name!r}."
    )


def _problem(key: str, wanted: Sequence[int] | None, found: Tensor | None, native: Grid) -> str | None:
    if wanted is None and found is not None:
        return f"tensor {key!r} is {list(found.shape)} in the file and absent from the model"
    if wanted is None or found is None:
        return f"tensor {key!r} is absent from the file and {list(wanted or [])} in the model"
    if tuple(found.shape) == tuple(wanted) or _resizable(key, wanted, found, native):
        return None
    return f"tensor {key!r} is {list(found.shape)} in the file and {list(wanted)} in the model"


def _resizable(key: str, wanted: Sequence[int], found: Tensor, native: Grid) -> bool:
    """Return whether these are positions of the model, of another grid."""
    if key not in _POSITIONS or found.ndim != len(wanted):
        return False
    same_but_rows = (*found.shape[:-2], found.shape[-1]) == (*wanted[:-2], wanted[-1])
    special = wanted[-2] - math.isqrt(wanted[-2]) ** 2 if key == _POSITIONS[2] else 1  # timm's own grids are square
    return same_but_rows and stored_grid(found.shape[-2], native, special) is not None


def looks_like(state: Mapping[str, Tensor], *, limit: int = 2) -> list[str]:
    """Return the open_clip names whose image tower has the shapes in `state`, the likeliest first."""
    configs = all_configs()
    found = _tower_facts(state)
    if found is None:
        return _timm_networks_like(state, configs)[:limit]
    fit = [name for name, config in configs.items() if _config_facts(config) == found]
    text_width = _side(state.get("ln_final.weight"), 0)

    def unlikeliness(name: str) -> tuple[bool, bool, int, str]:
        config = configs[name]
        other_text = text_width > 0 and config["text_cfg"].get("width", 512) != text_width
        rows, columns = native_grid(config)
        return other_text, 1 + rows * columns != _side(state.get(_POSITIONS[0]), 0), len(name), name

    return sorted(fit, key=unlikeliness)[:limit]


def _timm_networks_like(state: Mapping[str, Tensor], configs: Mapping[str, ModelConfig]) -> list[str]:
    """Return the names whose tower has timm's tensors in these shapes; those of the same grid first.

    Each network of timm that has the width is built once, to see; the size that it was trained at does not count.
    """
    shapes = {key: tuple(value.shape) for key, value in state.items() if key.startswith("visual.")}
    widths = {shapes[key][0] for key in _PROJECTIONS if key in shapes} or {
        shape[-1] for key, shape in shapes.items() if key == _POSITIONS[2]
    }
    alike: dict[str, list[str]] = {}
    for name, config in sorted(configs.items(), key=lambda item: len(item[0])):
        vision = {key: value for key, value in config["vision_cfg"].items() if key != "image_size"}
        trunk = vision.get("timm_model_name")
        if trunk and config["embed_dim"] in widths:
            vision["timm_model_name"] = re.sub(r"_\d+$", "", trunk)
            alike.setdefault(json.dumps(vision, sort_keys=True), []).append(name)
    found = [name for names in alike.values() if _has_shapes(names[0], shapes) for name in names]
    rows = shapes.get(_POSITIONS[2], (0, 0, 0))[1]
    return sorted(found, key=lambda name: abs(math.prod(native_grid(configs[name])) - rows) > 1)


def _has_shapes(name: str, shapes: Mapping[str, Sequence[int]]) -> bool:
    try:
        built = Architecture(name).visual().state_dict()
    except UserError:
        return False
    own = {f"visual.{key}": tuple(value.shape) for key, value in built.items()}
    ignored = {key for key in own if key in _POSITIONS or key.endswith("num_batches_tracked")}
    return {key: own[key] for key in own.keys() - ignored} == {key: shapes[key] for key in shapes.keys() - ignored}


def _tower_facts(state: Mapping[str, Tensor]) -> _Facts | None:
    """Return (kind, width, depth, patch, joint width), or None where the tensors do not tell."""
    conv1, proj = state.get("visual.conv1.weight"), state.get("visual.proj")
    if conv1 is not None and _side(proj, 1) and conv1.ndim == 4:
        depth = _count(state, "visual.transformer.resblocks.")
        return "vit", conv1.shape[0], depth, conv1.shape[-1], _side(proj, 1)
    block, pool = state.get("visual.layer1.0.conv1.weight"), state.get("visual.attnpool.c_proj.weight")
    if _side(block, 0) and _side(pool, 0):
        depths = tuple(_count(state, f"visual.layer{layer}.") for layer in (1, 2, 3, 4))
        return "resnet", _side(block, 0), depths, 0, _side(pool, 0)
    return None


def _side(tensor: Tensor | None, axis: int) -> int:
    return tensor.shape[axis] if tensor is not None and tensor.ndim > axis else 0


def _count(state: Mapping[str, Tensor], prefix: str) -> int:
    """Return the number of blocks whose tensors are named `<prefix><number>...`."""
    return len({key.removeprefix(prefix).split(".")[0] for key in state if key.startswith(prefix)})


def _config_facts(config: ModelConfig) -> _Facts | None:
    vision = config["vision_cfg"]
    layers = vision.get("layers", 12)
    if vision.get("timm_model_name") or vision.get("attentional_pool"):
        return None
    if isinstance(layers, list | tuple):
        return "resnet", vision["width"], tuple(layers), 0, config["embed_dim"]
    return "vit", vision.get("width", 768), layers, vision.get("patch_size", 16), config["embed_dim"]
