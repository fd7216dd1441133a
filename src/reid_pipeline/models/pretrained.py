"""Pretrained weights of a CLIP: by tag, from a file, or none.

`pretrained` is one of

- `None`: random weights, sampled from torch's global generator (same seed, same weights);
- a file: OpenAI's TorchScript archive or state dict, open_clip's checkpoint, safetensors;
- a tag that open_clip knows for the model (`openai`, `laion2b_s34b_b88k` ...): the file is taken from the caches of
  the user's machine, or downloaded once;
- `"demo"` for `demo-vit`: the weights that ship with this package. The token embedding has 49,408 rows, of
  which the demo's captions touch a few hundred: those alone are stored, and all tensors in half precision.

A network of a folder or repository (`models.model_folders`) comes with its own weights: any `pretrained` but a file
means these.

Half precision becomes float32. Weights of another architecture are refused before a tower is built, and so are
numbers that are not finite or no floating point.

Shape suffixes: R stored rows, V vocabulary, T width of the text tower.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from reid_pipeline.models.architecture import Architecture, model_names
from reid_pipeline.models.checkpoint_files import (
    WEIGHT_SUFFIXES,
    CheckpointFile,
    read_checkpoint,
    require_same_architecture,
)
from reid_pipeline.models.model_folders import folder_weights, is_model_folder
from reid_pipeline.models.open_clip_lists import DEMO_MODEL, DEMO_TAG, facts_of, tags_of
from reid_pipeline.models.published_weights import published_file
from reid_pipeline.schema.digests import digest_of_file
from reid_pipeline.schema.errors import UserError, first_few, nearest
from reid_pipeline.schema.regular_files import kind_of
from reid_pipeline.schema.user_paths import user_path

DEMO_WEIGHTS = Path(__file__).parent / "weights" / "demo_clip.safetensors"
_FLOATS = {torch.float16, torch.bfloat16, torch.float32, torch.float64}
_VOCABULARY = 49408
_SCALARS = ("logit_scale", "logit_bias")
_EMBEDDING = "token_embedding.weight"
_ROWS = "token_embedding.rows"
_VALUES = "token_embedding.values"


def pretrained_state(
    architecture: Architecture, pretrained: str | Path | None, *, text: bool = False
) -> dict[str, Tensor]:
    """Return the state of a CLIP's image tower, or with `text` of the whole CLIP, by OpenAI's names, float32.

    The positional embedding has the grid it was stored with; `ImageEncoder` resizes it.

    Raises:
        UserError: unknown tag, missing or unreadable file, weights of another architecture or activation, a failed
            download, or a text tower that prompts cannot be learnt with.
    """
    # The weights are looked for before open_clip is imported: without them there is no need to wait for it.
    pretrained = _resolved(architecture.name, pretrained)
    stored = None if pretrained is None else _stored(architecture, pretrained)
    clip = architecture.clip(text=text, device="cpu" if stored is None else "meta")
    expected = {key: tensor for key, tensor in clip.state_dict().items() if text or key.startswith("visual.")}
    if stored is None:
        return expected
    state = stored.state
    for key in {*_SCALARS} & {*expected} & {*state}:  # some files hold them as [1]
        if state[key].numel() == 1:
            state[key] = state[key].reshape(expected[key].shape)
    for key in expected:
        if key.endswith(".num_batches_tracked"):  # a batch norm's counter; old files lack it, and nothing reads it
            state.setdefault(key, torch.zeros((), dtype=torch.long))
    _require_plain_numbers(stored, expected, str(pretrained))
    shapes = {key: tensor.shape for key, tensor in expected.items()}
    require_same_architecture(architecture, shapes, state, source=str(pretrained))
    tensors = {key: state[key].detach() for key in expected}
    float32 = {key: (each.float() if each.is_floating_point() else each).contiguous() for key, each in tensors.items()}
    _require_finite(float32, str(pretrained))
    return float32


def _require_plain_numbers(stored: CheckpointFile, expected: Mapping[str, Tensor], source: str) -> None:
    """Refuse what is no plain tensor, and integers, complex numbers and 8-bit floats (which lack their scale)."""
    for key, tensor in expected.items():
        found = stored.state.get(key)
        kind = stored.others.get(key, "")
        if found is not None and tensor.is_floating_point() and found.dtype not in _FLOATS:
            kind = f"of type {str(found.dtype).removeprefix('torch.')}"
        if kind:
            raise UserError(
                f"The weights of {source!r} cannot be used: tensor {key!r} is {kind}. Allowed: floats of 16, 32 or 64 "
                f"bits. Save the network's state_dict() in one of these, and set `pretrained` to that file."
            )


def _require_finite(state: Mapping[str, Tensor], source: str) -> None:
    bad = {key: count for key, each in state.items() if (count := int((~torch.isfinite(each)).sum()))}
    if bad:
        key, count = next(iter(bad.items()))
        others = f" ({len(bad) - 1} more tensors have such)" if len(bad) > 1 else ""
        raise UserError(
            f"The weights of {source!r} are not finite: {count} of {state[key].numel()} numbers of tensor {key!r} are "
            f"NaN or infinite as float32{others}. The training that made them has failed, or the file is damaged: set "
            f"`pretrained` to another."
        )


def weights_digest(name: str, pretrained: str | Path | None) -> str:
    """Return the SHA-256 of the file that `pretrained` names, or `"random"` where there is none."""
    pretrained = _resolved(name, pretrained)
    if pretrained is None:
        return "random"
    path = _path_of(pretrained) or _file_of_tag(Architecture(name), str(pretrained))
    try:
        if kind := kind_of(path.stat().st_mode):
            raise UserError(f"The weights {path} are {kind}, no file with weights. Correct `pretrained`.")
        return digest_of_file(path)
    except OSError as error:
        raise UserError(f"The weights {path} cannot be read: {error.strerror}. Correct `pretrained`.") from error


def _resolved(name: str, pretrained: str | Path | None) -> str | Path | None:
    """Return `pretrained`, or the own weights of a folder or repository where it is no file."""
    own = is_model_folder(name) and (pretrained is None or _path_of(pretrained) is None)
    return folder_weights(name) if own else pretrained


def _stored(architecture: Architecture, pretrained: str | Path) -> CheckpointFile:
    path = _path_of(pretrained)
    if path is None:
        path = _file_of_tag(architecture, str(pretrained))
        if path != DEMO_WEIGHTS:
            return read_checkpoint(path)
        if not path.is_file():
            raise UserError(
                f"The weights of the demo CLIP are not there: {str(path)!r}. They ship with the package; make them "
                f"again with `kedro run --pipeline=pretrain_demo_clip`."
            )
        return CheckpointFile(unpack_demo_state(load_file(path, device="cpu")), {}, from_openai=False)
    checkpoint = read_checkpoint(path)
    if checkpoint.from_openai:
        _require_quick_gelu(architecture, str(pretrained))
    return checkpoint


def _path_of(pretrained: str | Path) -> Path | None:
    """Return the path where `pretrained` means a file, and None where it means a tag."""
    text, path = str(pretrained), user_path(pretrained, "The checkpoint is")
    means_a_file = isinstance(pretrained, Path) or path.is_file() or text.lower().endswith(WEIGHT_SUFFIXES)
    return path if means_a_file or "/" in text or "\\" in text else None


def _file_of_tag(architecture: Architecture, pretrained: str) -> Path:
    """Return the file of a tag, from a cache or downloaded."""
    name, tag = architecture.name, pretrained.lower().replace("-", "_")
    tags = [DEMO_TAG] if name == DEMO_MODEL else tags_of(name)
    if not tags:
        raise UserError(
            f"{name!r} has no published weights: set `backbone.pretrained` to the path of a weight file, or to null "
            f"for random weights."
        )
    if tag not in tags:
        raise UserError(
            f"Unknown pretrained weights {pretrained!r} for {name!r}.{nearest(tag, tags)} Allowed: its tags "
            f"{first_few(tags, 12)}, the path of an existing weight file, or null for random weights. "
            f"Correct `pretrained`."
        )
    if tag == DEMO_TAG:
        return DEMO_WEIGHTS
    facts = facts_of(name, tag)
    if facts.get("quick_gelu", False):
        _require_quick_gelu(architecture, tag)
    return published_file(f"{tag!r} of {name!r}", facts)


def _require_quick_gelu(architecture: Architecture, source: str) -> None:
    """Refuse weights trained with QuickGELU in a network that has the exact GELU: it would lose silently."""
    name, partner = architecture.name, f"{architecture.name}-quickgelu"
    if architecture.config.get("quick_gelu", False) or partner not in model_names():
        return
    raise UserError(
        f"The weights {source!r} were trained with the QuickGELU activation, and {name!r} has the exact GELU: the "
        f"features would be off without an error. Set `backbone` to {partner!r}."
    )


def pack_demo_state(state: Mapping[str, Tensor], rows: Tensor) -> dict[str, Tensor]:
    """Return the small form of the demo CLIP's state, as `safetensors` stores it.

    `rows`, int64 [R], are the token ids that training touched, in 0..V-1 (else ValueError); the embedding of every
    other token is dropped, and is zero after `unpack_demo_state`. ValueError where half precision overflows.
    """
    embedding_VT = state[_EMBEDDING]
    rows_R = torch.unique(rows.detach().cpu().long())
    if rows_R.numel() and (rows_R[0] < 0 or rows_R[-1] >= len(embedding_VT)):
        raise ValueError(f"Token ids lie in 0..{len(embedding_VT) - 1}; got {int(rows_R[0])}..{int(rows_R[-1])}.")
    stored = {key: value for key, value in state.items() if key != _EMBEDDING}
    stored[_VALUES] = embedding_VT.detach().cpu()[rows_R]
    packed = {key: value.detach().cpu().half().contiguous() for key, value in stored.items()}
    overflown = [key for key, value in packed.items() if not torch.isfinite(value).all()]
    if overflown:
        raise ValueError(f"Not finite in half precision: {', '.join(overflown[:5])}.")
    packed[_ROWS] = rows_R
    return packed


def unpack_demo_state(packed: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the full state of the demo CLIP, float32, from what `pack_demo_state` returned."""
    state = {key: value.float() for key, value in packed.items() if key not in (_ROWS, _VALUES)}
    values_RT = packed[_VALUES].float()
    state[_EMBEDDING] = torch.zeros(_VOCABULARY, values_RT.shape[1])
    state[_EMBEDDING][packed[_ROWS]] = values_RT
    return state
