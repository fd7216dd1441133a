"""Pretrained weights of a CLIP: by tag, from a file, or none.

`pretrained` is one of

- `None`: random weights, drawn from torch's global generator (same seed, same weights);
- a file: OpenAI's TorchScript archive or state dict, open_clip's checkpoint, safetensors;
- a tag that open_clip knows for the model (`openai`, `laion2b_s34b_b88k` ...): open_clip downloads the
  file on the user's machine and keeps it in its cache;
- `"demo"` for `demo-vit`: the weights that ship with this package.

Half precision becomes float32. Weights of another architecture are refused before anything is built.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from reid_pipeline.models.architecture import (
    DEMO_MODEL,
    ModelConfig,
    build_clip,
    build_visual_tower,
    model_names,
    model_shapes,
    native_grid,
    supported_config,
)
from reid_pipeline.models.checkpoint_files import CheckpointFile, full_precision, read_checkpoint
from reid_pipeline.models.demo import DEMO_TAG, DEMO_WEIGHTS, load_demo_state
from reid_pipeline.models.mismatch import require_same_architecture
from reid_pipeline.models.position_grid import Grid
from reid_pipeline.schema.digests import digest_of_file
from reid_pipeline.schema.errors import UserError, first_few, nearest

_WEIGHT_SUFFIXES = (".pt", ".pth", ".bin", ".ckpt", ".safetensors")
RANDOM = "random"
"""What stands for the digest of weights that were drawn."""
_VISUAL = "visual."
_STEP_COUNT = ".num_batches_tracked"
Triple = tuple[float, float, float]


def load_pretrained_state(name: str, pretrained: str | Path | None) -> dict[str, Tensor]:
    """Return the state of the image tower of `name`, names without `visual.`, float32.

    The positional embedding keeps the grid it was stored with; `build_image_encoder` resizes it.

    Raises:
        UserError: unknown or unsupported model, unknown tag, missing or unreadable file, weights of another
            architecture, weights trained with another activation, or a download that failed.
    """
    config = supported_config(name)
    if pretrained is None:
        random: dict[str, Tensor] = build_visual_tower(config).state_dict()
        return random
    tower = build_visual_tower(config, device="meta")
    expected = {f"{_VISUAL}{key}": shape for key, shape in model_shapes(tower).items()}
    state = _fitting_state(name, pretrained, expected, native_grid(tower))
    return {key.removeprefix(_VISUAL): tensor for key, tensor in state.items()}


def load_pretrained_clip_state(name: str, pretrained: str | Path | None) -> dict[str, Tensor]:
    """Return the state of the whole CLIP of `name` (`architecture.build_clip`), float32.

    Raises:
        UserError: as `load_pretrained_state`; also where the file's text tower is absent or another.
    """
    if pretrained is None:
        random: dict[str, Tensor] = build_clip(name).state_dict()
        return random
    clip: Any = build_clip(name, device="meta")
    return _fitting_state(name, pretrained, model_shapes(clip), native_grid(clip.visual))


def _fitting_state(
    name: str, pretrained: str | Path, expected: Mapping[str, torch.Size], native: Grid
) -> dict[str, Tensor]:
    """Read a checkpoint and return the tensors of `expected`, float32, all there and of the right shape."""
    state = dict(_fetch(name, supported_config(name), pretrained).state)
    if "logit_scale" in state and "logit_scale" in expected:
        state["logit_scale"] = state["logit_scale"].reshape(expected["logit_scale"])
    for key in expected:
        if key.endswith(_STEP_COUNT):  # a batch norm's counter; old files lack it, and nothing reads it
            state.setdefault(key, torch.zeros((), dtype=torch.long))
    require_same_architecture(name, expected, state, native=native, source=str(pretrained))
    return {key: full_precision(state[key]) for key in expected}


def pixel_statistics(name: str, pretrained: str | Path | None) -> tuple[Triple, Triple]:
    """Return (mean, std) of the pixels, in 0..1, that open_clip's preprocessing has for these weights.

    Those of the tag where `pretrained` is one, else open_clip's default (OpenAI's).
    """
    import open_clip
    from open_clip.transform import PreprocessCfg

    default = PreprocessCfg()
    tag = open_clip.get_pretrained_cfg(name, str(pretrained)) if pretrained is not None else {}
    mean, std = tag.get("mean", default.mean), tag.get("std", default.std)
    return (mean[0], mean[1], mean[2]), (std[0], std[1], std[2])


def pretrained_tags(name: str) -> list[str]:
    """Return the tags of a model: open_clip's, and `demo` for the demo model."""
    import open_clip

    return [DEMO_TAG] if name == DEMO_MODEL else list(open_clip.list_pretrained_tags_by_model(name))


def weights_digest(name: str, pretrained: str | Path | None) -> str:
    """Return the SHA-256 of the file that `pretrained` names, or `"random"` where there is none.

    Raises:
        UserError: unknown tag, no such file, or a download that failed.
    """
    if pretrained is None:
        return RANDOM
    path = _weights_file(name, pretrained)
    try:
        return digest_of_file(path)
    except OSError as error:
        raise UserError(f"The weights {path} cannot be read: {error.strerror}. Correct `pretrained`.") from error


def _fetch(name: str, config: ModelConfig, pretrained: str | Path) -> CheckpointFile:
    path = _weights_file(name, pretrained)
    if path == DEMO_WEIGHTS:
        return CheckpointFile(load_demo_state(), from_openai=False)
    checkpoint = read_checkpoint(path)
    if checkpoint.from_openai and _means_a_file(pretrained):
        _require_quick_gelu(name, config, str(pretrained))
    return checkpoint


def _weights_file(name: str, pretrained: str | Path) -> Path:
    """Return the file that a path or a tag means, downloaded if need be."""
    if _means_a_file(pretrained):
        return Path(pretrained).expanduser()
    tag = str(pretrained).lower().replace("-", "_")
    tags = pretrained_tags(name)
    if tag not in tags:
        allowed = f"its tags {first_few(tags, 12)}" if tags else "none of its own tags (it has none)"
        raise UserError(
            f"Unknown pretrained weights {str(pretrained)!r} for {name!r}.{nearest(tag, tags)} Allowed: "
            f"{allowed}, "
            f"the path of an existing weight file, or null for random weights. Correct `pretrained`."
        )
    if tag == DEMO_TAG:
        return DEMO_WEIGHTS
    import open_clip

    if open_clip.get_pretrained_cfg(name, tag).get("quick_gelu", False):
        _require_quick_gelu(name, supported_config(name), tag)
    return _download(name, tag)


def _means_a_file(pretrained: str | Path) -> bool:
    text = str(pretrained)
    return (
        isinstance(pretrained, Path)
        or Path(text).expanduser().is_file()
        or "/" in text
        or "\\" in text
        or text.lower().endswith(_WEIGHT_SUFFIXES)
    )


def _require_quick_gelu(name: str, config: ModelConfig, source: str) -> None:
    """Refuse weights trained with QuickGELU in a network that has the exact GELU: it would lose silently."""
    partner = f"{name}-quickgelu"
    if config.get("quick_gelu", False) or partner not in model_names():
        return
    raise UserError(
        f"The weights {source!r} were trained with the QuickGELU activation, and {name!r} has the exact "
        f"GELU: the "
        f"features would be off without an error. Set `backbone` to {partner!r}."
    )


def _download(name: str, tag: str) -> Path:
    """Let open_clip download a tag's file, or find it in its cache.

    Raises:
        UserError: the file is neither cached nor to be had.
    """
    from open_clip import pretrained as downloads

    facts = downloads.get_pretrained_cfg(name, tag)
    sources = [f"https://huggingface.co/{facts['hf_hub'].rstrip('/')}"] if facts.get("hf_hub") else []
    sources += [facts["url"]] if facts.get("url") else []
    try:
        return Path(downloads.download_pretrained(facts))
    # OSError covers FileNotFoundError (open_clip's word for any failure of huggingface_hub) and
    # urllib.error.URLError; RuntimeError is its word for a wrong checksum.
    except (OSError, RuntimeError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        raise UserError(
            f"The weights {tag!r} of {name!r} could not be downloaded ({type(error).__name__}: {reason}). "
            f"Tried: "
            f"{' then '.join(sources[:1]) or 'no address known'}. On a machine with a network, download "
            f"{' or '.join(sources)}, bring the file here, and set `pretrained: <path>` to it."
        ) from error
