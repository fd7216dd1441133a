"""What `plan: auto` comes to once the images are known: the parameters that a method trains with."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from reid_pipeline.engine.stage import Method
from reid_pipeline.schema.addresses import Cell
from reid_pipeline.schema.auto_plan import CollectionSize, auto_values
from reid_pipeline.schema.columns import LABEL, SPLIT
from reid_pipeline.schema.nested import leaves, merged, nested
from reid_pipeline.schema.sample import SampleFacts, shortened
from reid_pipeline.splits.sample import noted_sample


def resolved_parameters(method: Method, parameters: Any, cell: Cell, split_table: pd.DataFrame) -> Any:
    """Return a method's parameters with what the data decide of its plans; as they are where that is nothing.

    It depends on the split table and on what is given alone, so that every node of a run finds the same. Of a sample
    the batches are those of the whole, and lengths are as short as a sample's.
    """
    if not cell.auto:
        return parameters
    sample, values = noted_sample(split_table), parameters.model_dump(mode="json")
    if sample is None:
        found = auto_values(values, cell.auto, size_of_table(method, split_table))
    else:
        found = auto_values(values, cell.auto, size_of_whole(method, sample))
        found |= _short(method, merged(values, nested(found)), cell.auto)
    return method.params.model_validate(merged(values, nested(found)))


def values_of_whole(method: Method, parameters: Any, cell: Cell, sample: SampleFacts) -> dict[str, Any]:
    """Return, by dotted name, what the data decide of the plans that the whole of a sample has."""
    return auto_values(parameters.model_dump(mode="json"), cell.auto, size_of_whole(method, sample))


def size_of_table(method: Method, split_table: pd.DataFrame) -> CollectionSize:
    """Return the size of the training split as a method sees it: identities only where it reads them."""
    labels = split_table.loc[split_table[SPLIT] == "train", LABEL]
    if method.label_use != "all":
        return CollectionSize(len(labels))
    counts = labels[labels >= 0].value_counts()
    return CollectionSize(int(counts.sum()), len(counts), int(counts.median()) if len(counts) else 0)


def size_of_whole(method: Method, sample: SampleFacts) -> CollectionSize:
    """Return the size, likewise, of what a sample is of."""
    if method.label_use != "all" or not sample.images_per_identity:
        return CollectionSize(sample.training_images)
    counts = pd.Series([images for images, count in sample.images_per_identity for _ in range(count)])
    return CollectionSize(int(counts.sum()), len(counts), int(counts.median()))


def _short(method: Method, values: Mapping[str, Any], auto: Mapping[str, Any]) -> dict[str, Any]:
    """Return the lengths among `auto`, by dotted name, of the plans in `values`, cut to a sample's."""
    given = {name: value for name, value in leaves(values) if name.endswith("epochs") and name not in auto}
    layer = shortened({method.name: values}, {method.name: nested(given)}, {method.name: method.params})
    return {name: value for name, value in leaves(layer.get(method.name, {})) if name in auto}
