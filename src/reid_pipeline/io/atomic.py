"""Classes of kedro-datasets, with files that are replaced whole."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.io import AbstractVersionedDataset, Version
from kedro_datasets.json import JSONDataset
from kedro_datasets.pandas import ParquetDataset
from kedro_datasets.plotly import JSONDataset as PlotlyJSONDataset
from kedro_datasets.yaml import YAMLDataset

from reid_pipeline.io.base import ReadOnlyDataset, replacing

if TYPE_CHECKING:
    import pandas as pd

    _Versioned = AbstractVersionedDataset[Any, Any]
else:
    _Versioned = object  # Kedro would wrap `save` of the mixin as well, and begin a version twice

_VERSION = "%Y-%m-%dT%H.%M.%S.%fZ"  # Kedro's name of a version, which has milliseconds only


class AtomicSave(_Versioned):
    """Let a kedro-datasets class write beside its target (or its next version), then rename."""

    def save(self, data: Any) -> None:
        """Write `data`, as the class that this is mixed into does."""
        self._take_free_version()
        entry = self._filepath, self._version
        target = self._get_save_path()
        with replacing(Path(target)) as written:
            written.parent.mkdir(exist_ok=True)
            self._filepath, self._version = type(target)(written.as_posix()), None
            try:
                super().save(self._content(data))  # type: ignore[safe-super] # that of the class beside it
            finally:
                self._filepath, self._version = entry

    def _content(self, data: Any) -> Any:
        """Return what is written for `data`."""
        return data

    def _take_free_version(self) -> None:
        """Advance by a millisecond: a version is when a run started, and two may start at one moment."""
        while (version := self._version) and version.save:
            if not self._exists_function(str(self._get_versioned_path(version.save))):
                return
            try:
                moment = datetime.strptime(version.save, _VERSION) + timedelta(milliseconds=1)
            except ValueError:
                return  # a name given by the user; Kedro refuses to write over it
            self._version = Version(version.load, f"{moment:{_VERSION[:-1]}}"[:-3] + "Z")


class AtomicJSONDataset(AtomicSave, JSONDataset):
    """JSON, written atomically; previewed by kedro viz."""


class AtomicParquetDataset(AtomicSave, ParquetDataset):
    """A table as Parquet, written atomically; previewed by kedro viz."""


class AtomicYAMLDataset(AtomicSave, YAMLDataset):
    """A parameter file, written atomically."""


class AtomicPlotlyDataset(AtomicSave, PlotlyJSONDataset):
    """A plotly figure as JSON, written atomically; previewed by kedro viz."""


class EarlierTableDataset(ReadOnlyDataset["pd.DataFrame | None"]):
    """A Parquet table that an earlier run may have left, which saves work; None where there is no readable one."""

    def load(self) -> "pd.DataFrame | None":
        """Return the table, or None."""
        import pandas as pd

        try:
            return pd.read_parquet(self._filepath)
        except (OSError, ValueError):
            return None

    def _exists(self) -> bool:
        return True  # an absent table is None, so that there is always something to load
