"""Memory and time of an image tower's forward and backward pass on a batch in chunks, beside the undivided batch.

    .venv/bin/python bench/chunks.py [--backbone ViT-B-16-quickgelu] [--batch 16] [--sizes 1 4 8] [--repeats N]

The CPU knows the peak of a process's memory alone, so that sizes are measured from the smallest to the whole batch.
Printed is what the peak has grown by since the tower was built: activations, and gradients of the weights, which no
chunk makes smaller. Weights are random: they cost the same. Time is the median of a pass; a second forward pass of
every chunk makes it a third longer, if a backward pass costs twice a forward one.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from measures import resident
from training import Setting, median_seconds, tower_pass

from reid_pipeline.engine.runtime import Runtime
from reid_pipeline.models.backbone import build_image_encoder


@dataclass(frozen=True)
class Row:
    """Images at once; seconds of a pass; MiB that the peak has grown by."""

    size: int
    seconds: float
    grown: float


def rows(encoder: torch.nn.Module, setting: Setting, sizes: list[int]) -> Iterator[Row]:
    """Yield a row for every size, the whole batch last."""
    before = resident()
    for size in [*sorted(sizes), setting.batch]:
        encoder.chunk_size = size if size < setting.batch else None
        seconds = median_seconds(tower_pass(encoder, setting), setting.steps, setting.runtime.device)
        yield Row(size, seconds, resident() - before)


def main(arguments: list[str] | None = None) -> None:
    """Measure every size, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--backbone", default="ViT-B-16-quickgelu")
    parser.add_argument("--image-size", type=int, nargs=2, default=[256, 128])
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 4, 8])
    parser.add_argument("--repeats", type=int, default=2)
    given = parser.parse_args(arguments)
    height, width = given.image_size
    encoder = build_image_encoder(given.backbone, image_size=(height, width))
    setting = Setting(Runtime(torch.device("cpu")), {}, given.batch, given.repeats, ())
    found = list(rows(encoder, setting, given.sizes))
    whole = found[-1]
    gradients = sum(value.numel() * value.element_size() for value in encoder.parameters()) / 2**20
    print(f"{given.backbone}, {given.batch} images; gradients take {gradients:.0f} MiB of each")
    print(f"{'at once':>8} {'s a pass':>9} {'x':>5} {'MiB grown':>10} {'x':>5}")
    for row in found:
        slower, smaller = row.seconds / whole.seconds, row.grown / max(whole.grown, 1e-9)
        print(f"{row.size:>8} {row.seconds:>9.3f} {slower:>5.2f} {row.grown:>10.0f} {smaller:>5.2f}")


if __name__ == "__main__":
    main()
