"""What a run has saved for the case of a kill, removed when no training can go on from it any more."""

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import cast

from kedro.io import DataCatalog

from reid_pipeline.io.weights import TrainingStateDataset
from reid_pipeline.schema.errors import UserError


class SavedStates:
    """The resumable states of trainings that this run has saved."""

    def __init__(self, catalog: DataCatalog) -> None:
        self._catalog = catalog
        self._stamps: dict[str, tuple[int, int] | None] = {}
        self._exported: set[str] = set()

    def saved(self, name: str) -> None:
        """Record that a training's state, or an exported embedder, was saved."""
        method, _, entry = name.rpartition(".")
        if entry.endswith("_state"):
            self._stamps[name] = self._stamp(name)
        elif entry == "embedder":
            self._exported.add(method)

    def discard(self, locked: Callable[[str], AbstractContextManager[None]]) -> None:
        """Remove those of trainings that this run has also exported, unless another run has replaced them.

        `locked` gives the lock of a method's cell, or refuses.
        """
        for name, stamp in self._stamps.items():
            method = name.rpartition(".")[0]
            if stamp and method in self._exported:
                with contextlib.suppress(UserError), locked(method):
                    if stamp == self._stamp(name):
                        cast("TrainingStateDataset", self._catalog.get(name)).discard()

    def _stamp(self, name: str) -> tuple[int, int] | None:
        """Return what distinguishes the file from one that replaces it; None where there is none."""
        try:
            found = cast("TrainingStateDataset", self._catalog.get(name))._filepath.stat()
        except (AttributeError, OSError):
            return None
        return found.st_ino, found.st_mtime_ns
