"""The layers that parameters come from, what they come to, and what a run has that conf/ has not.

The later layer wins: base, environment, overlay, tuned, command line. In each layer the block `backbone` lies
under every method's own `<method>.backbone`. docs/parameters.md is the page on it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from reid_pipeline.schema.base import Parameters
from reid_pipeline.schema.nested import merged
from reid_pipeline.schema.parameters import SharedParameters

BACKBONE = "backbone"
CELLS = "cells"
"""The parameter that the loader makes: every method's cell."""
TEXT = ("raw_root", "collection", "variant", "overlay", "method", "study", "tuned")
"""Parameters that name something: text, whatever YAML would make of it."""
LEARNT = ("sie", "sie_coefficient", "sie_tokens")
"""What a backbone learns, which one that learns nothing does not take from the shared block."""
FOLLOWED = (
    "name", "pretrained", "image_size", "patch_stride", "pixel_mean", "pixel_std", "resize",
    "evaluation_resize",
)  # fmt: skip
"""What of a method's own backbone the method that it is compared with takes, too."""
GIVEN_AT_RUN = (*TEXT, "synthetic")
"""Shared parameters that the command line, or what stands for it, gives and conf/ does not."""
_NAMING = {"benchmark", "seed", CELLS, *TEXT}
_WITHOUT_EFFECT = {BACKBONE, "report", "tuning", "pretrain_demo_clip"}
_ONLY = {"compute": {"precision"}}
_ALL_BUT = {"ingestion": {"strict_counts"}}

Values = Mapping[str, Any]
Models = Mapping[str, type[Parameters]]
_Path = tuple[str, ...]
_ABSENT = object()


def resolved(layers: Sequence[Values], conf_layers: int, models: Models, zero_shot: str) -> dict[str, Any]:
    """Return the parameters in force.

    Where a layer above conf/ gives backbones to single methods, `zero_shot`, which every method is compared
    with, takes what these change and agree on, so that both have one backbone.

    Args:
        layers: from base up, each a mapping as a parameter file holds it.
        conf_layers: how many of them are conf's; the first ones.
        models: of the methods' parameters, by name.
        zero_shot: the method that learns nothing.
    """
    parameters: dict[str, Any] = {}
    for place, layer in enumerate(layers):
        spread = _spread(layer, models, zero_shot)
        if place >= conf_layers and isinstance(spread.get(zero_shot, {}), Mapping):
            followed = _followed(parameters, layer, spread, models, zero_shot)
            spread = merged({zero_shot: {BACKBONE: followed}} if followed else {}, spread)
        parameters = merged(parameters, spread)
    return parameters


def differences(below: Values, above: Values, method: str, models: Models) -> dict[str, Any]:
    """Return what `above` has and `below` has not, by dotted name: all that can change the method's figures.

    Values are compared as the models read them: what says the same in other words is no difference, nor is
    what follows from another difference (a recipe).

    Args:
        below: parameters, such as conf's.
        above: others, such as a run's.
        method: whose name is left out of its own parameters' names.
        models: of the methods' parameters, by name.
    """
    before, after = (_mapping(each.get(method)) for each in (below, above))
    own = _changed(before, after, _dump_of(models[method]))
    first, second = (_shared(each, models) for each in (below, above))
    everything = {name: value for name, value in below.items() if name not in models and name != BACKBONE}
    dump = _dump_of(SharedParameters, beside=everything)
    return own | _changed(first, second, dump)


def _spread(layer: Values, models: Models, zero_shot: str) -> dict[str, Any]:
    """Return a layer whose shared backbone lies under every method's own."""
    shared = layer.get(BACKBONE)
    if not isinstance(shared, Mapping):
        return dict(layer)
    beneath = {
        name: {BACKBONE: {key: value for key, value in shared.items() if name != zero_shot or key not in LEARNT}}
        for name, model in models.items()
        if BACKBONE in model.model_fields and isinstance(layer.get(name, {}), Mapping)
    }
    return merged(beneath, layer)


def _followed(below: Values, layer: Values, spread: Values, models: Models, zero_shot: str) -> dict[str, Any]:
    """Return what a layer's own backbones of single methods change, where all that change one agree."""
    changed = []
    for name in models:
        given = [key for key in _mapping(_mapping(layer.get(name)).get(BACKBONE)) if key in FOLLOWED]
        if name == zero_shot or not given:
            continue
        blocks = [_mapping(each.get(name)) for each in (below, spread)]
        before, after = (_backbone(block, models[name]) for block in (blocks[0], merged(blocks[0], blocks[1])))
        changed.append({key: after.get(key) for key in given if after.get(key) != before.get(key)})
    changed = [each for each in changed if each]
    return {
        key: value
        for key, value in (changed[0] if changed else {}).items()
        if all(key in other and other[key] == value for other in changed)
    }


def _backbone(block: Any, model: type[Parameters]) -> Values:
    dumped = _dump_of(model)(_mapping(block))
    return _mapping(_mapping(block if dumped is None else dumped).get(BACKBONE))


def _mapping(value: Any) -> Values:
    return value if isinstance(value, Mapping) else {}


def _shared(parameters: Values, models: Models) -> dict[str, Any]:
    """Return the parameters of no method that can change a figure."""
    chosen: dict[str, Any] = {}
    for name, value in parameters.items():
        if name in models or name in _NAMING | _WITHOUT_EFFECT:
            continue
        if isinstance(value, Mapping) and name in _ONLY | _ALL_BUT:
            allowed = _ONLY.get(name, set(value) - _ALL_BUT.get(name, set()))
            chosen[name] = {key: inner for key, inner in value.items() if key in allowed}
        else:
            chosen[name] = value
    return chosen


def _dump_of(model: type[Parameters], beside: Values | None = None) -> Callable[[Values], dict[str, Any] | None]:
    """Return the function to plain values as `model` reads them, None where it refuses them."""

    def dump(values: Values) -> dict[str, Any] | None:
        try:
            return model.model_validate(merged(beside or {}, values)).model_dump(mode="json")
        except ValidationError:
            return None

    return dump


def _changed(below: Values, above: Values, dump: Callable[[Values], dict[str, Any] | None]) -> dict[str, Any]:
    """Return the least that makes `below` what `above` is, one parameter after the other."""
    found = [path for path in _leaves(above) if _at(below, path) != _at(above, path)]
    if not found:
        return {}
    whole = dump(above)
    if whole is None:
        return {".".join(path): _at(above, path) for path in found}
    needed, rest = [], dict(above)
    for path in found:
        without = _put(rest, path, _at(below, path))
        if dump(without) == whole:
            rest = without
        else:
            needed.append(path)
    read = {path: _at(whole, path) for path in needed}
    return {".".join(path): _at(above, path) if value is _ABSENT else value for path, value in read.items()}


def _leaves(values: Values, path: _Path = ()) -> Iterator[_Path]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, (*path, name))
        else:
            yield (*path, name)


def _at(values: Any, path: _Path) -> Any:
    for name in path:
        if not isinstance(values, Mapping) or name not in values:
            return _ABSENT
        values = values[name]
    return values


def _put(values: Values, path: _Path, value: Any) -> dict[str, Any]:
    """Return `values` with another value at `path`, or none where it is absent."""
    name, *rest = path
    changed = dict(values)
    if rest:
        changed[name] = _put(values[name], tuple(rest), value)
    elif value is _ABSENT:
        del changed[name]
    else:
        changed[name] = value
    return changed
