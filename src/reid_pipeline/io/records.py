"""Records as JSON files: what is written is a record; what is read back is one, or an error names the fault."""

import json
from pathlib import Path
from typing import Any

from kedro_datasets._typing import JSONPreview

from reid_pipeline.io.atomic import AtomicJSONDataset
from reid_pipeline.io.base import UnreadableFile, reading
from reid_pipeline.schema import clusters, comparison, explanations, exports, records, summary, tuning
from reid_pipeline.schema.earlier_records import read_record
from reid_pipeline.schema.errors import UserError, nearest
from reid_pipeline.schema.parsing import ParsingError, parse_json
from reid_pipeline.schema.record import Record
from reid_pipeline.schema.regular_files import read_regular

_AGAIN = "Run the pipeline that writes it again, or remove it."
_AGAIN_OF_VERSION = (
    "A version is written once, by its run: take another, --load-versions=<entry>:<version>, or remove that one."
)
_MODELS: dict[str, type[Record]] = {
    name: kind
    for module in (records, clusters, comparison, explanations, exports, summary, tuning)
    for name, kind in vars(module).items()
    if isinstance(kind, type) and issubclass(kind, Record)
}


class RecordDataset(AtomicJSONDataset):
    """A record of a module of `schema` that `_MODELS` names, written atomically.

    Args:
        filepath: the file.
        record: name of the model, such as "Metrics"; the attribute is the model.
        many: whether the file holds a list of such records.
        plain: whether nodes take and give the file's JSON itself, which need only be read as such a record.
        **options: as for kedro-datasets' JSONDataset; with a version, the file of every run stays.
    """

    def __init__(self, *, filepath: str, record: str, many: bool = False, plain: bool = False, **options: Any) -> None:
        if record not in _MODELS:
            raise UserError(f"There is no record {record!r}.{nearest(record, _MODELS)}")
        super().__init__(filepath=filepath, **options)
        self.record = _MODELS[record]
        self.has_versions = self._version is not None
        self._many = many
        self._plain = plain

    def load(self) -> Any:
        """Return the record, or the list of records; an error names file, field, and how to make it anew."""
        file, content = self._json()
        if not self._many:
            record = self._record(content, file, str(file))
            return content if self._plain else record
        if not isinstance(content, list):
            raise UnreadableFile(
                file, f"{file} holds a {type(content).__name__}, not a list of records.", self._again()
            )
        return [self._record(each, file, f"{file}, entry {place}") for place, each in enumerate(content, start=1)]

    def preview(self) -> JSONPreview:
        """Return the file's JSON, for kedro viz."""
        return JSONPreview(json.dumps(self._json()[1]))

    def _content(self, data: Any) -> Any:
        if self._plain:
            return data
        given = list(data) if self._many else [data]
        other = [type(each).__name__ for each in given if not isinstance(each, self.record)]
        if other:
            raise TypeError(f"{self._filepath} takes {self.record.__name__}, not {other[0]}")
        contents = [each.content() for each in given]
        if not self._many:
            return contents[0]
        # DVC plots a list whose rows have the same fields: those that a row was not given have their defaults.
        names = {name for content in contents for name in content}
        wholes = (each.model_dump(mode="json") for each in given)
        order = [name for name in ("version", *self.record.model_fields) if name in names]
        return [{name: whole[name] for name in dict.fromkeys(order)} for whole in wholes]

    def _json(self) -> tuple[Path, Any]:
        file = Path(self._get_load_path())
        return file, read_json(file, again=self._again())

    def _record(self, content: Any, file: Path, where: str) -> Record:
        try:
            return read_record(self.record, content, where=where, again="")
        except UserError as error:
            raise UnreadableFile(file, str(error).strip(), self._again(content)) from error

    def _again(self, content: Any = None) -> str:
        """Return how a record is made anew, as far as it says which node made it."""
        if self.has_versions:
            return _AGAIN_OF_VERSION
        origin = content.get("origin") if isinstance(content, dict) else None
        made_by = origin.get("made_by", "") if isinstance(origin, dict) else ""
        if not made_by:
            return _AGAIN
        return f"Make it anew: run the pipeline from node {made_by} (--from-nodes={made_by}), or the whole."

    def _describe(self) -> dict[str, Any]:
        return {**super()._describe(), "record": self.record.__name__, "many": self._many}


def read_json(file: Path, *, again: str) -> Any:
    """Return what a JSON file holds, or refuse it with `again`, a sentence on how it is made anew."""
    with reading(file, again):
        content = read_regular(file)
        try:
            return parse_json(content)
        except ParsingError as error:
            raise UnreadableFile(file, f"{file} cannot be read as JSON: {error}.", again) from error
