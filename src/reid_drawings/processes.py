"""Drawing by several processes, in an order that does not depend on how many there are; how such processes end."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from typing import TypeVar

Given = TypeVar("Given")
Chunk = TypeVar("Chunk")
Drawn = TypeVar("Drawn")


def map_chunks(
    draw: Callable[[Given, Chunk], Drawn], parameters: Given, chunks: Sequence[Chunk], processes: int | None
) -> Iterator[Drawn]:
    """Draw chunk after chunk.

    Args:
        draw: a function of a module, called with the parameters and a chunk.
        parameters: what is drawn.
        chunks: parts of the work.
        processes: how many processes draw; None takes the cores this process may use.

    Yields:
        what `draw` returned, in the chunks' order.
    """
    workers = min(processes or usable_cores(), len(chunks))
    if workers <= 1:
        for chunk in chunks:
            yield draw(parameters, chunk)
        return
    # "spawn": a forked child of a process that runs torch's threads may hang.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=end_with_parent) as pool:
        with unseen_ctrl_c():
            drawn = pool.map(draw, [parameters] * len(chunks), chunks)
        yield from drawn


@contextmanager
def unseen_ctrl_c() -> Iterator[None]:
    """Let processes that begin in the block never get Ctrl-C, which reaches all: this one, which gets it, ends them."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_with_parent() -> None:
    """End this process, from now on, as soon as the one that started it is gone, killed or not."""
    threading.Thread(target=_watch_parent, daemon=True).start()


def _watch_parent() -> None:
    if parent := parent_process():
        parent.join()
        os._exit(1)


def usable_cores() -> int:
    """How many cores this process may use.

    Returns:
        at least 1.
    """
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return max(1, os.cpu_count() or 1)
