"""A long neighbour search, watched: who follows how far it is, and where it goes on after a kill.

At a million rows the search is nearly all of the time of a clustering. What lies in the folder are candidates, whose
exact distances are computed afterwards: a search that goes on gives the same neighbours as an unbroken one.
"""

import hashlib
import logging
import os
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Report = Callable[[str, int, int], None]
"""Is called with what is being done, how much of it is done, and how much there is."""

Heaps = tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.float32]]
"""Per row the least values so far, as a heap with the greatest first, `[N, C]`; their rows `[N, C]`; the greatest
values again, `[N]`."""

_FILE = "search.npz"
_HEAPS = ("near", "far")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SearchState:
    """A search over features `[N, D]` in so many rounds, and its heaps, which each round changes."""

    features: NDArray[np.float32]
    heaps: tuple[Heaps, Heaps]
    rounds: int

    def origin(self) -> str:
        """Return a SHA-256 of the features, and of what else decides the heaps."""
        digest = hashlib.sha256(self.features.data)
        shapes = [self.features.shape, *(heap[0].shape for heap in self.heaps), self.rounds]
        digest.update(repr(shapes).encode())
        return digest.hexdigest()


@dataclass
class Watch:
    """Reports a search and, where it has a folder, stores it there every `seconds`.

    Attributes:
        report: is called from the thread that searches.
        folder: scratch of one clustering at a time, on a disk with room for 8 bytes a row and candidate (600 MB a
            million rows, for two copies); it may be removed afterwards.
        seconds: between two states that are stored.
        resumed: rounds of the last search that were in the folder.
    """

    report: Report | None = None
    folder: Path | None = None
    seconds: float = 120.0
    resumed: int = field(default=0, init=False)
    _origin: str = field(default="", init=False)
    _stored: float = field(default=0.0, init=False)

    def resume(self, state: SearchState) -> int:
        """Fill the heaps from the folder; return how many rounds are in them."""
        self._stored, self.resumed = time.monotonic(), 0
        if self.folder is None:
            return 0
        self._origin = state.origin()
        found = self._read(self.folder / _FILE)
        if found is None:
            return 0
        for name, (values, rows, greatest) in zip(_HEAPS, state.heaps, strict=True):
            values[:], rows[:] = found[f"{name}_values"], found[f"{name}_rows"]
            greatest[:] = values[:, 0]
        self.resumed = done = int(found["done"])
        _log.info("The search goes on after round %d of %d.", done, state.rounds)
        self.tell("neighbours", done, state.rounds)
        return done

    def after(self, state: SearchState, done: int) -> None:
        """Report a round, and store the heaps where it is time or the search ends."""
        self.tell("neighbours", done, state.rounds)
        if self.folder is None or (done < state.rounds and time.monotonic() - self._stored < self.seconds):
            return
        self._store(self.folder, state, done)
        self._stored = time.monotonic()

    def tell(self, what: str, done: int, total: int) -> None:
        """Report progress, if anybody asked."""
        if self.report is not None:
            self.report(what, done, total)

    def _read(self, file: Path) -> dict[str, NDArray[Any]] | None:
        """Return a state of the same search; None where there is none, with a warning where there is another."""
        if not file.is_file():
            return None
        try:
            with np.load(file, allow_pickle=False) as opened:
                if str(opened["origin"]) != self._origin:
                    _log.warning("%s is of other features or of another search: this one begins anew.", file)
                    return None
                return {name: opened[name] for name in opened.files}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            _log.warning("%s cannot be read (%s): the search begins anew.", file, error)
        return None

    def _store(self, folder: Path, state: SearchState, done: int) -> None:
        """Replace the state whole."""
        folder.mkdir(parents=True, exist_ok=True)
        content = {"origin": np.array(self._origin), "done": np.array(done)}
        for name, (values, rows, _) in zip(_HEAPS, state.heaps, strict=True):
            content |= {f"{name}_values": values, f"{name}_rows": rows}
        unfinished = folder / f".{_FILE}.{os.getpid()}"
        with unfinished.open("wb") as file:
            np.savez(file, allow_pickle=False, **content)
        unfinished.replace(folder / _FILE)
