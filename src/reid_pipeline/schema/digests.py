"""SHA-256 of what is stored: JSON values, arrays, files."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np


def digest_of_json(value: Any) -> str:
    """Return the SHA-256 of a JSON value, whatever its mappings' order; a ValueError for NaN and infinity."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def digest_of_arrays(arrays: Mapping[str, np.ndarray]) -> str:
    """Return the SHA-256 of named arrays: names, types, shapes and bytes enter."""
    return digest_of_buffers(
        (name, str(array.dtype), list(array.shape), np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
        for name, array in sorted(arrays.items())
    )


def digest_of_buffers(buffers: Iterable[tuple[str, str, list[int], Any]]) -> str:
    """Return the SHA-256 of (name, type, shape, bytes) in the order given."""
    digest = hashlib.sha256()
    for name, kind, shape, content in buffers:
        digest.update(f"{name} {kind} {shape}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def digest_of_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes; an unchanged file is not read twice."""
    facts = path.stat()
    return _digest_of_file(path.resolve(), facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)


@lru_cache(maxsize=64)
def _digest_of_file(path: Path, size: int, modified: int, changed: int) -> str:  # noqa: ARG001 - the key
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
