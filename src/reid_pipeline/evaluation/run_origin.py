"""What a run notes of itself in everything that it computes, and asks of everything that it uses."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from reid_pipeline import __version__
from reid_pipeline.engine.runtime import Runtime
from reid_pipeline.schema.addresses import Cell
from reid_pipeline.schema.base import Parameters
from reid_pipeline.schema.origin import Origin
from reid_pipeline.splits import data_hash, galleries_hash


def run_origin(
    node: str,
    cell: Cell,
    split_table: pd.DataFrame,
    galleries: pd.DataFrame | None = None,
    *,
    parameters: Mapping[str, Parameters | Mapping[str, Any]],
    runtime: Runtime | None = None,
    after: Origin | None = None,
) -> Origin:
    """Return the origin of what a node makes of a run's cell.

    Args:
        node: its name, without the method's.
        cell: whose it is.
        split_table: the data.
        galleries: the drawn galleries, where the node reads them.
        parameters: all that the node reads, or what it makes depends on, by top-level name.
        runtime: device, precision and threads, where the node computes on them.
        after: origin of what it goes on from, whose weights, label use and ancestors it has.
    """
    read = {
        name: dict(values) if isinstance(values, Mapping) else values.model_dump(mode="json")
        for name, values in parameters.items()
    }
    if runtime is not None:
        read["compute"] = {"precision": runtime.precision}
    return Origin(
        made_by=f"{cell.method}.{node}",
        benchmark=cell.benchmark,
        method=cell.method,
        variant=cell.variant,
        seed=cell.seed,
        data=data_hash(split_table),
        galleries=None if galleries is None else galleries_hash(galleries),
        parameters=read,
        weights=None if after is None else after.weights,
        made_from={} if after is None else dict(after.made_from),
        label_use="none" if after is None else after.label_use,
        code=__version__,
        device="" if runtime is None else runtime.device.type,
        threads=0 if runtime is None else runtime.threads,
    )
