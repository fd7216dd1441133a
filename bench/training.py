"""Images per second of a whole training step of every method, and what of it is not the bare image tower.

    .venv/bin/python bench/training.py [--device cpu] [--precision float32] [--batch N] [--steps N]

A step is all that training does with a batch: load and decode, augment, forward, loss, backward, update of
weights and prototypes. The engine itself times it, over the second epoch of a small training; the first warms
up. Files are JPEGs of 128 x 64, as Market-1501's. The bare tower is the forward and backward pass of the same
tower on a batch that lies ready. svll_reid encodes three pictures of every image in its second stage.

The plain step is `baseline` in the style of public code: Pillow and augmentation one image at a time,
attention with its weights written out, the whole last block. Two exact savings are timed on their own.
Weights are random: they cost the same. All of it runs in turn in one process; times are medians.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from reid_pipeline.config.loader import LayeredConfigLoader
from reid_pipeline.engine.loop import fit
from reid_pipeline.engine.runtime import Runtime, device_peak_memory, resolve_runtime
from reid_pipeline.engine.stage import Stage, TrainingData
from reid_pipeline.images.reid_images import ReIDImages
from reid_pipeline.methods import find_method, method_names
from reid_pipeline.models.architecture import Architecture
from reid_pipeline.models.text_encoder import TextEncoder
from reid_pipeline.schema.nested import merged
from reid_pipeline.schema.parameters import ComputeParameters
from reid_pipeline.schema.population import Population
from reid_pipeline.settings import CONFIG_LOADER_ARGS

ROOT = Path(__file__).resolve().parents[1]
IDENTITIES, INSTANCES = 16, 4
Known = namedtuple("Known", ["labels", "eps"])
OURS, PLAIN = "baseline, fine_tuning", "baseline, plain style"
PASSES = {"svll_reid": 3}  # pictures of an image that the tower encodes in a step


@dataclass(frozen=True)
class Setting:
    """What is measured: where, how precisely, which tower, on how many images at once, how often."""

    runtime: Runtime
    backbone: dict[str, Any]
    batch: int
    steps: int
    methods: tuple[str, ...]


@dataclass(frozen=True)
class Row:
    """A line of the table: images per second of a step, and the share of its time outside the bare tower."""

    name: str
    rate: float
    outside: float | None = None


def write_images(root: Path) -> list[str]:
    """Write four smooth, noisy JPEGs of each identity and return their names."""
    generator = np.random.default_rng(0)
    names = []
    for number in range(IDENTITIES * INSTANCES):
        small = generator.integers(0, 256, (16, 8, 3), dtype=np.uint8)
        names.append(f"{number:04d}.jpg")
        Image.fromarray(small).resize((64, 128), Image.Resampling.BICUBIC).save(root / names[-1], quality=90)
    return names


def training_data(root: Path, setting: Setting) -> TrainingData:
    """Return the images; none stays in memory, so that each is decoded each time."""
    size = tuple(setting.backbone["image_size"])
    images = ReIDImages(root, write_images(root), size, memory_limit=0)
    labels = np.repeat(np.arange(IDENTITIES), INSTANCES)
    cameras = np.tile(np.arange(INSTANCES), IDENTITIES)
    return TrainingData(images, labels, cameras, setting.runtime, 0, viewids=cameras % 2)


def published(name: str, setting: Setting) -> Any:
    """Return a method's published parameters with the tower, batch and length of this run."""
    loader = LayeredConfigLoader(str(ROOT / "conf"), "base", **CONFIG_LOADER_ARGS)
    base = loader["parameters"][name]
    plan = {"epochs": 2, "iterations_per_epoch": setting.steps, "warmup_epochs": 0, "milestones": []}
    plan |= {"batch_size": setting.batch, "instances": INSTANCES}
    small: dict[str, Any] = {"backbone": setting.backbone, "plan": plan}
    if "prompts" in base:
        small["prompts"] = {"plan": plan | {"instances": None, "warmup_learning_rate": None}}
    return find_method(name).params.model_validate(merged(base, small))


def built(name: str, setting: Setting) -> tuple[Any, list[Stage]]:
    """Return a method's model on the device, and its stages."""
    torch.manual_seed(0)
    parameters, method = published(name, setting), find_method(name)
    model = method.build(parameters, Population(IDENTITIES, cameras=INSTANCES, views=2))
    stages = list(method.stages(parameters))
    for stage in stages:
        if hasattr(stage, "_cluster"):
            # Random weights give no clusters; a step costs the same with identities in their place.
            stage._cluster = lambda _, data: Known(data.labels, 0.5)
    return model.to(setting.runtime.device), stages


def step_seconds(stage: Stage, model: Any, data: TrainingData) -> float:
    """Return the seconds of a step, the mean over the second epoch."""
    *_, last = fit(stage, model, data)
    iterations: int = stage.plan.iterations_per_epoch or 1
    return float(last.history[-1]["seconds"]["training"]) / iterations


def median_seconds(work: Callable[[], Any], repeats: int, device: torch.device) -> float:
    """Return the median time of a call, the first one left out."""
    seconds = []
    for _ in range(repeats + 1):
        started = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[1:])


def tower_pass(encoder: Any, setting: Setting) -> Callable[[], None]:
    """Return the forward and backward pass of the bare tower on a batch that lies ready."""
    device = setting.runtime.device
    images = torch.randn(setting.batch, 3, *encoder.image_size, device=device)
    ids = torch.zeros(setting.batch, dtype=torch.long, device=device)
    encoder.train()

    def run() -> None:
        with setting.runtime.autocast():
            features = encoder.encode_image(images, ids, ids)
            loss = sum(feature.float().square().mean() for feature in features)
        loss.backward()
        encoder.zero_grad(set_to_none=True)

    return run


def method_rows(setting: Setting, data: TrainingData) -> Iterator[Row]:
    """Yield a row for the bare tower of the first method, and one for every stage of every method."""
    device = setting.runtime.device
    for name in setting.methods:
        model, stages = built(name, setting)
        tower = median_seconds(tower_pass(model.encoder, setting), setting.steps, device)
        if name == setting.methods[0]:
            yield Row("bare tower", setting.batch / tower)
        for stage in stages:
            seconds = step_seconds(stage, model, data)
            last = stage is stages[-1]
            outside = 1 - PASSES.get(name, 1) * tower / seconds if last else None
            yield Row(f"{name}, {stage.name}", setting.batch / seconds, outside)
        del model, stages


def whole_last_block() -> Any:
    """Compute the last block for all tokens, as public code does."""
    return mock.patch("reid_pipeline.models.towers.class_token_vit.first_token_after", lambda block, x: block(x)[:, 0])


def plain_attention() -> Any:
    """Write the attention weights out, as public code on an older torch did."""
    forward = torch.nn.MultiheadAttention.forward

    def with_weights(self: Any, *args: Any, **options: Any) -> Any:
        return forward(self, *args, **options | {"need_weights": True})

    return mock.patch.object(torch.nn.MultiheadAttention, "forward", with_weights)


class PlainImages(ReIDImages):
    """Images one after the other, in the thread that trains."""

    def batches(self, groups: Iterable[np.ndarray], _part: Any = None) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
        for rows in groups:
            yield rows, torch.cat([self.batch([row]) for row in rows])


def plain_augment(images: torch.Tensor, *rest: Any, **_: Any) -> torch.Tensor:
    """Augment a batch one image at a time."""
    from reid_pipeline.images.augment import augment

    return torch.cat([augment(image[None], *rest) for image in images])


def plain_row(setting: Setting, data: TrainingData) -> Row:
    """Time `baseline`'s step in the style of public code."""
    model, (stage,) = built("baseline", setting)
    images = PlainImages(data.images.root, data.images.paths, data.images.size, memory_limit=0, threads=1)
    augmented = mock.patch("reid_pipeline.engine.batches.augment", plain_augment)
    with plain_attention(), whole_last_block(), augmented:
        return Row(PLAIN, setting.batch / step_seconds(stage, model, replace(data, images=images)))


def savings(setting: Setting) -> dict[str, float]:
    """Return how many times faster training steps of the two towers are for what they leave out."""
    device = setting.runtime.device
    model, _ = built("baseline", setting)
    run = tower_pass(model.encoder, setting)
    saved = median_seconds(run, setting.steps, device)
    with whole_last_block():
        whole = median_seconds(run, setting.steps, device)
    architecture = Architecture(setting.backbone["name"])
    text = TextEncoder(architecture, architecture.clip().state_dict()).to(device)
    short, full = (
        median_seconds(lambda length=length: text_pass(text, setting, length), setting.steps, device)
        for length in (12, text.context_length)
    )
    return {"class token alone in the last block": whole / saved, "12 tokens of a prompt": full / short}


def text_pass(text: TextEncoder, setting: Setting, length: int) -> None:
    """Run a prompt-learning step's forward and backward pass through a frozen text tower."""
    device = setting.runtime.device
    text.requires_grad_(False)
    embedded = torch.randn(setting.batch, length, text.width, device=device, requires_grad=True)
    with setting.runtime.autocast():
        loss = text.encode(embedded, length - 1).float().square().mean()
    loss.backward()


def arithmetic(setting: Setting) -> tuple[float, float]:
    """Return the tower's operations per image, forward and backward, and the device's own rate of matmuls."""
    model, _ = built("baseline", setting)
    with FlopCounterMode(display=False) as counter:
        tower_pass(model.encoder, setting)()
    device = setting.runtime.device
    side = 8192 if device.type == "cuda" else 2048
    dtype = getattr(torch, setting.runtime.precision)
    left, right = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    seconds = median_seconds(lambda: left @ right, 10, device)
    return counter.get_total_flops() / setting.batch, 2 * side**3 / seconds


def table(rows: list[Row]) -> str:
    """Return the rows as aligned text."""
    lines = [f"{'':<38} {'images/s':>10} {'outside the tower':>18}"]
    for row in rows:
        outside = "" if row.outside is None else f"{row.outside:.0%}"
        lines.append(f"{row.name:<38} {row.rate:>10.1f} {outside:>18}".rstrip())
    return "\n".join(lines)


def measure(setting: Setting) -> None:
    """Print all figures of one setting."""
    with tempfile.TemporaryDirectory() as folder:
        data = training_data(Path(folder), setting)
        rows = [*method_rows(setting, data), plain_row(setting, data)]
    print(table(rows))
    flops, matmul = arithmetic(setting)
    own, plain = (next(row.rate for row in rows if row.name == name) for name in (OURS, PLAIN))
    print(f"\nbaseline against its plain style: {own / plain:.2f} times as fast")
    for name, ratio in savings(setting).items():
        print(f"{name}: {ratio:.2f} times as fast")
    print(
        f"{flops / 1e9:.1f} GFLOP an image; baseline's step computes {flops * own / 1e12:.2f} TFLOP/s,"
        f" {flops * own / matmul:.0%} of the {matmul / 1e12:.2f} TFLOP/s of a plain matmul here"
    )
    memory = device_peak_memory(setting.runtime.device)
    print("" if memory is None else f"peak memory on the device: {memory / 2**30:.2f} GiB\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--backbone", default="ViT-B-16-quickgelu")
    parser.add_argument("--image-size", nargs=2, type=int, default=[256, 128])
    trained = [name for name in method_names() if find_method(name).stage_names]
    parser.add_argument("--methods", nargs="+", default=trained, choices=trained, help="baseline among them")
    parser.add_argument("--batch", type=int, default=None, help="default: 16 on the CPU, 64 on a GPU")
    parser.add_argument("--steps", type=int, default=None, help="default: 3 on the CPU, 40 on a GPU")
    given = parser.parse_args()
    for precision in given.precision:
        runtime = resolve_runtime(ComputeParameters(device=given.device, precision=precision))
        slow = runtime.device.type == "cpu"
        backbone = {"name": given.backbone, "pretrained": None, "image_size": given.image_size}
        backbone |= {"patch_stride": None, "sie": "none"}
        batch, steps = given.batch or (16 if slow else 64), given.steps or (3 if slow else 40)
        setting = Setting(runtime, backbone, batch, steps, tuple(given.methods))
        where = torch.cuda.get_device_name(runtime.device) if not slow else f"{os.cpu_count()} cores"
        print(f"{given.backbone}, {where}, {precision}, batches of {setting.batch}, {setting.steps} steps")
        measure(setting)


if __name__ == "__main__":
    main()
