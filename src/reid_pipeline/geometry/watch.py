"""A long neighbour search, watched: who follows how far it is, and where it goes on after a kill.

At a million rows the search is nearly all of the time of a clustering. What lies in the folder are candidates, whose
exact distances are computed afterwards: a search that goes on gives the same neighbours as an unbroken one.
"""

import hashlib
import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reid_pipeline.schema.errors import UserError

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
        _make_ready(self.folder)
        self._origin = state.origin()
        found = self._read(self.folder / _FILE, state)
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

    def _read(self, file: Path, state: SearchState) -> dict[str, NDArray[Any]] | None:
        """Return a state of the same search; None where there is none, with a warning where there is another."""
        if not file.exists():
            return None
        try:
            with np.load(file, allow_pickle=False) as opened:
                if str(opened["origin"]) != self._origin:
                    _log.warning("%s is of other features or of another search: this one begins anew.", file)
                    return None
                return _checked({name: opened[name] for name in opened.files}, state)
        except Exception as error:  # of a damaged file zipfile and numpy raise whatever they meet
            _log.warning("%s cannot be read (%s): the search begins anew.", file, error)
        return None

    def _store(self, folder: Path, state: SearchState, done: int) -> None:
        """Replace the state whole; where that fails, warn: the search does not need it."""
        content = {"origin": np.array(self._origin), "done": np.array(done)}
        for name, (values, rows, _) in zip(_HEAPS, state.heaps, strict=True):
            content |= {f"{name}_values": values, f"{name}_rows": rows}
        unfinished = folder / f".{_FILE}.{os.getpid()}"
        try:
            with unfinished.open("wb") as file:
                np.savez(file, allow_pickle=False, **content)
            unfinished.replace(folder / _FILE)
        except OSError as error:
            _log.warning("The state of the search cannot be stored in %s (%s): it goes on.", folder, error)
            with suppress(OSError):
                unfinished.unlink(missing_ok=True)


def _make_ready(folder: Path) -> None:
    """Make the folder, and remove what a search that was killed while it stored left there; UserError if it cannot."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(f".{_FILE}.*"):
            left.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"The folder for the state of a search cannot be used: {error}. Name another one.") from error


def _checked(found: dict[str, NDArray[Any]], state: SearchState) -> dict[str, NDArray[Any]]:
    """Return what was stored, if it is whole; else raise ValueError."""
    if not 0 <= int(found["done"]) <= state.rounds:
        raise ValueError(f"round {found['done']} of {state.rounds}")
    for name, (values, rows, _) in zip(_HEAPS, state.heaps, strict=True):
        for part, wanted in (("values", values), ("rows", rows)):
            given = found[f"{name}_{part}"]
            if (given.shape, given.dtype) != (wanted.shape, wanted.dtype):
                raise ValueError(f"{name}_{part} is {given.dtype} {list(given.shape)}")
    return found
