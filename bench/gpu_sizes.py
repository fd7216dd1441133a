"""What bench/gpu.py measures with: sizes, drawn images, methods on them, rows of its table, the time it may take."""

import hashlib
import time
from collections import namedtuple
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ingestion import write_jpegs

from reid_pipeline.config.loader import LayeredConfigLoader
from reid_pipeline.engine.loading import decoding_threads
from reid_pipeline.engine.runtime import Runtime
from reid_pipeline.engine.stage import Stage, TrainingData
from reid_pipeline.images.cache import ImageCache
from reid_pipeline.images.decode import TargetSize
from reid_pipeline.images.reid_images import DecodedImages, ReIDImages
from reid_pipeline.methods import find_method
from reid_pipeline.schema.nested import merged
from reid_pipeline.schema.population import Population
from reid_pipeline.settings import CONFIG_LOADER_ARGS

ROOT = Path(__file__).resolve().parents[1]
CAMERAS = 6
WIDE = 62  # of the names in the table
Known = namedtuple("Known", ["labels", "eps"])


@dataclass(frozen=True)
class Sizes:
    """How much is measured. `FULL` has Market-1501's counts and image size; `TINY` shows on a CPU that all of it runs.

    Attributes:
        jpeg: height and width of a file.
        image: those of what the tower gets.
        step_batches: of the training steps, the first also of all else.
        steps: timed ones; a few untimed ones come before.
        epoch: steps of an epoch of the long run, which has three.
        sides: of the square matrices.
        search: share of Market-1501's test split.
        workers: of the plain style's loader.
    """

    backbone: str
    images: int
    identities: int
    jpeg: tuple[int, int]
    image: tuple[int, int]
    step_batches: tuple[int, ...]
    steps: int
    epoch: int
    sides: tuple[int, ...]
    search: float
    workers: int


FULL = Sizes("ViT-B-16-quickgelu", 12_936, 751, (128, 64), (256, 128), (256, 64), 12, 200, (4096, 8192, 16384), 1.0, 8)
TINY = Sizes("demo-vit", 48, 8, (32, 16), (32, 16), (8,), 1, 2, (64,), 0.01, 0)


@dataclass(frozen=True)
class Row:
    """A line of the table; what does not apply is None.

    Attributes:
        rate: images per second.
        flops: computed a second.
        outside: share of the time that is neither forward nor backward pass.
        memory: peak bytes of tensors on the device.
        waits: how often a step made the host wait for the device.
    """

    name: str
    rate: float | None = None
    flops: float | None = None
    outside: float | None = None
    memory: int | None = None
    waits: int | None = None
    note: str = ""


@dataclass
class Bench:
    """What all parts share: the machine, the sizes, the images, and what was found so far."""

    sizes: Sizes
    runtime: Runtime
    folder: Path
    compiler: str
    matmul: float | None = None  # operations a second of a plain matrix product
    rates: dict[str, float] = field(default_factory=dict)  # images per second that later parts compare with
    _names: list[str] = field(default_factory=list)

    @property
    def device(self) -> torch.device:
        """Where it is measured."""
        return self.runtime.device

    def wait(self) -> None:
        """Wait until the device has done what it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def seconds(self, work: Any, repeats: int) -> float:
        """Return the mean time of a call, the first two left out; the device is waited for at both ends alone."""
        for _ in range(min(2, repeats)):
            work()
        self.wait()
        began = time.perf_counter()
        for _ in range(repeats):
            work()
        self.wait()
        return (time.perf_counter() - began) / repeats

    def files(self) -> list[str]:
        """Return the names of the JPEGs in `folder`, which are drawn at the first call: seeded, all different."""
        if not self._names:
            self._names = write_jpegs(self.folder, self.sizes.images, *self.sizes.jpeg)
        return self._names

    def data(self, *, each: int | None = None, source: str = "memory") -> TrainingData:
        """Return the images with identities and cameras; with `each`, the first few of every identity.

        `source`: "memory" (decoded once), "cache" (on disk, decoded before) or "jpeg" (decoded at every use).
        """
        sizes, target = self.sizes, TargetSize(*self.sizes.image)
        labels = np.arange(sizes.images) % sizes.identities
        count = sizes.images if each is None else min(sizes.images, each * sizes.identities)
        cameras = np.random.default_rng(0).integers(0, CAMERAS, count)
        names = self.files()[:count]
        cached = self._cached(names, target) if source == "cache" else None
        limit = 0 if source == "jpeg" else 2_000_000_000
        images = ReIDImages(self.folder, names, target, memory_limit=limit, threads=decoding_threads(), cached=cached)
        images.pinned = self.device.type == "cuda"
        return TrainingData(images, labels[:count], cameras, self.runtime, 0, viewids=cameras % 2)

    def _cached(self, names: list[str], target: TargetSize) -> DecodedImages:
        digests = {hashlib.sha256((self.folder / name).read_bytes()).hexdigest(): self.folder / name for name in names}
        stored = ImageCache(self.folder / "cache").of_size(target)
        stored.fill(digests, limit=10**12, threads=decoding_threads())
        found = stored.places()
        return DecodedImages(stored.pixels(), np.array([found[digest] for digest in digests]))

    def parameters(self, name: str, *, batch: int, steps: int, epochs: int = 1) -> Any:
        """Return a method's published parameters with the tower, batch and length of a measurement."""
        base = published()[name]
        instances = min(base["plan"]["instances"], batch // 2)
        plan = {"epochs": epochs, "iterations_per_epoch": steps, "warmup_epochs": 0, "milestones": []}
        plan |= {"batch_size": batch, "instances": instances}
        backbone = {"name": self.sizes.backbone, "pretrained": None, "image_size": list(self.sizes.image)}
        small: dict[str, Any] = {"backbone": backbone | {"patch_stride": None, "sie": "none"}, "plan": plan}
        if "prompts" in base:
            small["prompts"] = {"plan": plan | {"instances": None, "warmup_learning_rate": None}}
        return find_method(name).params.model_validate(merged(base, small))

    def built(self, name: str, **options: int) -> tuple[Any, list[Stage[Any]]]:
        """Return a method's model on the device, and its stages; random weights give no clusters, see `clustered`."""
        torch.manual_seed(0)
        parameters, method = self.parameters(name, **options), find_method(name)
        model = method.build(parameters, Population(self.sizes.identities, cameras=CAMERAS, views=2))
        stages = list(method.stages(parameters))
        for stage in stages:
            if hasattr(stage, "_cluster"):
                stage._cluster = lambda _, data: clustered(data)
        return model.to(self.device), stages


@cache
def published() -> dict[str, Any]:
    """Return the parameters of conf/base."""
    parameters: dict[str, Any] = LayeredConfigLoader(str(ROOT / "conf"), "base", **CONFIG_LOADER_ARGS)["parameters"]
    return parameters


def clustered(data: TrainingData) -> Known:
    """Return identities in the place of clusters: a step costs the same."""
    return Known(data.labels, 0.5)


def table(rows: Iterable[Row], matmul: float | None) -> str:
    """Return the rows as aligned text."""
    heads = ("images/s", "TFLOP/s", "of matmul", "outside", "GiB", "waits")
    lines = [f"{'':<{WIDE}}" + "".join(f"{head:>10}" for head in heads)]
    for row in rows:
        shown = (
            "" if row.rate is None else f"{row.rate:,.1f}",
            "" if row.flops is None else f"{row.flops / 1e12:.2f}",
            "" if row.flops is None or not matmul else f"{row.flops / matmul:.0%}",
            "" if row.outside is None else f"{row.outside:.0%}",
            "" if row.memory is None else f"{row.memory / 2**30:.1f}",
            "" if row.waits is None else f"{row.waits}",
        )
        lines.append(f"{row.name:<{WIDE}}{''.join(f'{value:>10}' for value in shown)}  {row.note}".rstrip())
    return "\n".join(lines)


@dataclass
class Budget:
    """The time that the program may take, and the parts that it left out."""

    seconds: float
    began: float = field(default_factory=time.perf_counter)
    left_out: list[str] = field(default_factory=list)

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self.seconds - (time.perf_counter() - self.began)

    def allows(self, name: str, seconds: float) -> bool:
        """Return whether a part that takes about so long still fits; note it if not."""
        if seconds <= self.left:
            return True
        self.left_out.append(f"{name}: takes about {seconds:.0f} s, {max(0.0, self.left):.0f} s were left")
        return False


def with_precision(data: TrainingData, precision: str) -> TrainingData:
    """Return the data for another precision."""
    return replace(data, runtime=replace(data.runtime, precision=precision))


def groups(count: int, batch: int) -> Iterator[np.ndarray]:
    """Yield all rows in shuffled batches, without the remainder."""
    order = np.random.default_rng(0).permutation(count)
    for start in range(0, count - batch + 1, batch):
        yield order[start : start + batch]
