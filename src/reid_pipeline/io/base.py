"""The two bases of the dataset classes: a file that is replaced whole, and a path that is only read."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from kedro.io import AbstractDataset

from reid_pipeline.schema.errors import UserError

_Content = TypeVar("_Content")
_Loaded = TypeVar("_Loaded")


@contextlib.contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yield a path to write to; on success it takes the place of `target`, on failure it vanishes.

    Works for a file or a folder, on one file system. A reader, or a kill, never meets an incomplete one.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        written = scratch / target.name
        yield written
        if not target.is_dir():
            os.replace(written, target)  # noqa: PTH105 - replaces an existing file on every platform
        else:
            _swap_folders(written, target, aside=scratch / f"old.{target.name}")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _swap_folders(new: Path, target: Path, *, aside: Path) -> None:
    """Put `new` where `target` is; if that fails, `target` is as it was."""
    target.rename(aside)
    try:
        new.rename(target)
    except OSError:
        aside.rename(target)
        raise


class FileDataset(AbstractDataset[_Content, _Content]):
    """One file, replaced whole at every save; a subclass gives `load` and `_write`.

    Args:
        filepath: the file.
        metadata: for kedro viz.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def save(self, data: _Content) -> None:
        """Write the file."""
        with replacing(self._filepath) as written:
            self._write(data, written)

    def _write(self, data: _Content, file: Path) -> None:
        raise NotImplementedError

    def _exists(self) -> bool:
        return self._filepath.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}


class ReadOnlyDataset(AbstractDataset[Any, _Loaded]):
    """A file or folder that something else writes; a subclass gives `load`.

    Args:
        filepath: the file or folder.
        metadata: for kedro viz.
    """

    _refusal: ClassVar = "{path} is read only here; {kind} was not written."

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def save(self, data: Any) -> None:
        """Refuse to write."""
        raise UserError(self._refusal.format(path=self._filepath, kind=type(data).__name__))

    def _exists(self) -> bool:
        return self._filepath.is_dir()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
