"""Reading records: those of this version as they are, those of earlier ones by one stated conversion each."""

from collections.abc import Mapping
from typing import Any, TypeVar, get_args

from pydantic import ValidationError

from reid_pipeline.schema.errors import UserError, faults, first_few
from reid_pipeline.schema.record import OriginatedRecord, Record
from reid_pipeline.schema.records import StageDescription

_FIRST = {"method", "stage", "parameters", "reads", "data", "seed", "version", "population", "label_map"}
"""What the first version stored of a checkpoint."""
R = TypeVar("R", bound=Record)


def read_record(model: type[R], content: Any, *, where: str, again: str) -> R:
    """Return what a file holds as a record; one of the first version has no `version`.

    It lacks origin, label use, names and the like, which are then unknown: nothing else is converted.

    Args:
        model: the kind of record.
        content: the file's JSON.
        where: the file, for messages.
        again: how it is made anew, a sentence for messages.

    Raises:
        UserError: it is no such record; names the file, the field, and what would be right.
    """
    if not isinstance(content, Mapping):
        raise UserError(f"{where} holds a {type(content).__name__}, not the record of a run. {again}")
    given = {"version": 1, **content} if "version" in model.model_fields else dict(content)
    _require_known_version(model, given, where, again)
    try:
        record = model.model_validate(given)
    except ValidationError as error:
        wrong = [
            (f"{field}: " if field else "") + text + (f", given {value}" if field and value else "")
            for field, text, value in faults(error)
        ]
        raise UserError(f"{where} is no whole record of a run: {first_few(wrong)}. {again}") from error
    if not isinstance(record, OriginatedRecord) or record.origin is None:
        return record
    return record.model_copy(update={"origin": record.origin.replace(file=where)})


def _require_known_version(model: type[Record], content: Mapping[str, Any], where: str, again: str) -> None:
    """Refuse what a later version of the project wrote, in which fields may mean something else."""
    field = model.model_fields.get("version")
    known = [each for each in get_args(field.annotation) if isinstance(each, int)] if field else []
    version = content.get("version")
    if known and isinstance(version, int) and version > max(known):
        raise UserError(
            f"{where} is of version {version} of its kind, and this version of the project reads {max(known)} at"
            f" most: a later one wrote it. Use that one, or give the file up. {again}"
        )


def read_stage_description(content: Any, *, where: str, again: str) -> StageDescription:
    """Return the description of a checkpoint as `read_record` does; the first version noted no weights or digest."""
    given = dict(content) if isinstance(content, Mapping) else content
    if isinstance(given, dict) and "origin" not in given:
        missing = sorted(_FIRST - given.keys())
        if missing:
            raise UserError(f"{where} does not say what it was made from: {first_few(missing)} missing. {again}")
        read = given["reads"] or given["parameters"]
        given = {
            "version": 1,
            "origin": {
                "made_by": f"{given['method']}.train_{given['stage']}",
                "method": given["method"],
                "seed": given["seed"],
                "data": given["data"],
                "parameters": {given["method"]: {name: given["parameters"][name] for name in read}},
                "code": given["version"],
            },
            **{name: given[name] for name in ("stage", "population", "label_map")},
        }
    return read_record(StageDescription, given, where=where, again=again)
