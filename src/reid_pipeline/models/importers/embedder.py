"""The embedder of a published model: its tensors under this project's names, and what they are run with."""

from typing import Any

import torch
from torch import Tensor

from reid_pipeline.models.embedder import Embedder, StateMisfitError, embedder_from_description
from reid_pipeline.models.importers.published import PublishedModel
from reid_pipeline.models.importers.settings import PublishedSettings
from reid_pipeline.schema.errors import UserError

_CLASS_TOKEN = "encoder.visual.class_embedding"  # noqa: S105
_NAMES = {
    "encoder.side_embedding": "cv_embed",
    "encoder.visual.": "image_encoder.",
    "final_neck.norm.": "bottleneck.",
    "projected_neck.norm.": "bottleneck_proj.",
}
_COUNTER = "num_batches_tracked"


def published_embedder(model: PublishedModel, settings: PublishedSettings) -> Embedder:
    """Return the embedder of a published model, without an origin; it embeds as the release does.

    Raises:
        UserError: a tensor is missing, or has another shape than the rest asks for.
    """
    backbone = settings.backbone
    description: dict[str, Any] = {
        "backbone": backbone.name,
        "image_size": backbone.image_size,
        "patch_stride": None if model.is_resnet else backbone.patch_stride,
        "num_cameras": settings.num_cameras,
        "num_views": settings.num_views,
        "pixel_mean": backbone.pixel_mean,
        "pixel_std": backbone.pixel_std,
        "sie_coefficient": backbone.sie_coefficient,
        "sie_tokens": backbone.sie_tokens,
        "evaluation_resize": backbone.evaluation_resize,
        "neck": model.family.neck,
    }
    try:
        return embedder_from_description(description, _state(model, settings))
    except StateMisfitError as error:
        name = _released_name(error.tensor)
        raise UserError(
            f"The checkpoint {model.file!r} cannot be imported: tensor {name} is {error.found} in it, and"
            f" {error.wanted} in a {backbone.name}. Get the whole file."
        ) from error
    except UserError as error:
        raise UserError(f"The checkpoint {model.file!r} cannot be imported. {error}") from error


def _released_name(name: str) -> str:
    """Return what a tensor of an embedder is called in a release."""
    for own, theirs in _NAMES.items():
        if name.startswith(own):
            return theirs + name.removeprefix(own)
    return name


def _is_class_token(model: PublishedModel, state: dict[str, Tensor]) -> bool:
    """Return whether the class token is as wide as the side information; another is refused with the rest."""
    rows = model.side_table
    return rows is not None and _CLASS_TOKEN in state and state[_CLASS_TOKEN].shape == rows[0].shape


def _state(model: PublishedModel, settings: PublishedSettings) -> dict[str, Tensor]:
    """Return a published model's tensors by an embedder's names."""
    state = {f"encoder.{name}": tensor.contiguous() for name, tensor in model.image_state.items()}
    if model.is_resnet:  # batch norms count their batches; old files lack it, and nothing reads it
        norms = [name for name in state if name.endswith(".running_mean")]
        state |= {
            name: state.get(name, torch.zeros((), dtype=torch.long))
            for name in (f"{norm.removesuffix('running_mean')}{_COUNTER}" for norm in norms)
        }
    elif model.side_table is not None and settings.backbone.sie != "none":
        state["encoder.side_embedding"] = model.side_table
        state["encoder.side_seen"] = torch.ones(len(model.side_table), dtype=torch.bool)
    elif model.side_table is not None and len(model.side_table) == 1 and _is_class_token(model, state):
        state[_CLASS_TOKEN] = state[_CLASS_TOKEN] + settings.backbone.sie_coefficient * model.side_table[0]
    if model.family.neck == "after":
        for place, neck in zip(("final_neck", "projected_neck"), model.necks, strict=True):
            counted = {_COUNTER: torch.zeros((), dtype=torch.long), **neck}
            state |= {f"{place}.norm.{name}": tensor for name, tensor in counted.items()}
    return state
