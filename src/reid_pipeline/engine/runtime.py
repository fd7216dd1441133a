"""Where and how precisely to compute: device, autocast, deterministic kernels."""

import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch

from reid_pipeline.engine.processes import ALONE, Processes
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.parameters import ComputeParameters, Precision

_ON_A_CORE = 4
"""Processes that train together on one core at most: each holds a model and its optimiser."""

_DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class Runtime:
    """A resolved device and precision.

    Attributes:
        device: where tensors live.
        precision: "float32", "bfloat16" or "float16"; the latter two by autocast, weights stay float32.
        image_memory: bytes of decoded images that stay in memory.
        image_cache_limit: bytes that the cache of decoded images may take on disk; 0: there is none.
        threads: of the CPU; another number gives other bits.
        processes: that train together, this one among them.
    """

    device: torch.device
    precision: str = "float32"
    image_memory: int = 2_000_000_000
    image_cache_limit: int = 0
    threads: int = 0
    processes: Processes = ALONE

    def autocast(self) -> AbstractContextManager[Any]:
        """Run the block in mixed precision, or as it is for float32."""
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=_DTYPES[self.precision])

    def for_evaluation(self, precision: Precision) -> "Runtime":
        """Return it as test images are embedded: at `evaluation.precision`, auto being its own.

        Raises:
            UserError: the device does not compute so.
        """
        if precision == "auto":
            return self
        return replace(self, precision=_resolve_precision(precision, self.device, "evaluation.precision"))

    def gradient_scaler(self) -> torch.amp.GradScaler:
        """Return the loss scaler; it does nothing unless the precision is float16."""
        return torch.amp.GradScaler(self.device.type, enabled=self.precision == "float16")


def device_peak_memory(device: torch.device) -> int | None:
    """Return the peak bytes of this process's tensors on a CUDA device; None elsewhere."""
    return int(torch.cuda.max_memory_allocated(device)) if device.type == "cuda" else None


def resolve_runtime(parameters: ComputeParameters) -> Runtime:
    """Set torch up for the device and precision, and return them; a UserError where the machine lacks either."""
    device = _resolve_device(parameters.device)
    if parameters.processes > 1:
        _require_device_for_each(parameters, device)
    if parameters.threads:
        torch.set_num_threads(parameters.threads)
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(parameters.deterministic, warn_only=True)
        torch.backends.cudnn.deterministic = parameters.deterministic
        torch.backends.cudnn.benchmark = not parameters.deterministic
    precision = _resolve_precision(parameters.precision, device)
    return Runtime(device, precision, parameters.image_memory, parameters.image_cache_limit, torch.get_num_threads())


def _require_device_for_each(parameters: ComputeParameters, device: torch.device) -> None:
    """Refuse several processes on one GPU, and more of them than GPUs, or far more than cores, if all are here."""
    named = f"compute.processes is {parameters.processes}"
    if device.type == "mps" or parameters.device.startswith("cuda:"):
        raise UserError(
            f"{named}, and compute.device {parameters.device!r} is one device: each process takes a GPU of its own."
            " Give compute.device=cuda or cpu, or compute.processes=1."
        )
    count = torch.cuda.device_count() if device.type == "cuda" else parameters.processes
    if parameters.launcher is None and count < parameters.processes:
        raise UserError(
            f"{named}, and this machine has {count} GPU{'s' if count != 1 else ''}: each process takes one. Give"
            f" compute.processes={count}, compute.device=cpu, or a compute.launcher for several machines."
        )
    cores = os.cpu_count() or 1
    most = _ON_A_CORE * cores
    if parameters.launcher is None and device.type == "cpu" and parameters.processes > most:
        raise UserError(
            f"{named}, and this machine has {cores} core{'s' if cores != 1 else ''}: {most} are started here at most,"
            f" since each holds a model. Give compute.processes={cores}, or a compute.launcher for several machines."
        )


def _resolve_device(name: str) -> torch.device:
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    has_mps = torch.backends.mps.is_available()
    if name == "auto":
        return torch.device("cuda:0" if count else "cpu")
    device = torch.device(name)
    if (device.type == "cuda" and (device.index or 0) >= count) or (device.type == "mps" and not has_mps):
        available = ["auto", "cpu", *(f"cuda:{index}" for index in range(count)), *(["mps"] if has_mps else [])]
        raise UserError(
            f"compute.device is {name!r}, but this machine has: {', '.join(available)}."
            " Choose one of these, or install the driver and the torch build for the device."
        )
    return device


def _resolve_precision(name: str, device: torch.device, parameter: str = "compute.precision") -> str:
    if name == "auto" and device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float16"
    if name == "float16" and device.type == "cpu":
        raise UserError(
            f"{parameter} is 'float16', which the CPU does not compute in. Use 'float32', 'bfloat16' or 'auto'."
        )
    return "float32" if name == "auto" else name
