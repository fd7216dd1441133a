"""Generators derived from (seed, purpose, position): a resumed run samples as an unbroken one, without stored state."""

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def derived_seed(seed: int, *position: str | int) -> int:
    """Return a 63-bit seed for a purpose and position, such as `(0, "augment", epoch, step)`."""
    text = "/".join(str(part) for part in (seed, *position))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def numpy_generator(seed: int, *position: str | int) -> np.random.Generator:
    """Return numpy's generator for a purpose and position."""
    return np.random.default_rng(derived_seed(seed, *position))


def torch_generator(seed: int, *position: str | int) -> torch.Generator:
    """Return a CPU torch generator for a purpose and position."""
    return torch.Generator().manual_seed(derived_seed(seed, *position))


def seed_global_state(seed: int, *position: str | int) -> None:
    """Seed the global states of random, numpy and torch, for library code that reads them."""
    derived = derived_seed(seed, *position)
    random.seed(derived)
    np.random.seed(derived % 2**32)  # noqa: NPY002 - the legacy global state is what is being seeded
    torch.manual_seed(derived)


@contextmanager
def chance_as_it_was() -> Iterator[None]:
    """Let a block sample what it likes: afterwards the global states of random, numpy and torch are as before it."""
    plain, arrays = random.getstate(), np.random.get_state()  # noqa: NPY002 - see above
    with torch.random.fork_rng(devices=range(torch.cuda.device_count() if torch.cuda.is_available() else 0)):
        try:
            yield
        finally:
            random.setstate(plain)
            np.random.set_state(arrays)  # noqa: NPY002
