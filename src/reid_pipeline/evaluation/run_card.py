"""The run card: everything a figure came from."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from reid_pipeline.engine.runtime import Runtime, device_peak_memory
from reid_pipeline.models.embedder import Embedder
from reid_pipeline.schema.addresses import Cell
from reid_pipeline.schema.columns import DISTRACTOR_PID, PID, SPLIT
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.origin import Origin
from reid_pipeline.schema.records import EpochRecord, Metrics, RunCard, SplitCount
from reid_pipeline.splits import data_hash


def make_run_card(
    parameters: Mapping[str, Any],
    compute: Mapping[str, Any],
    split_table: pd.DataFrame,
    metrics: Metrics,
    history: Sequence[EpochRecord],
    run_environment: Mapping[str, Any],
    *,
    cell: Cell,
    zero_shot: str | None,
    embedder: Embedder,
    runtime: Runtime,
) -> RunCard:
    """Return what is needed to make the metrics again, and what making them cost.

    Args:
        parameters: every parameter in force but `compute`, by top-level name.
        compute: as it was asked for; device, precision and threads stand in the card as they were resolved.
        split_table: the data.
        metrics: the result; label use is theirs.
        history: the epochs; their seconds add up over a killed and resumed run.
        run_environment: code, packages, machine, wall seconds and peak memory of this process.
        cell: address of the run, and what differs from conf/.
        zero_shot: address of the zero_shot that it is compared with.
        embedder: what retrieval needs; its starting weights are the run's.
        runtime: as it was resolved.
    """
    resolved = {**compute, "device": str(runtime.device), "precision": runtime.precision}
    return RunCard(
        benchmark=cell.benchmark,
        method=cell.method,
        variant=cell.variant,
        differs=dict(cell.differs),
        seed=cell.seed,
        data_hash=data_hash(split_table),
        data=_sizes(split_table),
        weights=None if embedder.origin is None else embedder.origin.weights,
        label_use=metrics.label_use,
        zero_shot=zero_shot,
        device=str(runtime.device),
        precision=runtime.precision,
        threads=runtime.threads,
        training_seconds=round(sum(record.seconds["epoch"] for record in history), 1),
        num_parameters=sum(value.numel() for value in embedder.parameters()),
        # Of the stage that trains most: stages do not add up, they train the same tower.
        num_trainable_parameters=max((record.trainable_parameters for record in history), default=0),
        **run_environment,
        device_peak_memory_bytes=device_peak_memory(runtime.device),
        parameters={"benchmark": cell.benchmark, "seed": cell.seed, "compute": resolved, **parameters},
    )


def _sizes(split_table: pd.DataFrame) -> dict[str, SplitCount]:
    images = split_table[SPLIT].value_counts().sort_index()
    identities = split_table[split_table[PID] > DISTRACTOR_PID].groupby(SPLIT)[PID].nunique()
    return {
        str(split): SplitCount(images=int(count), identities=int(identities.get(split, 0)))
        for split, count in images.items()
    }


def require_history(history: Sequence[EpochRecord], origin: Origin) -> None:
    """Refuse a history that is not of the training that an embedder comes from.

    Epochs of the first version do not say of which training they are, and are taken as they are.

    Raises:
        UserError: epochs are of another training.
    """
    others = [record for record in history if record.run not in (None, origin.made_from.get(record.stage))]
    if others:
        raise UserError(
            f"{len(others)} of {len(history)} epochs in the history are of another training of stage"
            f" {others[0].stage} than the embedder {origin.file}. Make both anew: run the pipeline from node"
            f" {origin.method}.train_{others[0].stage}."
        )
