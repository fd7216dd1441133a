"""Numbers that are not finite, found before they are stored or gone on from."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import nn

from reid_pipeline.schema.errors import UserError


class NotFinite(UserError):  # noqa: N818 - says what was found, as ClusteringCollapse does
    """A loss, a weight or an embedding is NaN or infinite."""


class NonFiniteLoss(NotFinite):
    """A loss became NaN or infinite; the optimiser step was not taken."""


class NonFiniteWeights(NotFinite):
    """An epoch left weights, buffers or optimiser state that are NaN or infinite; it is not yielded."""


class NonFiniteTensors(NamedTuple):
    """How many tensors of how many hold such a value, and the name of the first."""

    number: int
    total: int
    first: str

    def __str__(self) -> str:
        return f"{self.number} of {self.total} tensors, the first {self.first}"


def non_finite_tensors(state: Any) -> NonFiniteTensors | None:
    """Return what is not finite in nested mappings and lists of tensors; None where all is.

    Each tensor is read once: NaN and infinity make its sum NaN or infinite. Only where the sum is so is each value
    looked at, since finite ones can overflow.
    """
    named = list(_floating_tensors(state, ""))
    found = [name for name, each in named if not each.sum().isfinite() and not each.isfinite().all()]
    return NonFiniteTensors(len(found), len(named), found[0]) if found else None


def require_finite(model: nn.Module, what: str, remedy: str) -> None:
    """Refuse (NotFinite) a model whose weights or buffers are not finite; `what` names them."""
    found = non_finite_tensors(model.state_dict())
    if found is not None:
        raise NotFinite(f"{what} are not finite: {found}. {remedy}")


def _floating_tensors(value: Any, name: str) -> Iterator[tuple[str, torch.Tensor]]:
    if isinstance(value, torch.Tensor):
        if value.is_floating_point():
            yield name, value.detach()
        return
    items = value.items() if isinstance(value, Mapping) else enumerate(value if isinstance(value, list | tuple) else ())
    for key, each in items:
        yield from _floating_tensors(each, f"{name}.{key}" if name else str(key))
