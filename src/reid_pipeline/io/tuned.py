"""The parameters that a study found, by its name."""

import os
from pathlib import Path
from typing import Any

from reid_pipeline.io.base import UnreadableFile, reading
from reid_pipeline.methods import find_method
from reid_pipeline.schema.errors import UserError, first_few
from reid_pipeline.schema.nested import leaves, merged, nested
from reid_pipeline.schema.parsing import parse_json, parse_yaml
from reid_pipeline.schema.regular_files import read_regular
from reid_pipeline.tuning.space import parameter_names

ENTRY = "tuned_parameters"  # the catalog's name of the file
TRIALS = "trials.json"  # the file beside it with all trials of the study


def read_tuned(file: Path, tuned: str) -> dict[str, Any]:
    """Return all parameters of a study's method, those searched with the values of the best trial.

    A file of an earlier version holds only those searched; the others are taken from the trials beside it. `tuned` is
    the study as the user gave it: <method>, or <method>/<study>.

    Raises:
        UserError: there is no such study of this benchmark, none of its trials was trained to the end, or
            the other parameters in force are not known.
    """
    method = find_method(tuned.partition("/")[0])
    again = f"Run the study again: kedro run --pipeline=tuning --params method={method.name}, with --env as here."
    values = _values(file, again) if os.path.lexists(file) else None
    if not values:
        raise UserError(
            f"tuned is {tuned!r}, and there is nothing in {file}: no study of that name has found anything"
            f" for this benchmark. Run one: kedro run --pipeline=tuning --params method={method.name}, with"
            " --env as here; or name another, as <method> or <method>/<study>."
        )
    if not isinstance(values, dict) or not isinstance(values.get(method.name), dict):
        raise UserError(f"{file} does not hold parameters of {method.name!r}. {again}")
    held = [f"{name}." for name, _ in leaves(values[method.name])]
    names = parameter_names(method.params)
    missing = [name for name in names if not any(each.startswith(f"{name}.") for each in held)]
    if missing:
        known = _best_values(file.with_name(TRIALS))
        unknown = [name for name in missing if name not in known]
        if unknown:
            raise UserError(
                f"tuned is {tuned!r}, and {file} does not say what the study had for {first_few(unknown)},"
                f" nor does {TRIALS} beside it: the parameters are not those that were scored. Run the study"
                f" again: kedro run --pipeline=tuning --params method={method.name},study=<another name>."
            )
        values = merged({method.name: nested({name: known[name] for name in missing})}, values)
    return values


def _values(file: Path, again: str) -> Any:
    with reading(file, again):
        content = read_regular(file)
        if content and not content.endswith(b"\n"):  # a number may be cut, and still be one
            raise UnreadableFile(file, f"{file} is not whole: its last line has no end.", again)
        try:
            return parse_yaml(content.decode("utf-8"))
        except ValueError as error:
            raise UnreadableFile(file, f"{file} cannot be read as YAML: {error}.", again) from error


def _best_values(file: Path) -> dict[str, Any]:
    """Return the values of a study's best trial by dotted name; empty where its trials cannot be read."""
    try:
        record = parse_json(read_regular(file))
        return {**record["facts"]["parameters"], **record["best"]["params"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
