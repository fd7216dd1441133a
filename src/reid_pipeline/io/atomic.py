"""Writing files and folders so that a reader, or a kill, never meets half of one."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.io import AbstractDataset, Version
from kedro_datasets.json import JSONDataset
from kedro_datasets.pandas import ParquetDataset
from kedro_datasets.plotly import JSONDataset as PlotlyJSONDataset
from kedro_datasets.yaml import YAMLDataset

from reid_pipeline.schema.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

_VERSION = "%Y-%m-%dT%H.%M.%S.%fZ"
"""Kedro's name of a version; of the fraction it keeps the milliseconds."""


@contextlib.contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yield a path to write to; on success it takes the place of `target`, on failure it vanishes.

    Works for a file or a folder, on one file system.
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


class _AtomicSave:
    """Let a kedro-datasets class write beside its target (or its next version), then rename."""

    _filepath: Any
    _version: Any

    def save(self, data: Any) -> None:
        self._take_a_free_version()
        entry = self._filepath, self._version
        target = self._get_save_path()  # type: ignore[attr-defined]
        with replacing(Path(target)) as written:
            written.parent.mkdir(exist_ok=True)
            self._filepath, self._version = type(target)(written.as_posix()), None
            try:
                super().save(data)  # type: ignore[misc]
            finally:
                self._filepath, self._version = entry

    def _take_a_free_version(self) -> None:
        """Step aside by a millisecond: a version is when a run started, and two may start at one moment."""
        while self._version and self._version.save and self._version_exists():
            try:
                moment = datetime.strptime(self._version.save, _VERSION) + timedelta(milliseconds=1)
            except ValueError:
                return  # a name that a user chose; Kedro refuses to write over it
            self._version = Version(self._version.load, f"{moment:{_VERSION[:-1]}}"[:-3] + "Z")

    def _version_exists(self) -> bool:
        path = self._get_versioned_path(self._version.save)  # type: ignore[attr-defined]
        return bool(self._exists_function(str(path)))  # type: ignore[attr-defined]


class AtomicJSONDataset(_AtomicSave, JSONDataset):  # type: ignore[misc]
    """JSON, written atomically; previewed by kedro viz."""


class AtomicParquetDataset(_AtomicSave, ParquetDataset):  # type: ignore[misc]
    """A table as Parquet, written atomically; previewed by kedro viz."""


class AtomicYAMLDataset(_AtomicSave, YAMLDataset):  # type: ignore[misc]
    """A parameter file, written atomically."""


class AtomicPlotlyDataset(_AtomicSave, PlotlyJSONDataset):  # type: ignore[misc]
    """A plotly figure as JSON, written atomically; previewed by kedro viz."""


class EarlierTableDataset(AbstractDataset[Any, "pd.DataFrame | None"]):
    """A Parquet table that an earlier run may have left; loading gives None where there is none, or no table.

    What it holds only saves work, so that a file that cannot be read is as good as none.

    Args:
        filepath: the `.parquet` file.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> "pd.DataFrame | None":
        """Return the table, or None."""
        import pandas as pd

        try:
            return pd.read_parquet(self._filepath)
        except (OSError, ValueError):
            return None

    def save(self, data: Any) -> None:
        """Refuse: the table's own entry in the catalog writes it."""
        raise UserError(f"{self._filepath} is only read here; {type(data).__name__} was not written.")

    def _exists(self) -> bool:
        return True  # an absent table is None, so that there is always something to load

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
