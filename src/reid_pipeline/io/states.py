"""What a run has saved for the case of a kill, removed when nothing can go on from it any more."""

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from kedro.io import DataCatalog

from reid_pipeline.schema.errors import UserError


class SavedStates:
    """The resumable states of trainings that this run has saved.

    Args:
        catalog: the run's.
    """

    def __init__(self, catalog: DataCatalog) -> None:
        self._catalog = catalog
        self._marks: dict[str, tuple[int, int] | None] = {}
        self._exported: set[str] = set()

    def saved(self, name: str) -> None:
        """Take note of a training's state, and of an exported embedder."""
        method, _, entry = name.rpartition(".")
        if entry.endswith("_state"):
            self._marks[name] = self._mark(name)
        elif entry == "embedder":
            self._exported.add(method)

    def discard(self, locked: Callable[[str], AbstractContextManager[None]]) -> None:
        """Remove those of trainings that this run has also exported, unless another run has taken over.

        Args:
            locked: gives the lock of a method's cell, or refuses.
        """
        for name, mark in self._marks.items():
            method = name.rpartition(".")[0]
            if method in self._exported:
                with contextlib.suppress(UserError), locked(method):
                    if mark and mark == self._mark(name):
                        self._catalog.get(name).discard()  # type: ignore[union-attr]

    def _mark(self, name: str) -> tuple[int, int] | None:
        """Return what tells the file from another that has taken its place."""
        try:
            found = Path(self._catalog.get(name)._filepath).stat()  # type: ignore[union-attr]
        except (AttributeError, OSError):
            return None
        return found.st_ino, found.st_mtime_ns
