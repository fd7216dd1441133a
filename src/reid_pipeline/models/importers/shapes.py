"""The kinds and shapes that the tensors beside a release's tower must have."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from reid_pipeline.schema.errors import UserError

SIDE = "cv_embed"
_NECK_PARTS = ("weight", "bias", "running_mean", "running_var")
_AXES = {
    SIDE: ("rows", "width"),
    "classifier.weight": ("identities", "width"),
    "prompt_learner.cls_ctx": ("identities", "tokens", "width"),
    "prompt_learner.token_prefix": ("1", "tokens", "width"),
    "prompt_learner.token_suffix": ("1", "tokens", "width"),
    **{f"{neck}.{part}": ("width",) for neck in ("bottleneck", "bottleneck_proj") for part in _NECK_PARTS},
}
"""Names of the axes, by tensor."""


def require_shapes(file: Path, named: Mapping[str, Tensor], *, width: int | None) -> None:
    """Refuse tensors of other axes than a release's, empty ones, and whole numbers, which nobody learns.

    Args:
        file: that messages name.
        named: all tensors, without what wraps their names.
        width: of the side information; None where the tower has none, and the table does not count.

    Raises:
        UserError: it names tensor and shape.
    """
    for name in _AXES.keys() & named.keys():
        tensor, axes = named[name], _AXES[name]
        if not tensor.is_floating_point():
            raise UserError(
                f"The checkpoint {str(file)!r} cannot be imported: {name} {list(tensor.shape)} holds numbers of type"
                f" {str(tensor.dtype).removeprefix('torch.')}, and a release stores real ones. Get the file again."
            )
        if tensor.ndim != len(axes) or not tensor.numel():
            raise _wrong(file, name, tensor, ", ".join(axes))
    if width is not None and SIDE in named and named[SIDE].shape[1] != width:
        raise _wrong(file, SIDE, named[SIDE], f"rows, {width}")


def _wrong(file: Path, name: str, tensor: Tensor, wanted: str) -> UserError:
    return UserError(
        f"The checkpoint {str(file)!r} cannot be imported: {name} has the shape {list(tensor.shape)}, and a release"
        f" stores it as [{wanted}]. Get the whole file."
    )
