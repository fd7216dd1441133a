"""Checkpoint files in the formats CLIP weights come in, read into one layout.

Formats: OpenAI's TorchScript archive, a state dict (`.pt`, `.pth`, `.bin`), open_clip's training
checkpoint (`state_dict` inside, `module.` before each name), safetensors. No file may run code of its
own: pickles are read with `weights_only`. Names come out as OpenAI's (`visual.conv1.weight`,
`transformer.resblocks.0...`).
"""

import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from reid_pipeline.schema.errors import UserError, first_few, nearest

WEIGHT_SUFFIXES = (".pt", ".pth", ".bin", ".ckpt", ".safetensors")
# What OpenAI's archive carries beside its weights.
_OPENAI_FACTS = ("input_resolution", "context_length", "vocab_size")


class CheckpointFile(NamedTuple):
    """The tensors of one file.

    Attributes:
        state: name to tensor, OpenAI's names, in the precision of the file.
        from_openai: the file bears the marks of OpenAI's own (trained with QuickGELU).
    """

    state: dict[str, Tensor]
    from_openai: bool


def read_checkpoint(path: Path) -> CheckpointFile:
    """Read a checkpoint file.

    Args:
        path: an existing file in one of the module's formats.

    Raises:
        UserError: the file is missing, unreadable, needs code to be run, or holds no CLIP weights.
    """
    if not path.is_file():
        beside = [other.name for other in path.parent.glob("*")] if path.parent.is_dir() else []
        what = "is a folder" if path.is_dir() else "does not exist"
        raise UserError(
            f"The checkpoint {str(path)!r} {what}.{nearest(path.name, beside)} Allowed: a file with weights in "
            f"OpenAI's or open_clip's format, or a tag. Correct `pretrained`."
        )
    archive = _is_torchscript(path)
    raw = _read_torchscript(path) if archive else _read_plain(path)
    facts = [key for key in _OPENAI_FACTS if key in raw]
    state = _openai_names({key: value for key, value in raw.items() if key not in facts})
    if not any(key.startswith("visual.") for key in state):
        raise UserError(
            f"The checkpoint {str(path)!r} holds no CLIP image tower: no tensor is named 'visual...'. It has "
            f"{len(raw)} tensors: {first_few(list(raw))}.{_foreign_hint(raw)} Set `pretrained` to a file in "
            f"OpenAI's or open_clip's format."
        )
    return CheckpointFile(state, from_openai=archive or bool(facts))


def _is_torchscript(path: Path) -> bool:
    """Say whether the file is a TorchScript archive (OpenAI's releases are)."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def _read_torchscript(path: Path) -> dict[str, Tensor]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)  # "torch.jit.load is deprecated"
        try:
            module = torch.jit.load(str(path), map_location="cpu")  # type: ignore[no-untyped-call]
        except RuntimeError as error:
            raise _unreadable(path, error) from error
    state: dict[str, Tensor] = module.state_dict()
    return dict(state)


def _read_plain(path: Path) -> dict[str, Tensor]:
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return dict(load_file(path, device="cpu"))
        except (SafetensorError, OSError) as error:
            raise _unreadable(path, error) from error
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise _unreadable(path, error) from error
    if isinstance(loaded, Mapping) and isinstance(loaded.get("state_dict"), Mapping):
        loaded = loaded["state_dict"]
    if not isinstance(loaded, Mapping):
        raise _unreadable(path, TypeError(f"it holds a {type(loaded).__name__}, not named tensors"))
    return {str(key): value for key, value in loaded.items() if isinstance(value, Tensor)}


def _unreadable(path: Path, error: Exception) -> UserError:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
    return UserError(
        f"The checkpoint {str(path)!r} cannot be read as weights ({type(error).__name__}: {reason}). Allowed: a "
        f"TorchScript archive, a state dict of tensors (.pt, .pth, .bin) or safetensors. Get the file again, or "
        f"save its state_dict() alone, and set `pretrained` to it."
    )


def _openai_names(raw: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Drop `module.`, unpack open_clip's separate text module, and prefix a lone image tower."""
    state = {key.removeprefix("module."): value for key, value in raw.items()}
    if "class_embedding" in state and "conv1.weight" in state:
        return {f"visual.{key}": value for key, value in state.items()}
    return {
        key if key.startswith("text.transformer.embeddings") else key.removeprefix("text."): value
        for key, value in state.items()
    }


def _foreign_hint(raw: Mapping[str, Tensor]) -> str:
    if any(key.startswith(("vision_model.", "text_model.")) for key in raw):
        return " These are the names of Hugging Face transformers' CLIP."
    if any(key.startswith("encoder.visual.") for key in raw):
        return " These are weights of this project: load them where they were exported for."
    return ""
