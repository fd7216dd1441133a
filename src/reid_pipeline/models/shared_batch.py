"""What a tower asks where several processes share a batch, each with a part of its rows (`engine.processes`).

Rows meet behind a tower: it encodes those of its process, and all that follows sees those of the whole batch, in the
order of one process. So nothing but towers knows of parts.
"""

from typing import Protocol

from torch import Tensor, nn


class SharedBatch(Protocol):
    """The processes that share a batch; what they exchange has gradients."""

    def gathered(self, part: Tensor) -> Tensor:
        """Return the rows of all processes, in order; in the backward pass each gets the gradient of its own."""

    def own(self, whole: Tensor) -> Tensor:
        """Return the own part of the rows that all processes have; in the backward pass all get all gradients."""


class Tower(nn.Module):
    """A tower that encodes row by row; `shared` are the processes whose parts make a batch, None where one has all."""

    shared: SharedBatch | None = None
