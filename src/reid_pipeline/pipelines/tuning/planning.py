"""From parameters to a study: checked before any work, and what makes its trials comparable."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from reid_pipeline import __version__
from reid_pipeline.methods import find_method
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.parameters import EvaluationParameters
from reid_pipeline.schema.tuning import TuningParameters
from reid_pipeline.tuning.space import Space, configured, parameter_names, search_space

if TYPE_CHECKING:
    from reid_pipeline.engine.stage import Method
    from reid_pipeline.tuning.study import StudyPlan

DEFAULT_STUDY = "main"
"""The catalog has the same."""

Parameters = Mapping[str, Any]


def require_searchable(parameters: Parameters, tuning: TuningParameters) -> "tuple[Method, Space]":
    """Return the method that is tuned and its search space; torch is not loaded.

    Args:
        parameters: all of conf/, with those of the command line.
        tuning: the study's parameters.

    Raises:
        UserError: no method is named, there is none of that name, it does not train, or its search space does
            not fit its parameters; a block of `tuning.search` is of no method.
    """
    name = parameters.get("method")
    if name is None:
        known = ", ".join(sorted(block for block, found in tuning.search.items() if found))
        raise UserError(f"Which method is tuned? Give --params method=<name>; conf/ has ranges for: {known}.")
    method = find_method(str(name))
    for block in tuning.search:
        find_method(block)
    if not method.stage_names:
        raise UserError(f"Method {name!r} trains nothing: there is nothing to tune. Name another one.")
    return method, search_space(method.name, method.params, parameters[method.name], tuning)


def study_plan(
    parameters: Parameters, tuning: TuningParameters, evaluation: EvaluationParameters, facts: Parameters, file: str
) -> "StudyPlan":
    """Return the plan of the study that the parameters name.

    Args:
        parameters: all in force.
        tuning: the study's parameters.
        evaluation: the protocol.
        facts: what else decides a trial's score: data, device, precision.
        file: where the study is stored unless `tuning.storage` names a database.
    """
    from reid_pipeline.tuning.study import StudyPlan

    method, space = require_searchable(parameters, tuning)
    in_force = method.params.model_validate(parameters[method.name])
    dumped = in_force.model_dump(mode="json")
    return StudyPlan(
        storage=tuning.storage or file,
        benchmark=parameters["benchmark"],
        method=method.name,
        name=parameters.get("study", DEFAULT_STUDY),
        facts={
            "parameters": {path: _at(dumped, path) for path in parameter_names(method.params) if path not in space},
            "seed": parameters["seed"],
            "camera_filter": evaluation.camera_filter,
            "version": __version__,
            **facts,
        },
        space=space,
        start=configured(space, in_force),
        trials=tuning.trials,
        sampler=tuning.sampler,
        pruner=tuning.pruner,
        stale_seconds=3600 * tuning.stale_hours,
    )


def _at(values: Any, path: str) -> Any:
    for part in path.split("."):
        values = values[part]
    return values
