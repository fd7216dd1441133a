"""From the search space in conf/ to the distributions of Optuna, checked before anything runs."""

import inspect
from collections.abc import Iterator, Mapping
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from reid_pipeline.schema.base import Parameters
from reid_pipeline.schema.errors import UserError, explain, first_few, nearest
from reid_pipeline.schema.nested import merged, nested
from reid_pipeline.schema.tuning import SearchedParameter, TuningParameters

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Space = dict[str, SearchedParameter]


def search_space(method: str, model: type[Parameters], given: Mapping[str, Any], tuning: TuningParameters) -> Space:
    """Return the searched parameters of a method, with `relative` ranges made absolute.

    Raises:
        UserError: nothing is searched for this method, a name is no parameter of it, or a bound or choice is
            not allowed with the other parameters in force, which are `given` as nested mappings.
    """
    block = {name: found for name, found in tuning.search.get(method, {}).items() if found is not None}
    if not block:
        blocks = sorted(name for name, found in tuning.search.items() if found)
        raise UserError(
            f"tuning.search names no parameter of {method!r}; it has blocks for: {first_few(blocks, 10)}."
            f" Write tuning.search.{method} into conf/base/parameters_tuning.yml."
        )
    allowed = list(parameter_names(model))
    unknown = [name for name in block if name not in allowed]
    if unknown:
        raise UserError(
            f"tuning.search.{method} names {unknown[0]!r}, which {method} does not have."
            f"{nearest(unknown[0], allowed)} Allowed: {first_few(allowed, 30)}."
        )
    in_force = model.model_validate(given)
    space = {name: _absolute(name, found, attrgetter(name)(in_force)) for name, found in block.items()}
    faults = [fault for name in space for fault in _faults(name, space[name], model, given, method)]
    if faults:
        raise UserError("\n".join(faults))
    return space


def parameter_names(model: type[Parameters], prefix: str = "") -> Iterator[str]:
    """Yield the dotted name of every single parameter."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if inspect.isclass(kind) and issubclass(kind, Parameters):
            yield from parameter_names(kind, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def configured(space: Space, parameters: Parameters) -> dict[str, Any]:
    """Return the values in force of the searched parameters, by dotted name."""
    return {name: attrgetter(name)(parameters) for name in space}


def distributions(space: Space) -> "dict[str, BaseDistribution]":
    """Return Optuna's distributions."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    def distribution(found: SearchedParameter) -> "BaseDistribution":
        if found.low is None or found.high is None:
            return CategoricalDistribution(found.choices)
        if found.type == "int":
            return IntDistribution(int(found.low), int(found.high), log=found.log, step=int(found.step or 1))
        return FloatDistribution(found.low, found.high, log=found.log, step=found.step)

    return {name: distribution(found) for name, found in space.items()}


def _absolute(name: str, found: SearchedParameter, value: Any) -> SearchedParameter:
    if not found.relative:
        return found
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        raise UserError(
            f"tuning.search: {name} is {value!r}, of which low and high cannot be factors."
            " Write the range itself, without relative."
        )
    whole = found.type == "int"
    scaled = {key: factor * value for key in ("low", "high", "step") if (factor := getattr(found, key)) is not None}
    bounds = {key: max(1.0, float(round(bound))) if whole else bound for key, bound in scaled.items()}
    return SearchedParameter(type=found.type, log=found.log, **bounds)


def _faults(
    name: str, found: SearchedParameter, model: type[Parameters], given: Mapping[str, Any], method: str
) -> Iterator[str]:
    """Yield what is wrong with each end of a range, the other parameters as they are."""
    ends = [int(end) if found.type == "int" else end for end in (found.low, found.high) if end is not None]
    for end in found.choices or ends:
        try:
            model.model_validate(merged(given, nested({name: end})))
        except ValidationError as error:
            yield f"tuning.search.{method}: {name} = {end!r} is refused. {explain(error, method)}"
