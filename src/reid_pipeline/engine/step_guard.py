"""Losses that stay on their device: one transfer for many steps, and no step is taken after one that is not finite.

To read a loss the host waits until the device has computed it, and the device then waits for the host. So on a CUDA
device the losses of several steps are read together. A flag on the device guards what comes before that: from the first
step on whose losses are not finite it is 1, and optimiser and memory, which read it there, stay as they are.

The optimiser's kernels have to read the flag: those of torch's fused optimisers do, as `found_inf`, by the protocol of
`torch.amp.GradScaler` (`torch/optim/adam.py`, `torch/optim/sgd.py`). Others cannot be guarded so.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from reid_pipeline.engine.finite import NonFiniteLoss
from reid_pipeline.engine.runtime import Runtime

READ_EVERY = 20
"""Steps whose losses are read together."""


def stays_on_device(runtime: Runtime) -> bool:
    """Return whether losses may stay where they are.

    float16 reads its scale back at every step anyway. Of several processes each would have a flag of its own.
    """
    return runtime.device.type == "cuda" and runtime.precision != "float16" and runtime.processes.alone


class StepGuard:
    """The losses that were not read yet, and the flag on their device.

    Attributes:
        stopped: float32 [], 1 from the first losses on that are not finite, else 0; None where losses are read at once.
    """

    def __init__(self, optimiser: torch.optim.Optimizer, runtime: Runtime) -> None:
        """Guard an optimiser whose kernels read the flag; for any other losses are read at every step."""
        self.stopped: Tensor | None = None
        self._optimiser: Any = optimiser
        self._unread: list[tuple[int, dict[str, Tensor]]] = []
        if stays_on_device(runtime) and getattr(optimiser, "_step_supports_amp_scaling", False):
            self.stopped = torch.zeros((), device=runtime.device)

    def note(self, step: int, losses: Mapping[str, Tensor]) -> None:
        """Take up the losses of a step, scalars, before its gradients."""
        self._unread.append((step, {name: value.detach() for name, value in losses.items()}))
        if self.stopped is not None:
            finite = torch.stack([value.detach() for value in losses.values()]).isfinite().all()
            self.stopped = torch.maximum(self.stopped, (~finite).to(self.stopped.dtype))

    @property
    def is_due(self) -> bool:
        """Whether the losses are to be read now."""
        return self.stopped is None or len(self._unread) >= READ_EVERY

    def add_to(self, totals: dict[str, float], epoch: int, state: str) -> None:
        """Add the losses that were not read yet to the sums of an epoch, by name; there is one transfer for all.

        Raises:
            NonFiniteLoss: at the first step whose losses are not finite; the message ends with `state`.
        """
        unread, self._unread = self._unread, []
        if not unread:
            return
        values = iter(torch.stack([value for _, losses in unread for value in losses.values()]).flatten().tolist())
        for step, losses in unread:
            read = {name: next(values) for name in losses}
            if not all(map(math.isfinite, read.values())):
                terms = ", ".join(f"{name} = {value}" for name, value in read.items())
                raise NonFiniteLoss(
                    f"The loss is not finite in step {step} of epoch {epoch}: {terms}. The step was not taken; {state}"
                )
            for name, value in read.items():
                totals[name] = totals.get(name, 0.0) + value

    @contextmanager
    def around_step(self) -> Iterator[None]:
        """Let the optimiser's step within the block change nothing where the flag is 1."""
        if self.stopped is None:
            yield
            return
        self._optimiser.found_inf = self.stopped
        try:
            yield
        finally:
            del self._optimiser.found_inf


def state_for(optimiser: torch.optim.Optimizer, state: Mapping[str, Any]) -> dict[str, Any]:
    """Return a stored state of an optimiser for one with kernels of its own, which those of the stored one were not.

    Which kernels compute a step is the machine's affair, but torch stores it with the groups, and with it where the
    counter of the steps has to lie.
    """
    kinds = [{name: group[name] for name in ("fused", "foreach") if name in group} for group in optimiser.param_groups]
    groups = [{**group, **kind} for group, kind in zip(state["param_groups"], kinds, strict=True)]
    return {**state, "param_groups": groups}
