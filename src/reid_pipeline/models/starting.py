"""A model that starts from another: it takes the tower of an embedder, at its own input size, and necks where it can.

Shape suffixes: D width of the tower, L rows of a positional embedding.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from reid_pipeline.models.embedder import Embedder
from reid_pipeline.models.image_encoder import ImageEncoder
from reid_pipeline.models.positions import resize_positions
from reid_pipeline.models.reid_model import ReIDModel
from reid_pipeline.schema.errors import UserError

_CLASS_TOKENS = ("class_embedding", "trunk.cls_token")
_TAKEN = {"encoder", "final_neck", "projected_neck"}


def take_over(model: ReIDModel, source: Embedder, *, named: str, same_cameras: bool) -> list[str]:
    """Give a model the tower of `source`, and its necks where both are read after them; return a line on each part.

    Positions are resized to the model's grid. A table of side information is taken over if it is of the `same_cameras`
    and is used alike; else what stands in for an unknown camera becomes a part of the class token, so that the model
    embeds an image as the source embeds one of a camera that it does not know. `named` is the source in messages.

    Raises:
        UserError: the source has another tower, or one that cannot be resized to the model's input size.
    """
    own, given = model.encoder, source.encoder
    require_same_tower(own, given, named)
    state = {name: tensor.detach().clone() for name, tensor in given.visual.state_dict().items()}
    lines = list(_input_lines(own, given))
    side = list(_side_lines(own, given, state, same_cameras=same_cameras))
    if own.POSITION_KEY in state:
        state[own.POSITION_KEY] = resize_positions(state[own.POSITION_KEY], given.grid_size, own.grid_size)
    _load(own, given, state, named)
    return [*lines, *side, *_neck_lines(model, source), *_other_lines(model)]


def require_same_tower(own: ImageEncoder, given: ImageEncoder, named: str) -> None:
    """Refuse a source of another network than the model's."""
    if own.name != given.name:
        raise UserError(
            f"init_from {named} has the tower {given.name}, and this run has {own.name}: weights of one do not fit the"
            f" other. Give --params backbone.name={given.name}, or start from a model of {own.name}."
        )


def _load(own: ImageEncoder, given: ImageEncoder, state: dict[str, Tensor], named: str) -> None:
    expected = own.visual.state_dict()
    wrong = [name for name, tensor in state.items() if name in expected and tensor.shape != expected[name].shape]
    if wrong or set(state) != set(expected):
        name = next(iter([*wrong, *sorted(set(state) ^ set(expected))]))
        raise UserError(
            f"init_from {named} cannot be resized from images of {_size(given)} to {_size(own)}: tensor {name!r} of"
            f" {own.name} differs. Give --params 'backbone.image_size={list(given.image_size)}'."
        )
    own.visual.load_state_dict(state)


def _input_lines(own: ImageEncoder, given: ImageEncoder) -> Iterator[str]:
    """Yield lines on size, stride and pixels where they differ."""
    if (own.image_size, own.grid_size) != (given.image_size, given.grid_size):
        strides = "" if own.patch_stride == given.patch_stride else f", stride {given.patch_stride}"
        yield (
            f"input: trained on images of {_size(given)}{strides}; its positions are resized from"
            f" {given.grid_size[0]} x {given.grid_size[1]} to {own.grid_size[0]} x {own.grid_size[1]}"
        )
    differing = {
        f"backbone.{name}={list(getattr(given, name))}"
        for name in ("pixel_mean", "pixel_std")
        if tuple(getattr(own, name)) != tuple(getattr(given, name))
    }
    if differing:
        yield (
            f"pixels: normalised with this run's mean {own.pixel_mean} and std {own.pixel_std}; for those of its own"
            f" training give {' and '.join(sorted(differing))}"
        )


def _size(encoder: ImageEncoder) -> str:
    return f"{encoder.image_size[0]} x {encoder.image_size[1]}"


def _side_lines(
    own: ImageEncoder, given: ImageEncoder, state: dict[str, Tensor], *, same_cameras: bool
) -> Iterator[str]:
    """Take the source's side information over, or let its mean be a part of the tokens; say which."""
    table_SD = given.side_embedding
    counts = f"{given.num_cameras} cameras and {given.num_views} viewpoints"
    new = "; that of this run begins anew" if own.side_embedding is not None else ""
    if table_SD is None:
        if new:
            yield f"side information: it has none{new}"
        return
    used = ("num_cameras", "num_views", "sie_coefficient", "sie_tokens")
    if same_cameras and own.side_embedding is not None and all(getattr(own, x) == getattr(given, x) for x in used):
        with torch.no_grad():
            own.side_embedding.copy_(table_SD)
            own.side_seen.copy_(given.side_seen)
        yield f"side information of {counts}: taken over"
        return
    added_D = given.sie_coefficient * given.mean_side_information().detach()
    token = next((name for name in _CLASS_TOKENS if name in state), None)
    position = state.get(given.POSITION_KEY or "")
    if given.sie_tokens == "class" and token is not None:
        state[token] = state[token] + added_D
        yield f"side information of {counts}: left out; its mean is a part of the class token{new}"
    elif position is not None and position.shape[-2] - (token is not None) == given.grid_size[0] * given.grid_size[1]:
        state[str(given.POSITION_KEY)] = position + added_D
        yield f"side information of {counts}: left out; its mean is a part of the positions{new}"
    else:
        yield f"side information of {counts}: left out{new}"


def _neck_lines(model: ReIDModel, source: Embedder) -> Iterator[str]:
    """Take necks over where the embedding of both is read after them; say so, or why not."""
    if model.neck == source.neck == "after":
        for own, given in ((model.final_neck, source.final_neck), (model.projected_neck, source.projected_neck)):
            if own is not None and given is not None:
                own.load_state_dict(given.state_dict())
        yield "necks: taken over with their statistics"
    elif source.neck == "after":
        yield "necks: left out; this run's embedding is read before them"
    elif model.neck == "after":
        yield "necks: begin anew; its embedding is read before them"


def _other_lines(model: nn.Module) -> Iterator[str]:
    """Yield lines on the parts that no embedder has."""
    parts = [
        name for name, part in model.named_children() if name not in _TAKEN and any(True for _ in part.parameters())
    ]
    if "text_encoder" in parts:
        parts.remove("text_encoder")
        yield "text tower: that of backbone.pretrained; an embedder has none"
    if parts:
        yield f"begin anew: {', '.join(parts)}"
