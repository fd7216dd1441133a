"""The protocol: which rows are queries and gallery, and which of them count for each other."""

from typing import Any

import numpy as np
import pandas as pd

from reid_pipeline.retrieval.metrics import evaluate_retrieval
from reid_pipeline.schema.columns import CAMID, PID, SPLIT
from reid_pipeline.schema.parameters import EvaluationParameters

SPLITS_OF = {"test": ("query", "gallery"), "dev": ("dev_query", "dev_gallery")}


def retrieval_rows(split_table: pd.DataFrame, evaluation: EvaluationParameters) -> np.ndarray:
    """Return the row numbers of the split table that are embedded: queries, then gallery, int64 [n]."""
    split = split_table[SPLIT].to_numpy()
    query, gallery = SPLITS_OF[evaluation.splits]
    return np.concatenate([np.flatnonzero(split == query), np.flatnonzero(split == gallery)])


def retrieval_inputs(
    embeddings: dict[str, np.ndarray], split_table: pd.DataFrame, evaluation: EvaluationParameters
) -> dict[str, np.ndarray | None]:
    """Return the arguments of `evaluate_retrieval`, by name, from row-aligned embeddings."""
    rows = split_table.iloc[embeddings["rows"]]
    is_query = (rows[SPLIT] == SPLITS_OF[evaluation.splits][0]).to_numpy()
    use_cameras = evaluation.camera_filter and not rows[CAMID].isna().any()
    camids = rows[CAMID].to_numpy(np.int64) if use_cameras else None
    pids = rows[PID].to_numpy(np.int64)
    features = embeddings["embeddings"]
    return {
        "query_features": features[is_query],
        "gallery_features": features[~is_query],
        "query_pids": pids[is_query],
        "gallery_pids": pids[~is_query],
        "query_camids": None if camids is None else camids[is_query],
        "gallery_camids": None if camids is None else camids[~is_query],
    }


def evaluate_rows(
    embeddings: dict[str, np.ndarray], split_table: pd.DataFrame, evaluation: EvaluationParameters
) -> dict[str, Any]:
    """Return the metrics of row-aligned embeddings, as they stand in metrics.json."""
    inputs = retrieval_inputs(embeddings, split_table, evaluation)
    result = evaluate_retrieval(**inputs, max_rank=evaluation.max_rank)  # type: ignore[arg-type]
    return {
        **result.metrics(),
        "splits": evaluation.splits,
        "camera_filter": inputs["query_camids"] is not None,
        "cmc": [float(value) for value in result.cmc],
    }
