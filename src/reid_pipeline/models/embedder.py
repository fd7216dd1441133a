"""The inference-only embedder: images to unit vectors, and a description it can be rebuilt from.

Shape suffixes: B images, E embedding width of the encoder.
"""

from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reid_pipeline.models.architecture import Architecture, parameters_on_meta
from reid_pipeline.models.heads import BNNeck
from reid_pipeline.models.image_encoder import ImageEncoder, TowerSettings
from reid_pipeline.models.towers import build_tower
from reid_pipeline.schema.errors import UserError, first_few, nearest
from reid_pipeline.schema.origin import Origin

_NECKS = ("before", "after")
# Parts of tensor names, and the parameters that decide such a tensor. The order counts: the tensor that depends on the
# fewest parameters says best which of them is wrong.
_DECIDING = {
    "neck.": ("neck",),
    "encoder.side_": ("num_cameras", "num_views"),
    "positional_embedding": ("image_size", "patch_stride"),
    "pos_embed": ("image_size", "patch_stride"),
    "relative_position": ("image_size", "patch_stride"),
}
_REQUIRED = ("backbone", "image_size", "patch_stride", "num_cameras", "num_views", "neck", "pixel_mean", "pixel_std")


class StateMisfitError(UserError):
    """A state does not have a tensor of the shape that the description asks for.

    Attributes:
        tensor: its name.
        found: its shape in the state; "absent" without.
        wanted: its shape by the description; "absent" without.
    """

    def __init__(self, message: str, tensor: str, found: list[int] | str, wanted: list[int] | str) -> None:
        """Make the error; `message` names the parameter to change."""
        super().__init__(message)
        self.tensor, self.found, self.wanted = tensor, found, wanted


class Embedder(nn.Module):
    """Image tower and, with `neck="after"`, two necks; always in eval mode, never tracking gradients.

    The embedding is [final, projected], or [final] of a tower without a projection, L2-normalised; before the necks
    (zero_shot, baseline, clip_reid, svll_reid) or after them (pcl, unsupervised_pcl).

    Attributes:
        origin: what it was made from; None where it is not known.
        white_value: the number that is white in the 16-bit pictures that it was made for; None: 65535.
    """

    origin: Origin | None = None
    white_value: int | None = None

    def __init__(
        self, encoder: ImageEncoder, *, neck: str = "before", necks: tuple[BNNeck, BNNeck | None] | None = None
    ) -> None:
        """Make an embedder of modules that exist; they are shared, and put in eval mode.

        `necks` are those of `final` and `projected`; `"after"` makes fresh ones where there are none.

        Raises:
            UserError: another word than "before" or "after" for `neck`.
        """
        super().__init__()
        if neck not in _NECKS:
            raise UserError(
                f"neck {neck!r} is not allowed.{nearest(str(neck), _NECKS)} Allowed: 'before' (features as they "
                f"leave the encoder) or 'after' (as they leave the necks). Correct `neck`."
            )
        self.encoder = encoder
        self.neck = neck
        self.final_neck: BNNeck | None = None
        self.projected_neck: BNNeck | None = None
        if neck == "after":
            fresh = (BNNeck(encoder.width), BNNeck(encoder.projected_width) if encoder.projects else None)
            self.final_neck, self.projected_neck = necks or fresh
        self.eval()

    def train(self, mode: bool = True) -> Self:  # noqa: ARG002
        """Stay in eval mode: an embedder does not train."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, images: Tensor, camids: Tensor | None = None, viewids: Tensor | None = None) -> Tensor:
        """Return unit vectors, float32 [B, E]; arguments and errors as for `ImageEncoder.encode_image`."""
        if any(module.training for module in self.children()):
            self.eval()  # the modules are shared with a model that was put in training mode since
        parts = list(self.encoder.encode_image(images, camids, viewids).retrieved)
        if necks := [each for each in (self.final_neck, self.projected_neck) if each is not None]:
            parts = [neck(part) for neck, part in zip(necks, parts, strict=True)]
        return F.normalize(torch.cat(parts, dim=1).float(), dim=1)

    @torch.no_grad()
    def cells(self, images: Tensor, camids: Tensor | None = None, viewids: Tensor | None = None) -> Tensor:
        """Return what the embedding were if one cell alone was read, of each cell: unit vectors, float32 [B, h * w, E].

        See `ImageEncoder.encode_cells`; the arguments are those of an embedding.
        """
        self.eval()
        parts = self.encoder.encode_cells(images, camids, viewids)
        if necks := [each for each in (self.final_neck, self.projected_neck) if each is not None]:
            shape = parts[0].shape[:2]
            parts = tuple(neck(part.flatten(0, 1)).reshape(*shape, -1) for neck, part in zip(necks, parts, strict=True))
        return F.normalize(torch.cat(parts, dim=2).float(), dim=2)

    def description(self) -> dict[str, Any]:
        """Return what `embedder_from_description` needs beside the state dict: plain JSON values."""
        values = {key: getattr(self.encoder, key) for key in TowerSettings._fields}
        return {
            "backbone": self.encoder.name,
            **({} if self.encoder.config is None else {"backbone_config": self.encoder.config}),
            **{key: list(value) if isinstance(value, tuple) else value for key, value in values.items()},
            "neck": self.neck,
            "embedding_width": self.encoder.embedding_width,
            **({} if self.white_value is None else {"white_value": self.white_value}),
        }


def embedder_from_description(description: Mapping[str, Any], state: Mapping[str, Tensor]) -> Embedder:
    """Rebuild an embedder on the CPU from its `description` and a copy of its `state_dict`.

    No pretrained weights are read, no random number is sampled; the embeddings equal the original's to the bit.

    Raises:
        UserError: the description lacks an entry, or does not fit the state; names the parameter to change.
    """
    missing = [key for key in _REQUIRED if key not in description]
    if missing:
        raise UserError(
            f"The description of the embedder lacks {first_few(missing, 8)}. Needed: {', '.join(_REQUIRED)}. Use the "
            f"description that was written beside the weights."
        )
    values = {key: description[key] for key in TowerSettings._fields if key in description}
    given: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    architecture = Architecture(description["backbone"], description.get("backbone_config"))
    settings = TowerSettings(**given)
    with parameters_on_meta():
        embedder = Embedder(build_tower(architecture, settings), neck=description["neck"])
    _require_fit(embedder, description, state)
    embedder.load_state_dict({key: value.detach().cpu().clone() for key, value in state.items()}, assign=True)
    embedder.white_value = description.get("white_value")
    return embedder


def _require_fit(embedder: Embedder, description: Mapping[str, Any], state: Mapping[str, Tensor]) -> None:
    expected = embedder.state_dict()

    def shape(tensors: Mapping[str, Tensor], key: str) -> list[int] | str:
        return list(tensors[key].shape) if key in tensors else "absent"

    wrong = [key for key in {**expected, **state} if shape(expected, key) != shape(state, key)]
    if not wrong:
        return
    key = min(wrong, key=lambda key: _blame(key)[0])
    parameters = _blame(key)[1]
    given = ", ".join(f"{name}: {description[name]}" for name in parameters)
    raise StateMisfitError(
        f"The weights do not fit the description: tensor {key!r} is {shape(state, key)} in the weights, and "
        f"{shape(expected, key)} with {given} ({len(wrong)} tensors differ). "
        f"Change {' or '.join(f'`{name}`' for name in parameters)}.",
        key,
        shape(state, key),
        shape(expected, key),
    )


def _blame(key: str) -> tuple[int, tuple[str, ...]]:
    """Return the parameters that decide presence and shape of a tensor; the fewer, the lower the number."""
    for order, (part, parameters) in enumerate(_DECIDING.items(), start=1):
        if part in key:
            return order, parameters
    return 0, ("backbone",)
