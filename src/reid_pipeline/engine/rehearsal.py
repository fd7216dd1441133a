"""How long a step takes, before the first one: measured without touching the model, its batch norms, or chance.

The passes are those that a stage rehearses, on the model itself: no optimiser steps, buffers are put back, gradients
dropped, and all samples come from a generator of their own.
"""

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from reid_pipeline.engine.runtime import Runtime
from reid_pipeline.engine.seeding import chance_as_it_was
from reid_pipeline.engine.stage import Batch, Stage
from reid_pipeline.engine.tower_plan import image_encoder_of
from reid_pipeline.images.augment import augment, normalise
from reid_pipeline.models.chunks import batch_norms
from reid_pipeline.models.image_encoder import ImageEncoder

FEW = 8
"""Images of the first steps, which are few on purpose: a batch of a large tower takes half a minute on a CPU."""
MEASURED_S = 4.0
"""Whole batches are measured, too, as far as they fit into so many seconds."""
_MOST = 3


@dataclass(frozen=True)
class Rehearsal:
    """What was measured of a stage.

    Attributes:
        images: of a step that was measured; fewer than a batch where that took too long.
        step_seconds: of a step of a whole batch, in proportion where fewer images were measured.
        embedding_seconds: to embed one image.
        image_bytes: what the passes of one image hold in memory, as the backward pass needs it.
    """

    images: int
    step_seconds: float
    embedding_seconds: float
    image_bytes: int


def rehearsed(
    stage: Stage[Any],
    model: nn.Module,
    runtime: Runtime,
    parameters: Any,
    *,
    ids: tuple[bool, bool] = (False, False),
    memory: int,
) -> Rehearsal:
    """Measure the steps of a stage, and the embedding of an image.

    `model`, on the runtime's device, is after it to the bit what it was. `ids` say whether images have cameras and
    viewpoints. A whole batch is measured only where half the `memory` (bytes) holds it.
    """
    encoder = image_encoder_of(model)
    if encoder is None:
        raise ValueError("There is no image tower to measure.")
    passes = _Passes(stage, model, encoder, runtime, parameters, ids)
    batch = max(2, stage.plan.batch_size)
    with untouched(model):
        held = passes.held_bytes(2)  # the first pass of all warms up, too
        images = min(FEW, batch)
        passes.step(images)
        seconds = passes.step(images) * batch / images
        fits = batch * held // 2 <= memory // 2
        if fits and batch > images and (count := min(_MOST, int(MEASURED_S / seconds))):
            images, seconds = batch, statistics.median(passes.step(batch) for _ in range(count))
        embedding = passes.embedding(images) / images
    return Rehearsal(images, seconds, embedding, held // 2)


@contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Put back what passes through a model change: buffers such as those of batch norms, gradients, mode, chance."""
    buffers = {name: each.detach().clone() for name, each in model.named_buffers()}
    modes = [(module, module.training) for module in model.modules()]
    gradients = [(each, each.grad) for each in model.parameters()]
    with chance_as_it_was():
        try:
            yield
        finally:
            with torch.no_grad():
                for name, each in model.named_buffers():
                    each.copy_(buffers[name])
            for parameter, gradient in gradients:
                parameter.grad = gradient
            for module, mode in modes:
                module.training = mode


def samples_masks(model: nn.Module) -> bool:
    """Return whether a model drops anything out at random in training: by chunks it would drop other things."""
    names = ("p", "drop_prob", "prob")
    return any(
        isinstance(rate, float) and rate > 0
        for module in model.modules()
        if "Drop" in type(module).__name__
        for rate in (getattr(module, name, 0.0) for name in names)
    )


def fitting_chunk(batch: int, image_bytes: int, memory: int, model: nn.Module) -> int | None:
    """Return the images that go through the tower at once, a power of two, where a batch needs over half the memory.

    None where it fits, and where chunks would be another training: with batch norms, and where masks are sampled.
    """
    encoder = image_encoder_of(model)
    room = memory // 2
    if encoder is None or batch * image_bytes <= room or batch_norms(encoder) or samples_masks(encoder):
        return None
    return int(1 << max(0, (room // max(1, image_bytes)).bit_length() - 1))


@dataclass
class _Passes:
    stage: Stage[Any]
    model: nn.Module
    encoder: ImageEncoder
    runtime: Runtime
    parameters: Any
    ids: tuple[bool, bool]
    _generator: torch.Generator = field(default_factory=lambda: torch.Generator().manual_seed(0))

    def step(self, images: int) -> float:
        """Return the seconds of a step, up to its gradients."""
        pixels, numbers = self._pixels(images), self._numbers(images)
        self.model.train()
        started = self._now()
        with self.runtime.autocast():
            total = self.stage.rehearse(self.model, self._batch(self._augmented(pixels), numbers))
        if total.requires_grad:
            torch.autograd.backward(total)
        seconds = self._now() - started
        self.model.zero_grad(set_to_none=True)
        return max(seconds, 1e-6)

    def embedding(self, images: int) -> float:
        """Return the seconds that it takes to embed so many images."""
        self.model.eval()
        pixels = normalise(self._pixels(images), self.encoder.pixel_mean, self.encoder.pixel_std)
        batch = self._batch(pixels, self._numbers(images))
        precise = getattr(self.parameters, "embedding_precision", "compute") == "float32"
        started = self._now()
        with torch.no_grad(), nullcontext() if precise else self.runtime.autocast():
            self.encoder.encode_image(batch.images, batch.camids, batch.viewids)
        return self._now() - started

    def held_bytes(self, images: int) -> int:
        """Return what a step of so many images holds until its backward pass."""
        own = {each.untyped_storage().data_ptr() for each in (*self.model.parameters(), *self.model.buffers())}
        held: dict[int, int] = {}

        def noted(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in own:
                held[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(noted, lambda tensor: tensor):
            self.step(images)
        return sum(held.values())

    def _pixels(self, images: int) -> Tensor:
        height, width = self.parameters.backbone.image_size
        shape = (images, 3, height, width)
        pixels = torch.randint(0, 256, shape, dtype=torch.uint8, generator=self._generator)
        return pixels.to(self.runtime.device).contiguous(memory_format=torch.channels_last)

    def _augmented(self, pixels: Tensor) -> Tensor:
        if not self.stage.work.augments:
            return normalise(pixels, self.encoder.pixel_mean, self.encoder.pixel_std)
        return augment(pixels, self.encoder, self.parameters.augmentation, self._generator)

    def _numbers(self, images: int) -> Tensor:
        return torch.zeros(images, dtype=torch.int64, device=self.runtime.device)

    def _batch(self, images: Tensor, numbers: Tensor) -> Batch:
        camids, viewids = (numbers if known else None for known in self.ids)
        return Batch(images, numbers, camids, viewids)

    def _now(self) -> float:
        if self.runtime.device.type == "cuda":
            torch.cuda.synchronize(self.runtime.device)
        return time.perf_counter()
