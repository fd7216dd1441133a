"""Training steps for bench/gpu.py: those of the engine, on a batch that lies ready, or with the loader."""

import itertools
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from unittest import mock

import torch
from gpu_sizes import Bench, Row
from torch.nn.attention import SDPBackend, sdpa_kernel

from reid_pipeline.engine import loop
from reid_pipeline.engine.runtime import device_peak_memory
from reid_pipeline.engine.stage import Batch, Stage, TrainingData

WARM = 3  # steps that are not timed, and that compile
PASSES = {"svll_reid": 3}  # pictures of an image that the tower encodes in a step of the last stage
BACKWARD = 2  # a backward pass computes twice what a forward pass does: gradients of inputs, and of weights
FUSED = {
    "flash": SDPBackend.FLASH_ATTENTION,
    "memory-efficient": SDPBackend.EFFICIENT_ATTENTION,
    "cuDNN": SDPBackend.CUDNN_ATTENTION,
}


@dataclass(frozen=True)
class Switches:
    """What is switched on: compiled blocks, an optimiser of one kernel, deterministic kernels."""

    compiled: bool = False
    fused: bool = False
    deterministic: bool = False

    def __str__(self) -> str:
        return "".join(f", {name}" for name, on in vars(self).items() if on)


PLAIN, BEST = Switches(), Switches(compiled=True, fused=True)


def blocks(model: torch.nn.Module) -> list[torch.nn.Module]:
    """Return the transformer blocks of both towers; the last of each is called part by part, and stays as it is."""
    return [module for module in model.modules() if type(module).__name__ == "ResidualAttentionBlock"]


def optimiser_builder(fused: bool) -> Callable[..., torch.optim.Optimizer]:
    """Return the engine's `build_optimiser`, its kernels fused into one, or as torch decides (foreach on a card)."""
    build, kind = loop.build_optimiser, True if fused else None

    def built(groups: Iterable[dict[str, Any]], plan: Any, **_: Any) -> torch.optim.Optimizer:
        as_is: Any = build(groups, plan)
        prepared = [group | {"fused": kind, "foreach": None} for group in as_is.param_groups]
        made: torch.optim.Optimizer = type(as_is)(prepared, lr=plan.learning_rate, fused=kind)
        return made

    return built


@contextmanager
def switched(bench: Bench, model: torch.nn.Module, switches: Switches) -> Iterator[None]:
    """Compile the blocks one by one (they share their code) and set optimiser and kernels, for a block of code."""
    torch.use_deterministic_algorithms(switches.deterministic, warn_only=True)
    torch.backends.cudnn.deterministic = switches.deterministic
    try:
        with as_written(model), mock.patch.object(loop, "build_optimiser", optimiser_builder(switches.fused)):
            if switches.compiled:
                torch.compiler.reset()
                for block in blocks(model):
                    block.compile(backend=bench.compiler, dynamic=False)
            yield
    finally:
        torch.use_deterministic_algorithms(False)
        torch.backends.cudnn.deterministic = False


@contextmanager
def as_written(model: torch.nn.Module) -> Iterator[None]:
    """Call the blocks as they are written, for a block of code."""
    compiled = {block: block._compiled_call_impl for block in blocks(model)}
    for block in compiled:
        block._compiled_call_impl = None
    try:
        yield
    finally:
        for block, call in compiled.items():
            block._compiled_call_impl = call


class Clock:
    """An epoch's batches with a clock at the steps that are done with them.

    Attributes:
        seconds: of a step, the mean of those after the first `WARM`; the device is waited for at both ends.
        waits: how often the step before these made the host wait for the device; None on the CPU.
        last: the last batch.
    """

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.seconds = 0.0
        self.waits: int | None = None
        self.last: Batch | None = None

    def over(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Yield the batches; what the consumer does in between is what is timed."""
        began = done = 0.0
        for number, batch in enumerate(batches):
            if number == WARM:
                self.bench.wait()
                began = time.perf_counter()
            if number == WARM - 1 and self.bench.device.type == "cuda":
                with waiting_noted() as seen:
                    yield batch
                self.waits = sum("called a synchronizing" in str(each.message) for each in seen)
            else:
                yield batch
            done, self.last = number + 1 - WARM, batch
        self.bench.wait()
        self.seconds = (time.perf_counter() - began) / done


@contextmanager
def waiting_noted() -> Iterator[list[Any]]:
    """Yield a list that gets a warning whenever the host waits for the CUDA device."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield seen
        finally:
            torch.cuda.set_sync_debug_mode("default")


def clocked(bench: Bench, stage: Stage[Any], model: Any, data: TrainingData, batches: Iterable[Batch]) -> Clock:
    """Train an epoch of these batches by the engine, and return the clock."""
    clock = Clock(bench)

    def epoch_batches(*_: Any) -> Iterator[Batch]:
        return clock.over(batches)

    if bench.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(bench.device)
    with mock.patch.object(stage, "epoch_batches", epoch_batches):
        for _ in loop.fit(stage, model, data):
            pass
    return clock


def both_passes(stage: Stage[Any], model: Any, batch: Batch, data: TrainingData) -> Callable[[], None]:
    """Return the forward and backward pass of a step, with its losses, and nothing else."""

    def run() -> None:
        with data.runtime.autocast():
            output = stage.step(model, batch)
        torch.stack(list(output.losses.values())).sum().backward()
        model.zero_grad(set_to_none=True)

    model.train()
    return run


def forward_flops(encoder: Any, *, whole: bool) -> float:
    """Return the operations of a ViT's forward pass for one image, a multiplication and an addition being two.

    Of each block with L tokens of width D and a hidden width M: `8 L D^2` for queries, keys, values and the output,
    `4 L^2 D` for the attention, `4 L D M` for the MLP. Patches: `2 (L - 1) 3 p^2 D`; projection: `2 D E`. Unless
    `whole`, the last block has keys and values of all tokens, and all else of the class token alone, as ours computes.
    """
    tokens = encoder.grid_size[0] * encoder.grid_size[1] + 1
    convolution, (*_, last) = encoder.visual.conv1, encoder.visual.transformer.resblocks
    width, hidden = convolution.out_channels, last.mlp.c_fc.out_features
    count = len(encoder.visual.transformer.resblocks)
    block = 8 * tokens * width**2 + 4 * tokens**2 * width + 4 * tokens * width * hidden
    one_token = 4 * tokens * width**2 + 4 * width**2 + 4 * tokens * width + 4 * width * hidden
    patches = 2 * (tokens - 1) * convolution.weight[0].numel() * width
    return float((count - 1) * block + (block if whole else one_token) + patches + 2 * width * encoder.projected_width)


def training_flops(encoder: Any, *, whole: bool = False) -> float:
    """Return the operations of a forward and a backward pass for one image."""
    return (1 + BACKWARD) * forward_flops(encoder, whole=whole)


def step_rows(bench: Bench, name: str, batch: int, wanted: Iterable[Switches]) -> Iterator[Row]:
    """Yield a row for each stage of a method and each of the `wanted` switches, on a batch that lies ready."""
    data = bench.data(each=4)
    model, stages = bench.built(name, batch=batch, steps=WARM + bench.sizes.steps)
    wanted = tuple(wanted)
    for stage in stages:
        stage.begin(model, data)
        ready = next(iter(stage.epoch_batches(model, data, 1)))
        images = ready.images.ndim == 4  # prompts are learnt from stored features, without the image tower
        flops = PASSES.get(name, 1) * training_flops(model.encoder) if images else None
        for switches in wanted:
            title = f"{name}, {stage.name}, {batch}{switches}"
            yield guarded(bench, title, partial(_row, bench, title, (stage, model, data, ready), switches, flops))


def _row(bench: Bench, title: str, trained: tuple[Any, ...], switches: Switches, flops: float | None) -> Row:
    stage, model, data, ready = trained
    with switched(bench, model, switches):
        clock = clocked(bench, stage, model, data, itertools.repeat(ready, WARM + bench.sizes.steps))
        memory = device_peak_memory(bench.device)
        passes = bench.seconds(both_passes(stage, model, ready, data), bench.sizes.steps)
    rate = len(ready.images) / clock.seconds
    bench.rates[title] = rate
    computed = None if flops is None else flops * rate
    return Row(title, rate, computed, 1 - passes / clock.seconds, memory, clock.waits)


def guarded(bench: Bench, title: str, measured: Callable[[], Row]) -> Row:
    """Return what is measured, or a row that says why it could not be: memory, or a compiler that is not there."""
    try:
        return measured()
    except Exception as error:
        if bench.device.type == "cuda":
            torch.cuda.empty_cache()
        reason = next(iter(str(error).strip().splitlines()), "")
        return Row(title, note=f"not measured: {type(error).__name__}: {reason[:160]}")


def with_loader(bench: Bench, name: str, source: str, switches: Switches) -> Row:
    """Measure whole steps of a method's last stage: load, augment, copy, pass, update."""
    batch, steps = bench.sizes.step_batches[0], WARM + 2 * bench.sizes.steps
    data = bench.data(source=source)
    model, stages = bench.built(name, batch=batch, steps=steps)
    stage = stages[-1]
    batches = stage.epoch_batches(model, data, 1)
    with switched(bench, model, switches):
        clock = clocked(bench, stage, model, data, batches)
        memory, last = device_peak_memory(bench.device), clock.last
        assert last is not None
        passes = bench.seconds(both_passes(stage, model, last, data), bench.sizes.steps)
    title = f"{name} with loader, {source}, {batch}{switches}"
    rate = batch / clock.seconds
    bench.rates[title] = rate
    flops = PASSES.get(name, 1) * training_flops(model.encoder) * rate
    return Row(title, rate, flops, 1 - passes / clock.seconds, memory, clock.waits)


def attention_rows(bench: Bench) -> Iterator[Row]:
    """Yield both passes of the bare tower by the attention that torch selects, by each fused one, and written out."""
    model, _ = bench.built("unsupervised_pcl", batch=bench.sizes.step_batches[0], steps=1)
    encoder, batch = model.encoder.train(), bench.sizes.step_batches[0]
    images = torch.randn(batch, 3, *encoder.image_size, device=bench.device)

    def passes() -> None:
        with bench.runtime.autocast():
            loss = sum(feature.float().square().mean() for feature in encoder.encode_image(images))
        loss.backward()
        encoder.zero_grad(set_to_none=True)

    def row(title: str, backends: list[SDPBackend]) -> Row:
        with sdpa_kernel(backends):
            rate = batch / bench.seconds(passes, bench.sizes.steps)
        return Row(title, rate, rate * training_flops(encoder))

    usable = [*FUSED.values(), SDPBackend.MATH]
    for name, backends in {"as torch selects": usable, **{k: [v] for k, v in FUSED.items()}}.items():
        title = f"bare tower, attention {name}, {batch}"
        yield guarded(bench, title, partial(row, title, backends))
    title = f"bare tower, attention written out, {batch}"
    yield guarded(bench, title, partial(row, title, [SDPBackend.MATH]))
