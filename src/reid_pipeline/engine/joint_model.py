"""One model in several processes: its towers see parts of a batch, all that follows the whole of it.

So losses, necks, heads, memories and their gradients are the same in every process. Those of a tower's own parameters
are of its part, and are summed after the backward pass. Batch norms in an image tower get the statistics of the whole
batch. A new method needs no line for this.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from reid_pipeline.engine.processes import Processes
from reid_pipeline.engine.rehearsal import samples_masks
from reid_pipeline.models.shared_batch import Tower
from reid_pipeline.schema.errors import UserError


class JointModel:
    """A model, prepared to be trained by several processes; by one it is left as it is."""

    def __init__(self, model: nn.Module, processes: Processes) -> None:
        self.model, self.processes = model, processes
        towers = [] if processes.alone else [each for each in model.modules() if isinstance(each, Tower)]
        self._partial = [value for tower in towers for value in tower.parameters()]
        self._seen = [value for tower in towers for value in tower.buffers() if value.dtype == torch.bool]
        for tower in towers:
            if samples_masks(tower):
                raise UserError(
                    "The tower drops out parts of itself at random, and each of several processes would drop others"
                    " than one does. Set compute.processes to 1, or the rates of dropping out to 0."
                )
            tower.shared = processes
            for norm in (module for module in tower.modules() if isinstance(module, _BatchNorm)):
                setattr(norm, "forward", _SharedNorm(norm, processes))  # noqa: B010 - of this module, not of its class

    def sum_gradients(self) -> None:
        """Sum the gradients of what has seen a part; one that no process has stays None."""
        moving = [value for value in self._partial if value.requires_grad]
        if not moving:
            return
        there = torch.tensor([value.grad is not None for value in moving], device=moving[0].device).float()
        for value in moving:
            if value.grad is None:
                value.grad = torch.zeros_like(value)
        self.processes.sum_in_place([there, *(value.grad for value in moving if value.grad is not None)])
        for value, count in zip(moving, there.tolist(), strict=True):
            if not count:
                value.grad = None

    def align(self, optimiser: torch.optim.Optimizer) -> None:
        """Take over model and optimiser of the first process, and what any has seen.

        Where kernels are deterministic all have the same but for the latter; others drift apart by rounding.
        """
        if self.processes.alone:
            return
        for flags in self._seen:
            counts = flags.float()
            self.processes.sum_in_place([counts])
            flags.copy_(counts > 0)
        states: list[dict[str, Any]] = list(optimiser.state.values())
        held = [value for state in states for value in state.values() if isinstance(value, Tensor)]
        self.processes.copy_first([*self.model.state_dict().values(), *held])


class _SharedNorm:
    """The forward pass of a batch norm with the statistics of all processes' rows; in evaluation its own one.

    Mean and variance are those of one process, computed in two passes, but for the order of sums. Source: Ioffe and
    Szegedy, Batch Normalization, 2015; the running variance is the unbiased one, as torch's.
    """

    def __init__(self, norm: _BatchNorm, processes: Processes) -> None:
        self.norm, self.processes, self.plain = norm, processes, norm.forward

    def __call__(self, x: Tensor) -> Tensor:
        """Return the normalised values, [B, C, ...] with any B, 0 included."""
        norm = self.norm
        if not (norm.training and torch.is_grad_enabled()):
            return self.plain(x)
        axes = [axis for axis in range(x.ndim) if axis != 1]
        wide = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
        count = self.processes.summed(wide.new_tensor([float(x.numel() // x.shape[1])]))
        shape = [-1 if axis == 1 else 1 for axis in range(x.ndim)]
        mean = self.processes.summed(wide.sum(axes)) / count
        centred = wide - mean.view(shape)
        variance = self.processes.summed(centred.square().sum(axes)) / count
        self._follow(mean.detach(), variance.detach(), count.detach())
        made = centred * torch.rsqrt(variance + norm.eps).view(shape)
        if norm.affine:
            made = made * norm.weight.view(shape) + norm.bias.view(shape)
        made = made.to(x.dtype)
        for name in ("drop", "act"):  # timm's norms have their activation in them
            made = getattr(norm, name)(made) if hasattr(norm, name) else made
        return made

    def _follow(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        """Move the running statistics."""
        norm = self.norm
        if norm.running_mean is None or norm.running_var is None or norm.num_batches_tracked is None:
            return
        norm.num_batches_tracked.add_(1)
        share = 1 / float(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
        norm.running_mean.lerp_(mean.to(norm.running_mean.dtype), share)
        unbiased = variance * count / (count - 1).clamp(min=1)
        norm.running_var.lerp_(unbiased.to(norm.running_var.dtype), share)
