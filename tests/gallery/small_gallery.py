"""A small gallery for tests, and a scan for vectors in whatever lies in a folder."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from reid_pipeline.gallery import Gallery

MODEL = "a" * 64
WIDTH = 32
_KNOWN_FILES = {".npy", ".arrow", ".npz", ".hnsw", ".json", ".lock"}  # a new kind of file needs a decoding below


def units(seed: int, count: int, width: int = WIDTH) -> np.ndarray:
    """Unit vectors, float32."""
    found = np.random.default_rng(seed).standard_normal((count, width))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def clustered(seed: int, identities: int, images: int, width: int = WIDTH, noise: float = 0.5) -> np.ndarray:
    """Unit vectors around a centre for each identity, image by image of one after another."""
    near = np.repeat(units(seed, identities, width), images, axis=0)
    found = near + noise * units(seed + 1, identities * images, width)
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def rows(names: list[str], **columns: Any) -> pd.DataFrame:
    """Entries of these identities, each with a path of its own."""
    return pd.DataFrame({"path": [f"{i}_{name}.jpg" for i, name in enumerate(names)], "identity": names, **columns})


def filled(folder: Path, vectors: np.ndarray, entries: pd.DataFrame, index: Any = "exact") -> Gallery:
    """A new gallery with these entries."""
    gallery = Gallery.create(folder, model=MODEL, width=vectors.shape[1], index=index)
    gallery.enrol(vectors, entries, model=MODEL)
    return gallery


def files_with(vector: np.ndarray, folder: Path) -> set[str]:
    """Suffixes of the files below a folder in which eight consecutive components of a vector stand, in any format."""
    found = set()
    for file in folder.rglob("*"):
        if file.is_file():
            assert file.suffix in _KNOWN_FILES, file
            if any(_has_eight(values, vector) for values in _decoded(file.read_bytes())):
                found.add("".join(file.suffixes))
    return found


def _decoded(content: bytes) -> list[np.ndarray]:
    """The numbers that bytes can be read as: floats of 2, 4 and 8 bytes, wherever they begin; and those of a text."""
    parts = []
    for kind in ("<f2", "<f4", "<f8", ">f4"):
        size = np.dtype(kind).itemsize
        for start in range(size):
            end = start + (len(content) - start) // size * size
            with np.errstate(invalid="ignore", over="ignore"):
                parts.append(np.frombuffer(content[start:end], dtype=kind).astype(np.float32))
    parts.append(np.array(re.findall(rb"-?[0-9]+\.[0-9]+(?:e-?[0-9]+)?", content), dtype=np.float32))
    return parts


def _has_eight(values: np.ndarray, vector: np.ndarray) -> bool:
    with np.errstate(invalid="ignore"):
        close = np.abs(values[:, None] - vector[None]) < 1e-3 * np.abs(vector).max()
    if len(close) < 8:
        return False
    run = close[: len(close) - 7, : len(vector) - 7].copy()
    for step in range(1, 8):
        run &= close[step : len(close) - 7 + step, step : len(vector) - 7 + step]
    return bool(run.any())


def manifest(folder: Path) -> dict[str, Any]:
    """The stored manifest."""
    found: dict[str, Any] = json.loads((folder / "gallery.json").read_text())
    return found
