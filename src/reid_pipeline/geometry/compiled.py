"""Compiled loops: how a kernel is declared, and how rows are shared out to threads.

Modules of kernels import this one at their top and are themselves imported inside functions: numba takes half
a second to load, and nothing that is not computed needs it.
"""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar, cast

Kernel = TypeVar("Kernel", bound=Callable[..., Any])
Part = TypeVar("Part")
Result = TypeVar("Result")


def compiled(function: Kernel) -> Kernel:
    """Compile `function` when it is first called; keep the machine code on disk; let other threads run.

    No `fastmath`: the arithmetic is that of the source, in its order, so that a result has the same bits
    wherever the kernel was inlined or vectorised. Kernels that call each other stand in one file, since
    numba's cache only looks at the file of the caller.
    """
    from numba import njit

    return cast("Kernel", njit(cache=True, nogil=True)(function))


def worker_count() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_threads(work: Callable[[Part], Result], parts: Iterable[Part]) -> list[Result]:
    """Return `work(part)` for every part, in order; kernels called by `work` run side by side.

    Python's own threads, because numba's are not safe to enter from two threads at a time or after a fork.
    """
    with ThreadPoolExecutor(worker_count()) as pool:
        return list(pool.map(work, parts))


def even_parts(total: int) -> list[tuple[int, int]]:
    """Split `range(total)`, total above 0, into (start, stop), a part for each core."""
    step = -(-total // worker_count())
    return [(start, min(start + step, total)) for start in range(0, total, step)]
