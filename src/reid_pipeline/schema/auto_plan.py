"""`plan: auto`: how long a training is, and how much a step takes, from the size of its collection alone.

The rules are those of `plan_of`; docs/parameters.md is the page on them. Nothing of the machine is read, so that the
same images have the same plan everywhere.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from reid_pipeline.schema.nested import leaves, merged, nested
from reid_pipeline.schema.parameters import TrainingPlan

PLAN = "plan"
"""The shared parameter."""
AUTO = "auto"
"""Its value that leaves plans to the data; null: conf's plans."""
FIELDS = ("epochs", "iterations_per_epoch", "batch_size", "instances", "warmup_epochs", "milestones")
"""The parameters of a plan that it sets."""
CHUNK = "chunk_size"
"""And the one that the machine's memory decides, of plans that have it: it changes no more than rounding."""
SMALL = "small"
"""The overlay with the small CLIP that ships with this project, for machines on which other plans take too long."""
LEFT_OPEN = "left_open"
"""Beside parameters, as the layers join them: by method and dotted name, what base alone gives of `FIELDS`."""
PASSES, PROMPT_PASSES = 64, 120
"""How often an image is seen: CLIP-ReID publishes 60 epochs of one pass, and 120 to learn prompts, from features."""
LEAST_VIEWS, MOST_VIEWS = 1_280, 3_072_000
"""Images of all steps: 320 steps of 4 at least; 60 epochs of 200 batches of 256 at most, as PCL-CLIP publishes."""
MOST_EPOCHS = 60
_SMALLEST_BATCH = 4
_IDENTITIES = 16  # of a batch whose identities are not known: 256 images, 16 of each, as PCL-CLIP-USL has
_INSTANCES = 4


@dataclass(frozen=True)
class CollectionSize:
    """What a plan is made from: training images; identities and their median images, 0 where they are not read."""

    images: int
    identities: int = 0
    images_each: int = 0


NOMINAL = CollectionSize(750)
"""Of a collection that is not read yet."""


def plan_of(size: CollectionSize, published: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return `FIELDS` of a plan for a collection.

    Args:
        size: of the collection.
        published: what base has of the fields that are not given: no batch, and no images of an identity in it, is
            larger. Without `instances` batches are random, and prompts are learnt.
        given: the other parameters of the plan, which stand; what is no whole number is left to the check of all.

    - `batch_size`: the largest power of two up to a quarter of the images, from 4 to the published one.
    - `instances`: with identities the largest power of two up to their median images, without a sixteenth of the
      batch; from 4 to the published ones, and half a batch at most.
    - With fewer identities than a batch has places for, the batch is smaller.
    - `epochs`, `iterations_per_epoch`: all steps together see each image 64 times, within `LEAST_VIEWS` and
      `MOST_VIEWS`. An epoch has four times as many steps as there are epochs, and one pass over the images at least.
    - `warmup_epochs` a tenth of the epochs; `milestones` one, after four fifths.
    """
    whole = {name: value for name, value in given.items() if type(value) is int and value > 0}
    batch, instances = _batch(size, published, whole)
    images = max(1, size.images)
    taken = min(batch, images)
    passes = PROMPT_PASSES if instances is None else PASSES
    steps = min(MOST_VIEWS, max(LEAST_VIEWS, passes * images)) / taken
    epochs = min(MOST_EPOCHS, max(1, round(math.sqrt(steps) / 2)))
    iterations = max(math.ceil(images / taken), math.ceil(steps / epochs))
    epochs = min(MOST_EPOCHS, max(1, round(steps / iterations)))
    length = whole.get("epochs", epochs)
    return {
        "epochs": epochs,
        "iterations_per_epoch": iterations,
        "batch_size": batch,
        "instances": instances,
        "warmup_epochs": round(length / 10),
        "milestones": [length * 4 // 5] if length > 1 and given.get("schedule") != "cosine" else [],
    }


def _batch(size: CollectionSize, published: Mapping[str, Any], given: Mapping[str, int]) -> tuple[int, int | None]:
    """Return batch size and instances."""
    largest = published.get("batch_size") or 2 * _IDENTITIES * _INSTANCES
    room = given.get("batch_size") or max(_SMALLEST_BATCH, min(largest, _power_of_two(size.images // 4)))
    if "instances" in given:
        instances = given["instances"]
    elif published.get("instances") is None:
        return room, None
    else:
        each = _power_of_two(size.images_each) if size.identities else room // _IDENTITIES
        instances = max(2, min(published["instances"], max(_INSTANCES, each), room // 2))
    if "batch_size" in given:
        fitting = (count for count in range(instances, 1, -1) if room % count == 0 and room > count)
        return room, instances if "instances" in given else next(fitting, 2)
    places = min(room // instances, size.identities or room)
    return max(2, places) * instances, instances


def _power_of_two(number: int) -> int:
    """Return the largest power of two up to a number; 1 below 2."""
    return 1 << max(0, number.bit_length() - 1)


def plan_paths(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield where the plans of a method's parameters are."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, TrainingPlan):
            yield (*path, name)
        elif isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from plan_paths(kind, (*path, name))


def left_open(layers: Sequence[Mapping[str, Any]], models: Mapping[str, type[BaseModel]]) -> dict[str, dict[str, Any]]:
    """Return, by method and dotted name, what of `FIELDS` and `CHUNK` the first layer alone gives, with its value."""
    base, above = layers[0], layers[1:]
    found: dict[str, dict[str, Any]] = {}
    for method, model in models.items():
        for path in plan_paths(model):
            published, others = _block(base, method, *path), [_block(layer, method, *path) for layer in above]
            above_base = {name for other in others for name in other}
            names = [name for name in (*FIELDS, CHUNK) if name in published and name not in above_base]
            own = {".".join([*path, name]): published[name] for name in names}
            # Random batches stay random.
            found.setdefault(method, {}).update(
                {name: value for name, value in own.items() if value is not None or not name.endswith("instances")}
            )
    return found


def auto_values(
    parameters: Mapping[str, Any], open_fields: Mapping[str, Any], size: CollectionSize
) -> dict[str, dict[str, Any]]:
    """Return the values of a method's `open_fields`, by dotted name; `parameters` are the method's, nested."""
    found: dict[str, Any] = {}
    for place in sorted({name.rpartition(".")[0] for name in open_fields}):
        published = {name: open_fields[f"{place}.{name}"] for name in FIELDS if f"{place}.{name}" in open_fields}
        given = {name: value for name, value in _block(parameters, *place.split(".")).items() if name not in published}
        values = plan_of(size, published, given)
        found |= {f"{place}.{name}": values[name] for name in published}
    return found


def open_in_force(parameters: Mapping[str, Any], method: str) -> Mapping[str, Any]:
    """Return what the data decide of a method's plans: its `LEFT_OPEN` where the run's plan is auto."""
    found = parameters.get(LEFT_OPEN, {}).get(method, {}) if parameters.get(PLAN) == AUTO else {}
    return dict(found)


def provisional(parameters: Mapping[str, Any], models: Mapping[str, type[BaseModel]]) -> dict[str, Any]:
    """Return parameters with plans of a nominal collection, as far as the data decide them; the rest as it is."""
    values: dict[str, Any] = {}
    for method in models:
        found = auto_values(_block(parameters, method), open_in_force(parameters, method), NOMINAL)
        # What holds no plan, where one belongs, is left to the check of all parameters.
        values[method] = {name: value for name, value in found.items() if _block(parameters, method, *_place(name))}
    return merged(parameters, {method: nested(each) for method, each in values.items() if each})


def _place(name: str) -> list[str]:
    return name.split(".")[:-1]


def with_open(
    differs: Mapping[str, Any], below: Mapping[str, Any], above: Mapping[str, Any], method: str
) -> dict[str, Any]:
    """Return what `above` has and `below` has not, of which `differs` compares conf's values of what the data decide.

    A field that is given differs from what the data decide, also where it is the published one.
    """
    now = open_in_force(above, method)
    found = {name: value for name, value in differs.items() if name not in now}
    candidates = [name for name in below.get(LEFT_OPEN, {}).get(method, {}) if not name.endswith(CHUNK)]
    if above.get(PLAN) == AUTO:
        values = dict(leaves(_block(above, method)))
        found |= {name: values[name] for name in candidates if name not in {*now, *found} and name in values}
    if candidates and below.get(PLAN) != above.get(PLAN):
        found[PLAN] = above.get(PLAN)
    return found


def _block(values: Any, *path: str) -> Mapping[str, Any]:
    for name in path:
        values = values.get(name) if isinstance(values, Mapping) else None
    return values if isinstance(values, Mapping) else {}
