"""The two bases of the dataset classes: a file that is replaced whole, and a path that is only read."""

import contextlib
import errno
from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from kedro.io import AbstractDataset

from reid_pipeline.io.replacing import replacing
from reid_pipeline.machine_faults import machine_fault_text
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.regular_files import kind_of

_Saved = TypeVar("_Saved")
_Loaded = TypeVar("_Loaded")
_LONGEST = 200  # characters of a reason
# Of these the file may be good: it is not set aside, nor made anew.
_OF_THE_MACHINE = {errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EIO, errno.ESTALE}


class UnreadableFile(UserError):  # noqa: N818 - says what it found
    """What a run made before, and this one reads, is missing or damaged.

    Args:
        file: the file.
        fault: what is wrong with it, one sentence that names it.
        again: how it is made anew, as far as its reader knows; a hook of the project knows the node and the command.
    """

    def __init__(self, file: Path, fault: str, again: str = "") -> None:
        super().__init__(f"{fault} {again or 'Run the pipeline that makes it again.'}")
        self.file, self.fault = file, fault


@contextlib.contextmanager
def reading(file: Path, again: str = "", *, missing: str = "There is no {file}.") -> Iterator[None]:
    """Turn whatever keeps a file from being read within into an `UnreadableFile`; only a regular file is read."""
    try:
        if kind := kind_of(file.stat().st_mode):
            raise UnreadableFile(file, f"{file} cannot be read: it is {kind}, not a regular file.", again)
        yield
    except (UserError, MemoryError):
        raise
    except FileNotFoundError as error:
        fault = missing.format(file=file)
        if file.is_symlink():
            fault = f"{file} is a link to {file.readlink()}, which does not exist."
        raise UnreadableFile(file, fault, again) from error
    except OSError as error:
        if error.errno in _OF_THE_MACHINE:
            raise
        raise UnreadableFile(file, f"{file} cannot be read: {_reason(error)}.", again) from error
    except Exception as error:  # a parser may raise anything for bytes that nobody wrote
        if machine_fault_text(error):
            raise
        raise UnreadableFile(file, f"{file} is damaged, or another kind of file: {_reason(error)}.", again) from error


def _reason(error: Exception) -> str:
    """Return the first line of what an error says, without the advice of the library that raised it."""
    lines = (getattr(error, "strerror", None) or str(error)).strip().splitlines()
    if not lines:
        return type(error).__name__
    whole = lines[0] if len(lines[0]) <= _LONGEST else lines[0][:_LONGEST].rpartition(". ")[0] or lines[0][:_LONGEST]
    return whole.rstrip(".")


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
        self._written(data)

    @abstractmethod
    def _write(self, data: _Saved, file: Path) -> None:
        """Write `data` to `file`, which then takes the place of the dataset's."""

    def _written(self, data: _Saved) -> None:
        """Do what else belongs to a file that has been put into its place."""

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
