"""The run card: everything a figure came from."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from reid_pipeline.schema.columns import DISTRACTOR_PID, PID, SPLIT
from reid_pipeline.splits import data_hash


def make_run_card(
    resolved: Mapping[str, Any],
    split_table: pd.DataFrame,
    metrics: Mapping[str, Any],
    history: Sequence[Mapping[str, Any]],
    run_environment: Mapping[str, Any],
    *,
    num_parameters: int,
    device_peak_memory: int | None = None,
) -> dict[str, Any]:
    """Return what is needed to make the metrics again, and what making them cost.

    Args:
        resolved: every parameter in force, by top-level name; `compute` as it was resolved.
        split_table: the data.
        metrics: the result; its benchmark, method and seed head the card.
        history: the epochs; their seconds add up over a killed and resumed run.
        run_environment: code, packages, machine, wall seconds and peak memory of this process.
        num_parameters: of the embedder, which is what retrieval needs.
        device_peak_memory: bytes, or None where tensors lie in main memory.
    """
    images = split_table[SPLIT].value_counts().sort_index()
    identities = split_table[split_table[PID] > DISTRACTOR_PID].groupby(SPLIT)[PID].nunique()
    return {
        "benchmark": metrics["benchmark"],
        "method": metrics["method"],
        "seed": metrics["seed"],
        "data_hash": data_hash(split_table),
        "data": {
            str(split): {"images": int(count), "identities": int(identities.get(split, 0))}
            for split, count in images.items()
        },
        "device": resolved["compute"]["device"],
        "precision": resolved["compute"]["precision"],
        "training_seconds": round(sum(record["seconds"]["epoch"] for record in history), 1),
        "num_parameters": num_parameters,
        # Of the stage that trains most: stages do not add up, they train the same tower.
        "num_trainable_parameters": max((record["trainable_parameters"] for record in history), default=0),
        **run_environment,
        "device_peak_memory_bytes": device_peak_memory,
        "parameters": dict(resolved),
    }
