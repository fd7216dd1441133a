"""The step of unsupervised_pcl in the plain style of released code, for bench/gpu.py.

Written anew from what such code does: images one by one by Pillow and torchvision in worker processes, float16 by
autocast with a scaled loss, the whole last block, a Python loop over the memory's update that reads every similarity
back, the loss read back at every step, an optimiser as torch sets it up. The attention is torch's own there as well.
"""

import itertools
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from gpu_sizes import Bench, Row
from gpu_steps import WARM, training_flops
from PIL import Image
from torch.nn import functional as F

from reid_pipeline.engine.runtime import device_peak_memory

NAME = "unsupervised_pcl, plain style"
INSTANCES, MOMENTUM, TEMPERATURE = 16, 0.1, 0.05


class PlainImages(torch.utils.data.Dataset[Any]):
    """Images and labels, one at a time."""

    def __init__(self, bench: Bench) -> None:
        from torchvision import transforms

        self.root, self.names, size = bench.folder, bench.files(), bench.sizes.image
        self.identities = bench.sizes.identities
        self.transform = transforms.Compose(
            [
                transforms.Resize(size, interpolation=transforms.InterpolationMode.BICUBIC),
                transforms.RandomHorizontalFlip(0.5),
                transforms.Pad(10),
                transforms.RandomCrop(size),
                transforms.ToTensor(),
                transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
                transforms.RandomErasing(0.5, scale=(0.02, 0.4), ratio=(0.3, 1 / 0.3)),
            ]
        )

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, int]:
        image = Image.open(Path(self.root) / self.names[row]).convert("RGB")
        return self.transform(image), row % self.identities


def sampled_rows(bench: Bench, batches: int) -> list[int]:
    """Return the rows of PK batches, one after the other, with replacement."""
    generator = np.random.default_rng(0)
    batch, sizes = bench.sizes.step_batches[0], bench.sizes
    instances = min(INSTANCES, batch // 2)
    rows: list[int] = []
    for _ in range(batches):
        for label in generator.choice(sizes.identities, batch // instances, replace=False):
            own = np.arange(label, sizes.images, sizes.identities)
            rows.extend(generator.choice(own, instances).tolist())
    return rows


class PlainStep:
    """Model, memory, optimiser and scaler; a call is a step."""

    def __init__(self, bench: Bench) -> None:
        model, _ = bench.built("unsupervised_pcl", batch=bench.sizes.step_batches[0], steps=1)
        self.model, self.device = model.train(), bench.device
        width = model.encoder.embedding_width
        self.memory = F.normalize(torch.randn(bench.sizes.identities, width, device=bench.device), dim=1)
        self.optimiser = torch.optim.SGD(
            [value for value in model.parameters() if value.requires_grad], lr=3.5e-4, momentum=0.9, weight_decay=5e-4
        )
        # From 2^10 on: a greater scale overflows at first, and steps that are skipped cost less.
        self.scaler = torch.amp.GradScaler(self.device.type, init_scale=2.0**10, enabled=self.device.type == "cuda")
        self.half = torch.float16 if self.device.type == "cuda" else torch.bfloat16

    def __call__(self, images: torch.Tensor, labels: torch.Tensor) -> float:
        images, labels = images.to(self.device), labels.to(self.device)
        with torch.autocast(self.device.type, dtype=self.half):
            embeddings = F.normalize(self.model.embed(images), dim=1)
            loss = F.cross_entropy(embeddings @ self.memory.T / TEMPERATURE, labels)
        self.optimiser.zero_grad()
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.move_memory(embeddings.detach().float(), labels)
        return loss.item()

    def move_memory(self, embeddings: torch.Tensor, labels: torch.Tensor) -> None:
        """Blend the least similar instance of each identity into its prototype, one identity after the other."""
        members = defaultdict(list)
        for embedding, label in zip(embeddings, labels.tolist(), strict=True):
            members[label].append(embedding)
        for label, own in members.items():
            similarities = [float(embedding @ self.memory[label]) for embedding in own]
            hardest = own[int(np.argmin(similarities))]
            blended = MOMENTUM * self.memory[label] + (1 - MOMENTUM) * hardest
            self.memory[label] = blended / blended.norm()


def seconds_of(bench: Bench, step: PlainStep, batches: Iterator[Any], count: int, warm: int = WARM) -> float:
    """Return the mean time of `count` steps after the first `warm`."""
    began = 0.0
    for number in range(warm + count):
        if number == warm:
            bench.wait()
            began = time.perf_counter()
        step(*next(batches))
    bench.wait()
    return (time.perf_counter() - began) / count


def plain_rows(bench: Bench) -> Iterator[Row]:
    """Yield a row for the step on a batch that lies ready, and one with its loader."""
    batch, steps = bench.sizes.step_batches[0], bench.sizes.steps
    whole = mock.patch("reid_pipeline.models.towers.class_token_vit.first_token_after", lambda block, x: block(x)[:, 0])
    workers = bench.sizes.workers
    ahead = WARM + 2 * workers  # torch's loader has two batches a worker ready before the first step
    rows = sampled_rows(bench, ahead + 3 * steps)
    loader: Any = torch.utils.data.DataLoader(PlainImages(bench), batch, sampler=rows, num_workers=workers)
    with whole:
        step = PlainStep(bench)
        flops = training_flops(step.model.encoder, whole=True)
        if bench.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(bench.device)
        loaded = batch / seconds_of(bench, step, iter(loader), 3 * steps, ahead)
        memory = device_peak_memory(bench.device)
        ready = next(iter(loader))
        on_device = tuple(value.to(bench.device) for value in ready)
        rate = batch / seconds_of(bench, step, itertools.repeat(on_device), steps)
    for title, value in ((f"{NAME}, {batch}", rate), (f"{NAME} with loader, {workers} workers, {batch}", loaded)):
        bench.rates[title] = value
        yield Row(title, value, value * flops, memory=memory)
