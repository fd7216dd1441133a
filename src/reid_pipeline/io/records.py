"""Records as JSON files: what is written is a record; what is read back is one, or an error names the fault."""

import json
from pathlib import Path
from typing import Any

from kedro_datasets._typing import JSONPreview
from kedro_datasets.json import JSONDataset

from reid_pipeline.io.atomic import AtomicSave
from reid_pipeline.schema import comparison, records, summary
from reid_pipeline.schema.earlier_records import read_record
from reid_pipeline.schema.errors import UserError, nearest
from reid_pipeline.schema.record import Record

_MODELS: dict[str, type[Record]] = {
    name: kind
    for module in (records, comparison, summary)
    for name, kind in vars(module).items()
    if isinstance(kind, type) and issubclass(kind, Record)
}


class RecordDataset(AtomicSave, JSONDataset):
    """A record of `schema.records`, `schema.comparison` or `schema.summary`, written atomically.

    Args:
        filepath: the file.
        record: name of the model, such as "Metrics"; the attribute is the model.
        many: whether the file holds a list of such records.
        node: which node makes the file, for messages; by default the one that the record's origin names.
        **options: as for kedro-datasets' JSONDataset; with a version, the file of every run stays.
    """

    def __init__(self, *, filepath: str, record: str, many: bool = False, node: str = "", **options: Any) -> None:
        if record not in _MODELS:
            raise UserError(f"There is no record {record!r}.{nearest(record, _MODELS)}")
        super().__init__(filepath=filepath, **options)
        self.record = _MODELS[record]
        self.has_versions = self._version is not None
        self._many = many
        self._node = node

    def load(self) -> Any:
        """Return the record, or the list of records; an error names file, field, and how to make it anew."""
        file, content = self._json()
        if not self._many:
            return self._record(content, str(file))
        if not isinstance(content, list):
            kind = type(content).__name__
            raise UserError(f"{file} holds a {kind}, not a list of records. {_again(self._node, None)}")
        return [self._record(each, f"{file}, entry {place}") for place, each in enumerate(content, start=1)]

    def preview(self) -> JSONPreview:
        """Return the file's JSON, for kedro viz."""
        return JSONPreview(json.dumps(self._json()[1]))

    def _content(self, data: Any) -> Any:
        given = list(data) if self._many else [data]
        other = [type(each).__name__ for each in given if not isinstance(each, self.record)]
        if other:
            raise TypeError(f"{self._filepath} takes {self.record.__name__}, not {other[0]}")
        contents = [each.content() for each in given]
        return contents if self._many else contents[0]

    def _json(self) -> tuple[Path, Any]:
        file = Path(self._get_load_path())
        return file, read_json(file, again=_again(self._node, None))

    def _record(self, content: Any, where: str) -> Record:
        return read_record(self.record, content, where=where, again=_again(self._node, content))

    def _describe(self) -> dict[str, Any]:
        return {**super()._describe(), "record": self.record.__name__, "many": self._many}


def read_json(file: Path, *, again: str) -> Any:
    """Return what a JSON file holds, or refuse it with `again`, a sentence on how it is made anew."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"There is no {file}. {again}") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{file} cannot be read as JSON: {error}. {again}") from error


def _again(node: str, content: Any) -> str:
    """Return how a record is made anew: by the node of the catalog, or the one that the record names."""
    origin = content.get("origin") if isinstance(content, dict) else None
    made_by = node or (origin.get("made_by", "") if isinstance(origin, dict) else "")
    if not made_by:
        return "Run the pipeline that writes it again, or remove it."
    return f"Make it anew: run the pipeline from node {made_by} (--from-nodes={made_by}), or the whole."
