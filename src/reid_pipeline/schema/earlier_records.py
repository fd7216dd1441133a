"""Reading records: those of this version as they are, those of earlier ones by one stated conversion each."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from reid_pipeline.schema.errors import UserError, first_few
from reid_pipeline.schema.record import Record

R = TypeVar("R", bound=Record)


def read_record(model: type[R], content: Any, *, where: str, again: str) -> R:
    """Return what a file holds as a record.

    Files of the first version have no `version`. They hold what later ones hold, less origin, label use,
    names and the like, which are then unknown: nothing else is converted.

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
    given = dict(content)
    if "version" in model.model_fields and "version" not in given:
        given = {"version": 1, **given}
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise UserError(
            f"{where} is no whole record of a run: {first_few(_faults(error))}. {again}"
        ) from error


def _faults(error: ValidationError) -> list[str]:
    found = []
    for fault in error.errors(include_url=False):
        field = ".".join(map(str, fault["loc"]))
        text = fault["msg"].removeprefix("Value error, ")
        given = "" if fault["type"] in {"missing", "value_error"} else f", given {fault['input']!r}"
        found.append(f"{field}: {text}{given}" if field else text)
    return found
