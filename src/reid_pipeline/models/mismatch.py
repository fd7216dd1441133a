"""A checkpoint of another architecture: which tensor differs, and what the file looks like.

Width, patch, depth and joint width are read off the tensors' names and shapes, so a file tells its
architecture even where its name does not.
"""

from collections.abc import Mapping, Sequence

from torch import Tensor

from reid_pipeline.models.architecture import Architecture, ModelConfig, model_names, native_grid
from reid_pipeline.models.position_grid import Grid, stored_grid
from reid_pipeline.schema.errors import UserError

# The positional embedding of a ViT, and that of a ResNet's attention pool.
POSITIONS = ("visual.positional_embedding", "visual.attnpool.positional_embedding")


def require_same_architecture(
    architecture: Architecture, expected: Mapping[str, Sequence[int]], state: Mapping[str, Tensor], *, source: str
) -> None:
    """Check that a state fits a model, the grid of the image tower's positional embedding apart.

    Parts of the file that the model does not have at all (a text tower, say) are no fault.

    Args:
        architecture: of the model.
        expected: shape of every tensor of the model.
        state: the tensors of the file.
        source: where the state came from, for the message.

    Raises:
        UserError: a tensor is missing, too many, or of another shape. Names the first one, both shapes, and
            the architecture that the file looks like.
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
    resizable = key in POSITIONS and found.ndim == 2 and found.shape[1] == wanted[1]
    if tuple(found.shape) == tuple(wanted) or (resizable and stored_grid(len(found), native)):
        return None
    return f"tensor {key!r} is {list(found.shape)} in the file and {list(wanted)} in the model"


def looks_like(state: Mapping[str, Tensor], *, limit: int = 2) -> list[str]:
    """Return the open_clip names whose image tower has the shapes in `state`, the likeliest first."""
    import open_clip

    found = _tower_facts(state)
    if found is None:
        return []
    configs = {name: open_clip.get_model_config(name) for name in model_names()}
    fit = [name for name, config in configs.items() if _config_facts(config) == found]
    text_width = len(state["ln_final.weight"]) if "ln_final.weight" in state else None

    def unlikeliness(name: str) -> tuple[bool, bool, int, str]:
        config = configs[name]
        other_text = text_width is not None and config["text_cfg"].get("width", 512) != text_width
        rows, columns = native_grid(config)
        return other_text, 1 + rows * columns != len(state.get(POSITIONS[0], ())), len(name), name

    return sorted(fit, key=unlikeliness)[:limit]


_Facts = tuple[str, int, object, int, int]


def _tower_facts(state: Mapping[str, Tensor]) -> _Facts | None:
    """Return (kind, width, depth, patch, joint width), or None where the tensors do not tell."""
    conv1, proj = state.get("visual.conv1.weight"), state.get("visual.proj")
    if conv1 is not None and proj is not None and conv1.ndim == 4:
        prefix = "visual.transformer.resblocks."
        depth = len({key[len(prefix) :].split(".")[0] for key in state if key.startswith(prefix)})
        return "vit", conv1.shape[0], depth, conv1.shape[-1], proj.shape[1]
    block, pool = state.get("visual.layer1.0.conv1.weight"), state.get("visual.attnpool.c_proj.weight")
    if block is not None and pool is not None:
        depths = tuple(
            len({key.split(".")[2] for key in state if key.startswith(f"visual.layer{stage}.")})
            for stage in (1, 2, 3, 4)
        )
        return "resnet", block.shape[0], depths, 0, pool.shape[0]
    return None


def _config_facts(config: ModelConfig) -> _Facts | None:
    vision = config["vision_cfg"]
    layers = vision.get("layers", 12)
    if vision.get("timm_model_name") or vision.get("attentional_pool"):
        return None
    if isinstance(layers, list | tuple):
        return "resnet", vision["width"], tuple(layers), 0, config["embed_dim"]
    return "vit", vision.get("width", 768), layers, vision.get("patch_size", 16), config["embed_dim"]
