"""Compiled loops: how a kernel is declared, and how rows are distributed to threads.

Numba takes half a second to load, so modules of kernels import this one at their top and are themselves
imported inside functions.
"""

import contextlib
import os
import stat
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

Kernel = TypeVar("Kernel", bound=Callable[..., Any])
Part = TypeVar("Part")
Result = TypeVar("Result")


def compiled(function: Kernel) -> Kernel:
    """Compile `function` at its first call, store the machine code on disk, and run without Python's lock.

    No `fastmath`: a result has the same bits wherever the kernel is inlined or vectorised. Kernels that call each
    other stand in one file, since numba's cache only looks at the file of the caller.

    The machine code lies in NUMBA_CACHE_DIR where that is set, beside the module, in the user's cache folder
    (XDG_CACHE_HOME), or in a folder of the user's own among temporary files: the first of them that can be written.
    Where none can, each process compiles anew.
    """
    import numba

    config: Any = numba.config
    if not config.CACHE_DIR and not _has_home():
        config.CACHE_DIR = _temporary_cache()  # else numba makes a folder "~" in the working directory
    for _ in range(2):
        with contextlib.suppress(RuntimeError):  # no folder can be written
            return cast("Kernel", numba.njit(cache=True, nogil=True)(function))
        config.CACHE_DIR = _temporary_cache()
    return cast("Kernel", numba.njit(nogil=True)(function))


def _has_home() -> bool:
    """Return whether there is a cache folder of the user, which may be read-only."""
    if os.environ.get("XDG_CACHE_HOME"):
        return True
    try:
        return Path.home().is_absolute()
    except RuntimeError:  # neither HOME nor an entry among the machine's users
        return False


@cache
def _temporary_cache() -> str:
    """Return a folder among temporary files that nobody else could fill with code; empty where there is none."""
    if not hasattr(os, "geteuid"):
        return ""
    try:
        folder = Path(tempfile.gettempdir()) / f"reid_pipeline-{os.geteuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        found, above = folder.lstat(), folder.parent.stat()
    except OSError:
        return ""
    others_may_rename = above.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not above.st_mode & stat.S_ISVTX
    is_ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077
    return str(folder) if is_ours and not others_may_rename else ""


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
