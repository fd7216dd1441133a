"""Compiled loops: how a kernel is declared, and how rows are distributed to threads.

Numba takes half a second to load, so modules of kernels import this one at their top and are themselves
imported inside functions.
"""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar, cast

Kernel = TypeVar("Kernel", bound=Callable[..., Any])
Part = TypeVar("Part")
Result = TypeVar("Result")


def compiled(function: Kernel) -> Kernel:
    """Compile `function` at its first call, store the machine code on disk, and run without Python's lock.

    No `fastmath`: a result has the same bits wherever the kernel is inlined or vectorised. Kernels that call each
    other stand in one file, since numba's cache only looks at the file of the caller.
    """
    from numba import njit

    return cast("Kernel", njit(cache=True, nogil=True)(function))


def worker_count() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_threads(work: Callable[[Part], Result], parts: Iterable[Part]) -> list[Result]:
    """Return `work(part)` for every part, in order, by threads of Python: numba's are unsafe after a fork."""
    with ThreadPoolExecutor(worker_count()) as pool:
        return list(pool.map(work, parts))


def even_parts(total: int) -> list[tuple[int, int]]:
    """Split `range(total)`, total above 0, into (start, stop), a part for each core."""
    step = -(-total // worker_count())
    return [(start, min(start + step, total)) for start in range(0, total, step)]
