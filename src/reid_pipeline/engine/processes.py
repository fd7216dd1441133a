"""The processes that train one model together: who they are, which rows are whose, and what they exchange.

Each has a part of every batch, contiguous, ragged or empty. What is sampled is sampled for the whole batch by each.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar, cast

import numpy as np
import torch
from torch import Tensor

from reid_pipeline.engine.pulse import Pulse
from reid_pipeline.engine.sent import packed, unpacked
from reid_pipeline.images.augment import BatchPart

T = TypeVar("T")
_TYPES = (
    torch.float32,
    torch.float64,
    torch.bfloat16,
    torch.float16,
    torch.int64,
    torch.int32,
    torch.uint8,
    torch.bool,
)
_BUCKET = 1 << 23
"""Numbers that are summed over the processes at once: a copy of so many is held."""


@dataclass(frozen=True)
class Processes:
    """One of `count` processes, by its `rank`; a process alone exchanges nothing, and imports no torch.distributed.

    Attributes:
        rank: of this process, from 0; the first one decides and stores.
        count: of all.
        group: torch's process group, by which they exchange tensors; None for one process.
        device: where tensors lie while they are exchanged: the CPU with gloo, the GPU of the process with nccl.
        pulse: what this process is doing.
    """

    rank: int = 0
    count: int = 1
    group: Any = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    pulse: Pulse = field(default_factory=Pulse, compare=False)

    @property
    def alone(self) -> bool:
        """Whether there is one process only."""
        return self.count == 1

    @property
    def first(self) -> bool:
        """Whether this is the process that decides and stores."""
        return self.rank == 0

    def part(self, total: int) -> BatchPart:
        """Return the part of this process of `total` rows: as `numpy.array_split` cuts, the first ones longer."""
        each, longer = divmod(total, self.count)
        start = self.rank * each + min(self.rank, longer)
        return BatchPart(start, each + (self.rank < longer), total)

    def own_rows(self, rows: np.ndarray) -> np.ndarray:
        """Return the part of this process of a batch's rows."""
        return self.part(len(rows)).of(rows)

    def gathered(self, part: Tensor) -> Tensor:
        """Return the rows of all processes, in order; in the backward pass each gets the gradient of its own.

        The gradient is not summed: what follows is computed alike by all, from the same rows.
        """
        return cast("Tensor", _Gathered.apply(part, self))

    def own(self, whole: Tensor) -> Tensor:
        """Return the own part of rows that all processes have; in the backward pass all get the gradient of all."""
        return whole if self.alone else cast("Tensor", _Own.apply(whole, self))

    def summed(self, value: Tensor) -> Tensor:
        """Return the sum over all processes, whose gradient is the sum of theirs."""
        return cast("Tensor", _Summed.apply(value, self))

    def rows_of_all(self, own: Tensor) -> tuple[Tensor, int]:
        """Return the rows [sum of n, ...] of tensors [n, ...] of all processes, in order, and where the own ones begin.

        Bits are moved, whatever the type. A process without rows need not know the shape of a row.
        """
        if self.alone:
            return own, 0
        described = self._shapes(own)
        counts = [shape[0] for shape, _ in described]
        shape, dtype = next((each for each in described if each[0][0]), described[0])
        row = shape[1:]
        width = dtype.itemsize * int(np.prod(row, dtype=np.int64))
        sent = torch.zeros(max(counts), width, dtype=torch.uint8, device=self.device)
        if len(own):
            sent[: len(own)] = own.detach().to(self.device).contiguous().reshape(len(own), -1).view(torch.uint8)
        received = [torch.empty_like(sent) for _ in range(self.count)]
        self._wait(partial(self.group.allgather, [received], [sent]))
        whole = torch.cat([each[:count] for each, count in zip(received, counts, strict=True)])
        return whole.view(dtype).reshape(-1, *row).to(own.device), sum(counts[: self.rank])

    def sum_in_place(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors by their sums over all processes, in buckets of one type."""
        if self.alone:
            return
        for bucket in _buckets(tensors):
            flat = torch.cat([each.flatten() for each in bucket])
            self._wait(partial(self.group.allreduce, [flat]))
            start = 0
            for each in bucket:
                each.copy_(flat[start : start + each.numel()].view_as(each))
                start += each.numel()

    def copy_first(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors by those of the first process."""
        if self.alone:
            return
        for each in tensors:
            sent = each.detach().to(self.device).contiguous()  # an optimiser has some of its numbers on the CPU
            self._wait(partial(self.group.broadcast, sent.flatten().view(torch.uint8), 0))
            each.detach().copy_(sent)

    def once(self, compute: Callable[[], T], doing: str = "what one process does for all") -> T:
        """Return in all processes what `compute` returns in the first one, which alone calls it, or raise what it does.

        It returns tensors, arrays and plain values, in mappings, lists and tuples (`engine.sent`).
        """
        if self.alone:
            return compute()
        found: Any = None
        if self.first:
            self.pulse.at(doing, steady=False)
            try:
                found = compute()
            except Exception as error:  # handed to all processes, which raise it
                found = error
        found = self._of_first(found)
        if isinstance(found, Exception):
            raise found
        return cast("T", found)

    def _shapes(self, own: Tensor) -> list[tuple[tuple[int, ...], torch.dtype]]:
        """Return shape and type of the tensor of each process, which has 8 axes at most."""
        described = [_TYPES.index(own.dtype), own.ndim, *own.shape]
        sent = torch.tensor(described + [0] * (10 - len(described)), device=self.device)
        received = [torch.empty_like(sent) for _ in range(self.count)]
        self._wait(partial(self.group.allgather, [received], [sent]))
        rows = (each.tolist() for each in received)
        return [(tuple(row[2 : 2 + row[1]]), _TYPES[row[0]]) for row in rows]

    def _of_first(self, own: Any) -> Any:
        """Return what the first process gives."""
        content = bytearray(packed(own) if self.first else b"")
        length = torch.tensor([len(content)], device=self.device)
        self._wait(partial(self.group.broadcast, length, 0))
        sent = torch.empty(int(length), dtype=torch.uint8)
        if self.first:
            sent = torch.frombuffer(content, dtype=torch.uint8)
        sent = sent.to(self.device)
        self._wait(partial(self.group.broadcast, sent, 0))
        if self.first:
            return own
        return unpacked(sent.cpu().numpy().tobytes())

    def _wait(self, begin: Callable[[], Any]) -> None:
        with self.pulse.waiting():
            begin().wait()


ALONE = Processes()
"""One process, which trains as if there were no others."""


class _Gathered(torch.autograd.Function):
    """Rows of all processes; backward: the own rows of the gradient."""

    @staticmethod
    def forward(context: Any, part: Tensor, processes: Processes) -> Tensor:
        whole, start = processes.rows_of_all(part)
        context.rows = slice(start, start + len(part))
        return whole

    @staticmethod
    def backward(context: Any, *gradients: Any) -> tuple[Tensor, None]:
        return gradients[0][context.rows].contiguous(), None


class _Own(torch.autograd.Function):
    """The own part of rows; backward: the gradients of all parts."""

    @staticmethod
    def forward(context: Any, whole: Tensor, processes: Processes) -> Tensor:
        context.processes = processes
        return processes.part(len(whole)).of(whole).clone()

    @staticmethod
    def backward(context: Any, *gradients: Any) -> tuple[Tensor, None]:
        return context.processes.rows_of_all(gradients[0])[0], None


class _Summed(torch.autograd.Function):
    """The sum over all processes, forward and backward."""

    @staticmethod
    def forward(context: Any, value: Tensor, processes: Processes) -> Tensor:
        context.processes = processes
        made = value.clone()
        processes.sum_in_place([made])
        return made

    @staticmethod
    def backward(context: Any, *gradients: Any) -> tuple[Tensor, None]:
        made = gradients[0].clone()
        context.processes.sum_in_place([made])
        return made, None


def _buckets(tensors: Sequence[Tensor]) -> list[list[Tensor]]:
    """Return the tensors in their order, in groups of one type that hold about as much as is summed at once."""
    made: list[list[Tensor]] = []
    held = 0
    for each in tensors:
        if not made or made[-1][-1].dtype != each.dtype or held + each.numel() > _BUCKET:
            made.append([])
            held = 0
        made[-1].append(each)
        held += each.numel()
    return made
