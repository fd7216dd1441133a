"""Classes of kedro-datasets, with files that are replaced whole."""

import io
import logging
import os
from abc import ABC, abstractmethod
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.io import AbstractVersionedDataset, Version
from kedro_datasets.json import JSONDataset
from kedro_datasets.pandas import ParquetDataset
from kedro_datasets.plotly import JSONDataset as PlotlyJSONDataset
from kedro_datasets.yaml import YAMLDataset

from reid_pipeline.io.base import ReadOnlyDataset, UnreadableFile, reading
from reid_pipeline.io.replacing import replacing
from reid_pipeline.schema.errors import first_few
from reid_pipeline.schema.parsing import parse_json, parse_yaml
from reid_pipeline.schema.regular_files import read_regular

if TYPE_CHECKING:
    import pandas as pd

    _Versioned = AbstractVersionedDataset[Any, Any]
else:
    _Versioned = ABC  # Kedro would wrap `save` of the mixin as well, and begin a version twice

_VERSION = "%Y-%m-%dT%H.%M.%S.%fZ"  # Kedro's name of a version, which has milliseconds only
_log = logging.getLogger(__name__)


class AtomicSave(_Versioned):
    """Let a kedro-datasets class write beside its target (or its next version), then rename.

    What is read is a regular file: a missing or damaged one is an `UnreadableFile`.
    """

    def load(self) -> Any:
        """Return what the file holds."""
        file = Path(str(self._get_load_path()))
        with reading(file):
            return self._parsed(read_regular(file))

    @abstractmethod
    def _parsed(self, content: bytes) -> Any:
        """Return what the bytes of a file stand for; any error says that they are damaged."""

    def save(self, data: Any) -> None:
        """Write `data`, as the class that this is mixed into does."""
        self._take_free_version()
        entry = self._filepath, self._version
        target = self._get_save_path()
        with replacing(Path(target), beside=Path(str(self._filepath))) as written:
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

    def _parsed(self, content: bytes) -> Any:
        return parse_json(content)


class AtomicParquetDataset(AtomicSave, ParquetDataset):
    """A table as Parquet, written atomically; previewed by kedro viz."""

    def _parsed(self, content: bytes) -> "pd.DataFrame":
        return _table(content, **self._load_args)


class AtomicYAMLDataset(AtomicSave, YAMLDataset):
    """A parameter file, written atomically."""

    def _parsed(self, content: bytes) -> Any:
        return parse_yaml(content.decode("utf-8"))


class AtomicPlotlyDataset(AtomicSave, PlotlyJSONDataset):
    """A plotly figure as JSON, written atomically; previewed by kedro viz."""

    def _parsed(self, content: bytes) -> Any:
        from plotly.io import from_json

        return from_json(content.decode("utf-8"))


class EarlierTableDataset(ReadOnlyDataset["pd.DataFrame | None"]):
    """A Parquet table that an earlier run may have left, which saves work; None where there is none.

    One that cannot be used, as it is damaged or lacks columns of `schema` (an attribute of `schema.tables`), is None
    as well, with a warning: what it would save is done anew.
    """

    def __init__(self, *, filepath: str, schema: str = "", metadata: dict[str, Any] | None = None) -> None:
        super().__init__(filepath=filepath, metadata=metadata)
        self._schema = schema

    def load(self) -> "pd.DataFrame | None":
        """Return the table, or None."""
        try:
            return read_table(self._filepath, self._schema)
        except UnreadableFile as error:
            if os.path.lexists(self._filepath):
                move = " Move it away before this is written again." if self._filepath.is_dir() else ""
                _log.warning("%s What it would have saved is done anew.%s", error.fault, move)
            return None

    def _exists(self) -> bool:
        return True  # an absent table is None, so that there is always something to load


def read_table(file: Path, schema: str = "", again: str = "") -> "pd.DataFrame":
    """Return a Parquet table, checked if a `schema` of `schema.tables` is named.

    Raises:
        UnreadableFile: it is missing or damaged, or no such table; `again` says how it is made anew.
    """
    from pandera.errors import SchemaError, SchemaErrors

    from reid_pipeline.schema import tables

    with reading(file, again):
        table = _table(read_regular(file))
    try:
        return getattr(tables, schema).validate(table) if schema else table
    except SchemaErrors as error:
        broken = [f"{case.check} ({case.failure_case})" for case in error.failure_cases.itertuples()]
        reason = first_few(broken, 3)
    except SchemaError as error:
        reason = str(error).splitlines()[0]
    raise UnreadableFile(file, f"{file} is no table as this version makes it: {reason}.", again)


class _Notes(dict[str, Any]):
    """What a table notes of itself. Nobody changes it, and pandas copies it deeply with each column that is taken."""

    def __deepcopy__(self, _: dict[int, Any]) -> "_Notes":
        return self


def _table(content: bytes, **options: Any) -> "pd.DataFrame":
    import pandas as pd

    table = pd.read_parquet(io.BytesIO(content), **options)
    table.attrs = {name: _Notes(value) if isinstance(value, dict) else value for name, value in table.attrs.items()}
    return table
