"""What a run notes of itself: the origin of whatever it computes, and the run card."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from reid_pipeline import __version__
from reid_pipeline.engine.runtime import Runtime, device_peak_memory
from reid_pipeline.engine.whole_cost import COST
from reid_pipeline.models.embedder import Embedder
from reid_pipeline.reporting.guard_notes import exported_model
from reid_pipeline.schema.addresses import Cell
from reid_pipeline.schema.base import Parameters
from reid_pipeline.schema.columns import DISTRACTOR_PID, PID, SPLIT
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.origin import INIT_FROM, PUBLISHED, Origin
from reid_pipeline.schema.records import EpochRecord, ExportedModel, Metrics, RunCard, SplitCount
from reid_pipeline.splits import data_hash, galleries_hash


def run_origin(  # noqa: PLR0913 - what an origin consists of
    node: str,
    cell: Cell,
    split_table: pd.DataFrame,
    galleries: pd.DataFrame | None = None,
    *,
    parameters: Mapping[str, Parameters | Mapping[str, Any]],
    runtime: Runtime | None = None,
    after: Origin | None = None,
) -> Origin:
    """Return the origin of what a node, named without its method, makes of a run's cell.

    Galleries and runtime are given if the node reads them, `parameters` are those that the result depends on, by
    top-level name, and `after` is the origin of its input, whose weights, label use and ancestors it inherits.
    """
    read = {
        name: dict(values) if isinstance(values, Mapping) else values.model_dump(mode="json")
        for name, values in parameters.items()
    }
    if runtime is not None:
        read["compute"] = {"precision": runtime.precision}
    inherited = {} if after is None else after.model_dump(include={"weights", "made_from", "label_use"})
    computed = {} if runtime is None else {"device": runtime.device.type, "threads": runtime.threads}
    return Origin(
        made_by=f"{cell.method}.{node}",
        **cell.model_dump(exclude={"differs"}),
        data=data_hash(split_table),
        galleries=None if galleries is None else galleries_hash(galleries),
        parameters=read,
        code=__version__,
        **inherited,
        **computed,
    )


@dataclass(frozen=True)
class FinishedRun:
    """A run with its results: whose card is written."""

    cell: Cell
    split_table: pd.DataFrame
    metrics: Metrics
    history: Sequence[EpochRecord]
    embedder: Embedder
    runtime: Runtime


def make_run_card(
    run: FinishedRun,
    parameters: Mapping[str, Mapping[str, Any]],
    run_environment: Mapping[str, Any],
    *,
    zero_shot: str | None,
) -> RunCard:
    """Return what is needed to make the metrics again, and what making them cost.

    `parameters` are all those in force, by top-level name; in `compute` the card has device and precision as they
    were resolved. `run_environment` is code, packages, machine, wall seconds and peak memory of this process,
    `zero_shot` the address of the zero_shot that the run is compared with.
    """
    cell, history, runtime = run.cell, run.history, run.runtime
    used = {"device": str(runtime.device), "precision": runtime.precision}
    made_from = {} if run.embedder.origin is None else run.embedder.origin.made_from
    imported = {"imported": made_from[PUBLISHED]} if PUBLISHED in made_from else {}
    started = {INIT_FROM: cell.differs[INIT_FROM]} if INIT_FROM in cell.differs else {}
    compute = {"compute": {**parameters["compute"], **used}}
    return RunCard(
        **cell.model_dump(),
        data_hash=data_hash(run.split_table),
        data=_sizes(run.split_table),
        weights=None if run.embedder.origin is None else run.embedder.origin.weights,
        label_use=run.metrics.label_use,
        zero_shot=zero_shot,
        **imported,
        **started,
        **used,
        threads=runtime.threads,
        training_seconds=round(sum(record.seconds["epoch"] for record in history), 1),
        num_parameters=sum(value.numel() for value in run.embedder.parameters()),
        # Of the stage that trains most: stages do not add up, they train the same tower.
        num_trainable_parameters=max((record.trainable_parameters for record in history), default=0),
        **run_environment,
        device_peak_memory_bytes=device_peak_memory(runtime.device),
        parameters={"benchmark": cell.benchmark, "seed": cell.seed, **started, **parameters, **compute},
        **_cost_of_whole(history),
        **noted_export(history),
    )


def noted_export(history: Sequence[EpochRecord]) -> dict[str, ExportedModel]:
    """Return the entry `exported` of metrics and run card; nothing where the last model was exported unmeasured."""
    exported = exported_model(history)
    return {} if exported is None else {"exported": exported}


def _cost_of_whole(history: Sequence[EpochRecord]) -> dict[str, float]:
    """Return what training on the whole will take, from the history of a sample whose stages were all measured."""
    last = {record.stage: record.facts.get(COST) for record in history}
    costs = [cost for cost in last.values() if cost]
    if not costs or len(costs) < len(last):
        return {}
    return {"whole_training_seconds": round(sum(cost["seconds"] for cost in costs), 1)}


def _sizes(split_table: pd.DataFrame) -> dict[str, SplitCount]:
    images = split_table[SPLIT].value_counts().sort_index()
    identities = split_table[split_table[PID] > DISTRACTOR_PID].groupby(SPLIT)[PID].nunique()
    return {
        str(split): SplitCount(images=int(count), identities=int(identities.get(split, 0)))
        for split, count in images.items()
    }


def require_history(history: Sequence[EpochRecord], origin: Origin) -> None:
    """Raise a UserError if epochs are of another training than the embedder; those of the first version name none."""
    others = [record for record in history if record.run not in (None, origin.made_from.get(record.stage))]
    if others:
        raise UserError(
            f"{len(others)} of {len(history)} epochs in the history are of another training of stage"
            f" {others[0].stage} than {origin.file or 'what is made from it'}. Make both anew: run the pipeline from"
            f" node {origin.method}.train_{others[0].stage}."
        )
