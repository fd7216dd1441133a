"""What a process is doing, so that one that stands still can be named: where it is, and whether it waits for others."""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Beat:
    """What one look at a pulse shows.

    Attributes:
        where: in words, such as "step 5 of epoch 2".
        moves: how often that has changed.
        waits: whether the process waits for another.
        steady: whether what it does takes about as long each time; a clustering or the first decoding does not.
    """

    where: str
    moves: int
    waits: bool
    steady: bool


class Pulse:
    """Where a process is; noted by its main thread, read by another."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._where, self._moves, self._waits, self._steady = "the beginning", 0, False, False

    def at(self, where: str, *, steady: bool = True) -> None:
        """Note where the process is now."""
        with self._lock:
            self._where, self._moves, self._steady = where, self._moves + 1, steady

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Within the block the process waits for others."""
        self._waits = True
        try:
            yield
        finally:
            with self._lock:
                self._waits, self._moves = False, self._moves + 1

    def beat(self) -> Beat:
        """Return where it is."""
        with self._lock:
            return Beat(self._where, self._moves, self._waits, self._steady)
