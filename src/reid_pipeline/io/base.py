"""The two bases of the dataset classes: a file that is replaced whole, and a path that is only read."""

import contextlib
import os
import shutil
import tempfile
from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from kedro.io import AbstractDataset

from reid_pipeline.machine_faults import naming
from reid_pipeline.schema.errors import UserError

_Saved = TypeVar("_Saved")
_Loaded = TypeVar("_Loaded")


@contextlib.contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yield a path to write to; on success it takes the place of `target`, on failure it vanishes.

    Works for a file or a folder, on one file system. A reader, or a kill, never meets an incomplete one.
    """
    with naming(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        written = scratch / target.name
        with naming(target, written):
            yield written
        if target.is_dir():
            aside = target.rename(scratch / f"old.{target.name}")
            try:
                written.rename(target)
            except OSError:
                aside.rename(target)
                raise
        else:
            os.replace(written, target)  # noqa: PTH105 - replaces an existing file on every platform
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


class _PathDataset(AbstractDataset[_Saved, _Loaded]):
    """A dataset of one file or folder, with metadata for kedro viz."""

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}


class FileDataset(_PathDataset[_Saved, _Saved]):
    """One file, replaced whole at every save; a subclass gives `load` and `_write`."""

    def save(self, data: _Saved) -> None:
        """Write the file."""
        with replacing(self._filepath) as written:
            self._write(data, written)

    @abstractmethod
    def _write(self, data: _Saved, file: Path) -> None:
        """Write `data` to `file`, which then takes the place of the dataset's."""

    def _exists(self) -> bool:
        return self._filepath.is_file()


class ReadOnlyDataset(_PathDataset[Any, _Loaded]):
    """A file or folder that something else writes; a subclass gives `load`."""

    _refusal: ClassVar = "{path} is read only here; {kind} was not written."

    def save(self, data: Any) -> None:
        """Refuse to write."""
        raise UserError(self._refusal.format(path=self._filepath, kind=type(data).__name__))

    def _exists(self) -> bool:
        return self._filepath.is_dir()
