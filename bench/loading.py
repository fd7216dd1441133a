"""Images per second and core: from JPEG files to augmented tensors, beside the usual per-image pipelines.

    .venv/bin/python bench/loading.py [--quick] [--files N] [--repeats N]

JPEGs in the shapes of Market-1501 (128 x 64) and MSMT17 (300 x 130 stands for its mean) are drawn and become
256 x 128. All files lie in the memory of the operating system, and all runs in one thread. The usual
pipelines take one image at a time: open, resize (bicubic), flip, pad, crop, to a tensor, normalise, erase; by
Pillow, and by torchvision's v2 transforms on the tensors of its own decoder. Ours decodes by Pillow, resizes
by torch and augments batches of 64. All take turns. Time is that of the processor, which other work on the
machine disturbs least, and of the fastest round; waiting for a disk is not in it.
"""

import argparse
import hashlib
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from reid_pipeline.images.augment import augment, normalise
from reid_pipeline.images.cache import ImageCache
from reid_pipeline.images.decode import TargetSize, read_image
from reid_pipeline.images.reid_images import DecodedImages, ReIDImages
from reid_pipeline.schema.parameters import AugmentationParameters, BackboneParameters

sys.path.insert(0, str(Path(__file__).parent))
from ingestion import write_jpegs

TARGET = TargetSize(256, 128)
BATCH = 64
SHAPES = {"Market-1501": (128, 64), "MSMT17": (300, 130)}
BACKBONE = BackboneParameters(name="demo-vit")
AUGMENTATION = AugmentationParameters()
USUAL = "usual pipeline, Pillow"

Work = Callable[[], Any]


def usual_transforms(kind: str) -> Callable[[Any], torch.Tensor]:
    """Return the per-image training transforms of torchvision: v1 for Pillow's images, v2 for tensors."""
    from torchvision import transforms
    from torchvision.transforms import v2

    size, fill = (TARGET.height, TARGET.width), AUGMENTATION
    package: Any = transforms if kind == "pillow" else v2
    to_float = [transforms.ToTensor()] if kind == "pillow" else [v2.ToDtype(torch.float32, scale=True)]
    return package.Compose(  # type: ignore[no-any-return]
        [
            package.Resize(size, interpolation=transforms.InterpolationMode.BICUBIC, antialias=True),
            package.RandomHorizontalFlip(fill.flip),
            package.Pad(fill.padding),
            package.RandomCrop(size),
            *to_float,
            package.Normalize(BACKBONE.pixel_mean, BACKBONE.pixel_std),
            package.RandomErasing(fill.erasing, scale=fill.erasing_area, ratio=(0.3, 1 / 0.3)),
        ]
    )


def decoded_by_torchvision(path: Path) -> torch.Tensor:
    from torchvision.io import ImageReadMode, decode_jpeg, read_file

    return decode_jpeg(read_file(str(path)), mode=ImageReadMode.RGB)


def per_image(one: Callable[[Path], Any], paths: Sequence[Path]) -> Work:
    """Return the work of doing `one` for every path, and stacking what are tensors batch by batch."""

    def work() -> None:
        for start in range(0, len(paths), BATCH):
            made = [one(path) for path in paths[start : start + BATCH]]
            if isinstance(made[0], torch.Tensor) and made[0].is_floating_point():
                torch.stack(made)

    return work


def in_batches(images: Callable[[], ReIDImages], then: Callable[[torch.Tensor], Any]) -> Work:
    """Return the work of loading every image in shuffled batches, each of which `then` gets."""

    def work() -> None:
        loaded = images()
        rows = np.random.default_rng(0).permutation(len(loaded))
        for start in range(0, len(rows), BATCH):
            then(loaded.batch(rows[start : start + BATCH]))

    return work


def again(times: int, one: Callable[[], Any]) -> Work:
    """Return the work of doing `one` several times, keeping no result: memory that is new takes time."""

    def work() -> None:
        for _ in range(times):
            one()

    return work


def cached_images(root: Path, names: Sequence[str], folder: Path) -> ReIDImages:
    """Fill a cache and return the images that come from it."""
    digests = {hashlib.sha256((root / name).read_bytes()).hexdigest(): root / name for name in names}
    stored = ImageCache(folder).of_size(TARGET)
    stored.fill(digests, limit=10**12, threads=1)
    places = np.array([stored.places()[digest] for digest in digests])
    return ReIDImages(root, names, TARGET, cached=DecodedImages(stored.pixels(), places), threads=1)


def works(root: Path, names: Sequence[str], folder: Path) -> dict[str, Work]:
    """Return what is measured, by the name of its row."""
    paths = [root / name for name in names]
    pillow, tensors = usual_transforms("pillow"), usual_transforms("tensors")
    resize = tensors.transforms[0]  # type: ignore[attr-defined]
    generator = torch.Generator()
    cached = cached_images(root, names, folder / "cached")
    loaded = cached.batch(np.arange(min(BATCH, len(names))))
    fills = iter(range(10**9))

    def opened(path: Path) -> Image.Image:
        return Image.open(path).convert("RGB")

    def augmented(batch: torch.Tensor) -> torch.Tensor:
        return augment(batch, BACKBONE, AUGMENTATION, generator)

    def fresh() -> ReIDImages:
        return ReIDImages(root, names, TARGET, memory_limit=0, threads=1)

    rounds = -(-len(names) // BATCH)
    return {
        "decode, Pillow": per_image(opened, paths),
        "decode, torchvision": per_image(decoded_by_torchvision, paths),
        "decode and resize, Pillow": per_image(
            lambda path: opened(path).resize((TARGET.width, TARGET.height), Image.Resampling.BICUBIC), paths
        ),
        "decode and resize, torchvision v2": per_image(lambda path: resize(decoded_by_torchvision(path)), paths),
        "decode and resize, ours": per_image(lambda path: read_image(path, TARGET), paths),
        USUAL: per_image(lambda path: pillow(opened(path)), paths),
        "usual pipeline, torchvision v2": per_image(lambda path: tensors(decoded_by_torchvision(path)), paths),
        "ours, no cache": in_batches(fresh, augmented),
        "ours, from the cache": in_batches(lambda: cached, augmented),
        "cache: fill": lambda: cached_images(root, names, folder / str(next(fills))),
        "cache: gather": in_batches(lambda: cached, lambda batch: batch),
        "augmentation alone": again(rounds, lambda: augmented(loaded)),
        "normalisation alone": again(rounds, lambda: normalise(loaded, BACKBONE.pixel_mean, BACKBONE.pixel_std)),
    }


def measure(measured: dict[str, Work], repeats: int) -> dict[str, float]:
    """Return the processor's seconds in the fastest round of each; they take turns."""
    seconds = dict.fromkeys(measured, float("inf"))
    for _ in range(repeats):
        for name, work in measured.items():
            began = time.process_time()
            work()
            seconds[name] = min(seconds[name], time.process_time() - began)
    return seconds


def table(seconds: dict[str, float], files: int) -> str:
    """Return the rows as text; `x usual` is how many times faster than the usual pipeline of Pillow."""
    lines = [f"{'':<36} {'images/s':>10} {'us/image':>10} {'x usual':>9}"]
    for name, value in seconds.items():
        ratio = seconds[USUAL] / value
        lines.append(f"{name:<36} {files / value:>10,.0f} {value / files * 1e6:>10.1f} {ratio:>9.2f}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=1_280)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="few files, once: does it run?")
    given = parser.parse_args()
    files, repeats = (min(given.files, 70), 1) if given.quick else (given.files, given.repeats)
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", category=DeprecationWarning)  # of torchvision's decoder
    with tempfile.TemporaryDirectory(prefix="loading-") as folder:
        for name, (height, width) in SHAPES.items():
            root = Path(folder) / name
            root.mkdir()
            names = write_jpegs(root, files, height, width)
            size = sum((root / file).stat().st_size for file in names) / files
            print(f"{name}'s shape: {height} x {width}, {size / 1000:.1f} KB each, to 256 x 128")
            print(table(measure(works(root, names, root), repeats), files), flush=True)
            print()
    if hasattr(os, "getloadavg"):
        print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
