"""One of several processes that train together: python -m reid_pipeline.workers.worker <folder of the handover>.

Its rank and the number of all are in the environment, as torchrun sets it, or Slurm's srun. The first process stores
every epoch. A restarted one goes on from the last stored epoch, to the bits of an unbroken training.
"""

import json
import logging
import os
import re
import sys
import time
import traceback
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reid_pipeline.machine_faults import machine_fault_text
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.parameters import ComputeParameters
from reid_pipeline.schema.raw_folder import RawFolder
from reid_pipeline.workers.beats import LifeLine
from reid_pipeline.workers.handover import RECORDS, Handover, Spec

if TYPE_CHECKING:
    import torch

    from reid_pipeline.engine.processes import Processes

_PATIENCE = timedelta(days=7)  # of a process that waits for another; one that is gone is noticed at once
_READ_S = 60.0  # seconds in which the head reads why training ends, and ends this process
_OTHERS = {"RANK": "SLURM_PROCID", "WORLD_SIZE": "SLURM_NTASKS", "LOCAL_RANK": "SLURM_LOCALID"}


_OF_ANOTHER = re.compile(r"gloo/transport|(closed|reset) by peer|remote process exited")
"""What gloo and nccl raise in those that wait for a process that ended; its own error is what went wrong."""


class _Records(logging.Handler):
    """Log records as lines of JSON, which the head logs as its own."""

    def __init__(self, file: Path) -> None:
        super().__init__(logging.INFO)
        self._file = file

    def emit(self, record: logging.LogRecord) -> None:
        """Append a line."""
        content = {"name": record.name, "level": record.levelno, "text": record.getMessage()}
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(content) + "\n")


def main(folder: Path, environment: Mapping[str, str]) -> int:
    """Train; return the exit status, which is 0 where a restart would end alike."""
    handover = Handover(folder)
    if handover.refusal() is not None:
        return 0
    try:
        rank, count, local = (_number(name, environment) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
    except UserError as error:
        handover.refuse(str(error))
        return 0
    life = LifeLine(folder, rank)
    life.start()
    _log_to(folder if rank == 0 else None)
    try:
        spec = handover.spec()
        if count != spec.compute.processes:
            raise UserError(
                f"compute.processes is {spec.compute.processes}, and the launcher started {count}. Let"
                " compute.launcher start as many: {processes} stands for their number."
            )
        if rank >= count:
            raise UserError(f"The launcher gives a process the number {rank}: they are 0 to {count - 1}.")
        here = int(environment.get("LOCAL_WORLD_SIZE", environment.get("SLURM_NTASKS_PER_NODE", count)))
        _train(handover, spec, life, rank, (local, here))
    except Exception as error:
        text = str(error) if isinstance(error, UserError) else machine_fault_text(error)
        if not text and _OF_ANOTHER.search(str(error)):
            sys.stderr.write(f"Process {rank} lost another one, whose end is the fault: {error}\n")
            return 1
        if not text:
            traceback.print_exc()
            return 1
        handover.refuse(text)
        time.sleep(_READ_S)
    return 0


def _train(handover: Handover, spec: Spec, life: LifeLine, rank: int, local: tuple[int, int]) -> None:
    """Train the stage with the others; `local` are the number of this process on its machine, and how many are."""
    from torch import distributed

    from reid_pipeline.engine.runtime import resolve_runtime
    from reid_pipeline.engine.training import TrainingRun, train_stage
    from reid_pipeline.images.cache import ImageCache
    from reid_pipeline.methods import find_method

    runtime = resolve_runtime(own_compute(spec.compute, *local))
    processes = _met(handover.folder, rank, spec.compute.processes, runtime.device)
    life.pulse = processes.pulse
    method = find_method(spec.method)
    run = TrainingRun(
        method,
        method.params.model_validate(spec.parameters),
        handover.table(),
        RawFolder(Path(spec.raw_root), ()),
        replace(runtime, processes=processes),
        spec.seed,
        None if spec.image_cache is None else ImageCache(Path(spec.image_cache)),
        benchmark=spec.benchmark,
        variant=spec.variant,
        auto=frozenset(spec.auto),
        whole=None if spec.whole is None else method.params.model_validate(spec.whole),
        initial=handover.initial(spec),
    )
    # All go on from the same epoch, whichever a slow disk shows to each.
    resume = processes.once(lambda: handover.resume(spec), "reading the last epoch")
    for epoch in train_stage(run, spec.stage, resume, handover.earlier(spec)):
        if processes.first:
            processes.pulse.at("storing an epoch", steady=False)
            handover.store(epoch)
    distributed.destroy_process_group()


def _met(folder: Path, rank: int, count: int, device: "torch.device") -> "Processes":
    """Wait for the other processes; return this one among them."""
    import torch
    from torch import distributed

    from reid_pipeline.engine.processes import Processes

    on_gpu = device.type == "cuda"
    if on_gpu:
        torch.cuda.set_device(device)
    addressed = {"MASTER_ADDR", "MASTER_PORT"} <= os.environ.keys()
    meeting = "env://" if addressed else f"file://{(folder / 'meeting').absolute()}"
    backend = "nccl" if on_gpu else "gloo"
    distributed.init_process_group(backend, init_method=meeting, rank=rank, world_size=count, timeout=_PATIENCE)
    return Processes(rank, count, distributed.group.WORLD, device)


def own_compute(compute: ComputeParameters, local: int, here: int) -> ComputeParameters:
    """Return where one of the `here` processes of a machine computes: a GPU of its own, or a part of the cores."""
    import torch

    own: dict[str, Any] = {"processes": 1, "image_memory": max(1, compute.image_memory // here)}
    if compute.device in ("auto", "cuda") and torch.cuda.is_available():
        own["device"] = f"cuda:{local}"
    if not compute.threads:
        own["threads"] = max(1, (os.cpu_count() or 1) // here)
    return compute.model_copy(update=own)


def _number(name: str, environment: Mapping[str, str]) -> int:
    """Return a number that the launcher has set."""
    for each in (name, _OTHERS[name]):
        if (given := environment.get(each)) is not None:
            if given.isascii() and given.isdigit():
                return int(given)
            raise UserError(f"The launcher sets {each} to {given!r}, which is no number from 0.")
    raise UserError(f"The launcher sets neither {name} nor {_OTHERS[name]}: torchrun and srun do.")


def _log_to(folder: Path | None) -> None:
    """Hand the log lines of the first process to the head; the others say what the first one says."""
    logging.captureWarnings(capture=True)
    root = logging.getLogger()
    root.handlers = [logging.NullHandler() if folder is None else _Records(folder / RECORDS)]
    root.setLevel(logging.INFO)


if __name__ == "__main__":
    ended = main(Path(sys.argv[1]), os.environ)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(ended)  # what a training leaves in memory takes seconds to tear down
