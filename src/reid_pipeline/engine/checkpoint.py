"""A trained stage as it is stored: tensors, and a description that says what they are."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from reid_pipeline.engine.best_model import exported_tensors
from reid_pipeline.schema.digests import digest_of_buffers, digest_of_json
from reid_pipeline.schema.records import StageDescription


@dataclass(frozen=True)
class Checkpoint:
    """The model that a stage's training gave: its state dict, on the CPU, and its origin."""

    tensors: Mapping[str, torch.Tensor]
    description: StageDescription

    def digest(self) -> str:
        """Return the digest of the tensors."""
        return digest_of_tensors(self.tensors)


def digest_of_tensors(tensors: Mapping[str, torch.Tensor]) -> str:
    """Return the SHA-256 of the tensors' names, types, shapes and bytes."""
    flat = (
        (name, list(each.shape), each.detach().cpu().contiguous().flatten()) for name, each in sorted(tensors.items())
    )
    return digest_of_buffers(
        (name, str(each.dtype), shape, each.view(torch.uint8).numpy().data if len(each) else b"")
        for name, shape, each in flat
    )


def checkpoint_of(state: Mapping[str, Any]) -> Checkpoint:
    """Return the checkpoint of the last state that `train_stage` yielded: of the best model, where one was measured."""
    tensors = {name: tensor.detach().cpu().clone() for name, tensor in exported_tensors(state).items()}
    description = StageDescription.model_validate(state["description"])
    origin = description.origin.replace(digest=digest_of_tensors(tensors))
    return Checkpoint(tensors, description.model_copy(update={"origin": origin}))


def digest_of_state(state: Any) -> str:
    """Return the SHA-256 of nested mappings and lists of tensors and plain values."""
    tensors: dict[str, Any] = {}
    return digest_of_json([_without_tensors(state, "", tensors), digest_of_tensors(tensors)])


def _without_tensors(value: Any, name: str, tensors: dict[str, Any]) -> Any:
    """Return the value with each tensor replaced by its name, and put the tensors into `tensors`."""
    if isinstance(value, torch.Tensor):
        tensors[name] = value
        return name
    if isinstance(value, Mapping):
        return [[str(key), _without_tensors(each, f"{name}/{key}", tensors)] for key, each in value.items()]
    if isinstance(value, list | tuple):
        return [_without_tensors(each, f"{name}/{place}", tensors) for place, each in enumerate(value)]
    return repr(value)
