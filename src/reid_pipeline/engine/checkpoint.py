"""A trained stage as it is stored: tensors, and a description that says what they are."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from reid_pipeline.schema.errors import UserError, first_few


@dataclass(frozen=True)
class Checkpoint:
    """The model at the end of a stage.

    Attributes:
        tensors: the model's state dict, on the CPU.
        description: plain JSON values: method, stage, parameters, data hash, seed, code version, population
            (identities, cameras, views) and label map.
    """

    tensors: Mapping[str, torch.Tensor]
    description: Mapping[str, Any]

    def digest(self) -> str:
        """Return the SHA-256 of the tensors' names and bytes."""
        digest = hashlib.sha256()
        for name in sorted(self.tensors):
            tensor = self.tensors[name].detach().cpu().contiguous()
            digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
            digest.update(tensor.flatten().view(torch.uint8).numpy().tobytes() if tensor.numel() else b"")
        return digest.hexdigest()


def checkpoint_of(state: Mapping[str, Any]) -> Checkpoint:
    """Return the checkpoint of the last state that `train_stage` yielded."""
    tensors = {name: tensor.detach().cpu().clone() for name, tensor in state["model"].items()}
    return Checkpoint(tensors, state["description"])


def require_same_origin(checkpoint: Checkpoint, wanted: Mapping[str, Any]) -> None:
    """Refuse a stored stage that other parameters, data or another seed made.

    Only the parameters that the stage reads are compared, so that a later stage's may be changed.

    Raises:
        UserError: names each thing that differs, what the checkpoint has, and what is asked for.
    """
    found = checkpoint.description
    read = wanted["reads"] or wanted["parameters"]
    pairs = [(name, found.get(name), wanted[name]) for name in ("method", "stage", "data", "seed")]
    for name in read:
        pairs += _leaves(name, found["parameters"].get(name), wanted["parameters"][name])
    differing = [f"{name} was {old!r} and is {new!r}" for name, old, new in pairs if old != new]
    if differing:
        raise UserError(
            f"The stored stage {found.get('stage')!r} does not belong to this run: {first_few(differing)}."
            " Give the values it was trained with, or run the whole pipeline to train it anew."
        )


def _leaves(name: str, old: Any, new: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted({*old, *new}):
            yield from _leaves(f"{name}.{key}", old.get(key), new.get(key))
    else:
        yield name, old, new
