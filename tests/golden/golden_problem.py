"""What the golden runs read: images, weights and parameters, the same on every machine.

Images and weights follow from integer arithmetic alone: no random stream of numpy or torch, no version of
Pillow and no drawing of this project decides about them.
"""

import hashlib
import json
import math
import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import yaml

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
ARCHITECTURE = HERE / "golden-vit.json"
TRAIN, TEST, CAMERAS, SHOTS = range(8), range(8, 13), range(3), range(3)
BLOCKS, BLOCK = (4, 2), 8
METHODS = ("zero_shot", "baseline", "clip_reid", "pcl", "svll_reid", "unsupervised_pcl")


@dataclass(frozen=True)
class Run:
    """A golden run.

    Attributes:
        method: the pipeline.
        environment: of conf/, and the name of the benchmark.
        camera_aware: what `unsupervised_pcl.camera_aware.kind` is there.
    """

    method: str
    environment: str = "golden"
    camera_aware: str = "none"


RUNS = {name: Run(name) for name in METHODS} | {
    f"unsupervised_pcl_{kind}": Run("unsupervised_pcl", f"golden_{kind}", kind) for kind in ("cap", "o2cap")
}


def make_project(root: Path) -> None:
    """Make a project folder: the configuration of this one, and what the golden runs read."""
    shutil.copytree(ROOT / "conf", root / "conf")
    shutil.copy(ROOT / "pyproject.toml", root)
    shutil.copy(ROOT / ".telemetry", root)
    (root / "src").mkdir()  # the package is imported from where the tests import it
    write_images(root / "data/01_raw/golden")
    write_weights(root / "golden_clip.safetensors")
    for run in RUNS.values():
        write_environment(root, run)


def write_environment(root: Path, run: Run) -> None:
    """Write the conf environment of a run; environments differ in their globals alone."""
    folder = root / "conf" / run.environment
    shutil.copytree(HERE / "conf", folder, dirs_exist_ok=True)
    named = {
        "benchmark": run.environment,
        "camera_aware": run.camera_aware,
        "weights": str(root / "golden_clip.safetensors"),
    }
    (folder / "globals.yml").write_text(yaml.safe_dump(named))


def hashed(name: str, count: int) -> np.ndarray:
    """Return uint64 [count], splitmix64 counted on from the SHA-256 of a name."""
    start = np.uint64(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big"))
    x = start + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def pixels(identity: int, camera: int, shot: int) -> np.ndarray:
    """Return uint8 [32, 16, 3]: the identity's blocks of colour, the camera's tint, and some noise."""

    def drawn(what: str, count: int, limit: int) -> np.ndarray:
        return (hashed(what, count) % np.uint64(limit)).astype(np.int64)

    height, width = (blocks * BLOCK for blocks in BLOCKS)
    colours = 60 + drawn(f"identity {identity}", BLOCKS[0] * BLOCKS[1] * 3, 136).reshape(*BLOCKS, 3)
    image = colours.repeat(BLOCK, axis=0).repeat(BLOCK, axis=1)
    image = image + drawn(f"camera {camera}", 3, 31) - 15
    where = f"shot {identity} {camera} {shot}"
    image = image + drawn(f"{where} light", 1, 25) - 12
    image = image + drawn(where, height * width * 3, 41).reshape(height, width, 3) - 20
    return np.clip(image, 0, 255).astype(np.uint8)


def every_image() -> list[tuple[str, int, int, str, np.ndarray]]:
    """Return path, identity, camera, split and pixels of every image."""
    found = []
    for identity in (*TRAIN, *TEST):
        for camera in CAMERAS:
            for shot in SHOTS:
                split = "train" if identity in TRAIN else "gallery" if shot else "query"
                path = f"images/{identity:02d}_{camera}_{shot}.png"
                found.append((path, identity, camera, split, pixels(identity, camera, shot)))
    return found


def write_images(folder: Path) -> None:
    """Write the images as PNG files, and the manifest that lists them (docs/own_data.md)."""
    from PIL import Image

    lines = ["path,pid,camid,split"]
    (folder / "images").mkdir(parents=True)
    for path, identity, camera, split, image in every_image():
        Image.fromarray(image).save(folder / path)
        lines.append(f"{path},{identity},{camera},{split}")
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")


def clip_weights() -> dict[str, np.ndarray]:
    """Return the tensors of a CLIP by open_clip's names, float32: uniform numbers of a usual spread."""
    import open_clip
    import torch

    with torch.device("meta"):
        clip = open_clip.CLIP(**json.loads(ARCHITECTURE.read_text()))
    return {name: _tensor(name, tuple(value.shape)) for name, value in clip.state_dict().items()}


def _tensor(name: str, shape: tuple[int, ...]) -> np.ndarray:
    count = math.prod(shape)
    uniform = (hashed(name, count) >> np.uint64(40)).astype(np.float32) / np.float32(2**23) - np.float32(1)
    if name == "logit_scale":
        return np.full(shape, 2.5, np.float32)
    if len(shape) < 2:
        centre = 1 if ".ln_" in f".{name}" and name.endswith("weight") else 0
        return (np.float32(centre) + np.float32(0.125) * uniform).reshape(shape)
    if "embedding" in name:
        return (np.float32(0.25) * uniform).reshape(shape)
    inputs = shape[0] if name.endswith(("proj", "text_projection")) else math.prod(shape[1:])
    return (np.float32(math.sqrt(3 / inputs)) * uniform).reshape(shape)


def write_weights(path: Path) -> None:
    """Write the weights, and make their architecture known to open_clip."""
    import open_clip
    from safetensors.numpy import save_file

    open_clip.add_model_config(ARCHITECTURE)
    save_file(clip_weights(), path)


@cache
def input_digests() -> dict[str, str]:
    """Return the digests of pixels and weights, which are the same everywhere."""
    images, weights = hashlib.sha256(), hashlib.sha256()
    for path, *_, image in every_image():
        images.update(path.encode() + image.tobytes())
    for name, value in sorted(clip_weights().items()):
        weights.update(name.encode() + value.tobytes())
    return {"images": images.hexdigest(), "weights": weights.hexdigest()}
