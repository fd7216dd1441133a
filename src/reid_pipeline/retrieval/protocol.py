"""The protocol: which rows are queries and gallery, and which of them count for each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from reid_pipeline.retrieval.metrics import RetrievalResult, evaluate_retrieval
from reid_pipeline.schema.columns import CAMID, PATH, PID, REPEAT, SPLIT, TEST_SET, TEST_SETS
from reid_pipeline.schema.parameters import EvaluationParameters

SPLITS_OF = {"test": ("query", "gallery"), "dev": ("dev_query", "dev_gallery")}
NOT_EVALUATED = "no image is query or gallery: nothing to score, the embeddings alone were made"
_SPREAD = ("mAP", "mINP", "rank1", "rank5", "rank10")


@dataclass(frozen=True)
class Draw:
    """One pair of query and gallery.

    Attributes:
        query_rows: int64 [queries], row numbers of the split table.
        gallery_rows: int64 [gallery].
        test_set: name of the published test set; empty where there is but one.
        repeat: number of the draw within the test set, from 0.
    """

    query_rows: np.ndarray
    gallery_rows: np.ndarray
    test_set: str = ""
    repeat: int = 0


def retrieval_draws(
    split_table: pd.DataFrame, galleries: pd.DataFrame, evaluation: EvaluationParameters
) -> list[Draw]:
    """Return the pairs of query and gallery that embeddings are judged on.

    One pair where query and gallery were published or drawn once; for rows of split `test` one for every
    test set and repeat in `galleries`, test sets in the order of the table. None where nothing is tested on.

    Args:
        split_table: as `schema.tables.SPLIT_TABLE`.
        galleries: as `schema.tables.GALLERIES`.
        evaluation: which splits.
    """
    split = split_table[SPLIT].to_numpy()
    query, gallery = SPLITS_OF[evaluation.splits]
    rows = np.flatnonzero(split == query), np.flatnonzero(split == gallery)
    if len(rows[0]):
        return [Draw(*rows)]
    if evaluation.splits == "dev" or galleries.empty:
        return []
    return _repeated_draws(split_table, galleries)


def _repeated_draws(split_table: pd.DataFrame, galleries: pd.DataFrame) -> list[Draw]:
    row_of = pd.Series(np.arange(len(split_table)), index=split_table[PATH])
    tested = split_table[split_table[SPLIT] == "test"]
    sets = tested[TEST_SETS].str.split(" ")
    found = []
    for test_set in galleries[TEST_SET].unique():
        members = row_of[tested.loc[[test_set in among for among in sets], PATH]].to_numpy(np.int64)
        drawn = galleries[galleries[TEST_SET] == test_set]
        for repeat, rows in drawn.groupby(REPEAT)[PATH]:
            gallery = row_of[rows].to_numpy(np.int64)
            found.append(Draw(np.setdiff1d(members, gallery), np.sort(gallery), test_set, int(str(repeat))))
    return found


def retrieval_rows(split_table: pd.DataFrame, draws: Sequence[Draw]) -> np.ndarray:
    """Return the row numbers of the split table that are embedded, int64 [n].

    Queries, then gallery, of the only draw; the rows of all draws, sorted, where there are several; every
    row of the table where there is none.
    """
    if not draws:
        return np.arange(len(split_table))
    if len(draws) == 1:
        return np.concatenate([draws[0].query_rows, draws[0].gallery_rows])
    return np.unique(
        np.concatenate([rows for draw in draws for rows in (draw.query_rows, draw.gallery_rows)])
    )


def retrieval_inputs(
    embeddings: dict[str, np.ndarray],
    split_table: pd.DataFrame,
    draw: Draw,
    evaluation: EvaluationParameters,
) -> dict[str, np.ndarray | None]:
    """Return the arguments of `evaluate_retrieval`, by name, from row-aligned embeddings."""
    place = np.full(len(split_table), -1)
    place[embeddings["rows"]] = np.arange(len(embeddings["rows"]))
    inputs: dict[str, np.ndarray | None] = {}
    sides = {"query": draw.query_rows, "gallery": draw.gallery_rows}
    known = not split_table[CAMID].iloc[np.concatenate(list(sides.values()))].isna().any()
    for side, rows in sides.items():
        inputs[f"{side}_features"] = embeddings["embeddings"][place[rows]]
        inputs[f"{side}_pids"] = split_table[PID].to_numpy(np.int64)[rows]
        cameras = split_table[CAMID].iloc[rows]
        inputs[f"{side}_camids"] = cameras.to_numpy(np.int64) if evaluation.camera_filter and known else None
    return inputs


def evaluate_draws(
    embeddings: dict[str, np.ndarray],
    split_table: pd.DataFrame,
    galleries: pd.DataFrame,
    evaluation: EvaluationParameters,
) -> dict[str, Any]:
    """Return the metrics of row-aligned embeddings, as they stand in metrics.json.

    Where galleries were drawn repeatedly every figure is the mean over the repeats, with `<figure>_std`,
    their standard deviation (N - 1), beside it; several test sets stand under `test_sets`, and the first of
    them at the top. Where nothing is tested on the figures are None and `not_evaluated` says why.
    """
    draws = retrieval_draws(split_table, galleries, evaluation)
    if not draws:
        empty = {"num_queries": 0, "num_valid_queries": 0, "num_gallery": 0}
        figures = dict.fromkeys(_SPREAD)
        return {**figures, **empty, "splits": evaluation.splits, "not_evaluated": NOT_EVALUATED}
    results: dict[str, list[RetrievalResult]] = {}
    filtered = False
    for draw in draws:
        inputs = retrieval_inputs(embeddings, split_table, draw, evaluation)
        filtered = inputs["query_camids"] is not None
        result = evaluate_retrieval(**inputs, max_rank=evaluation.max_rank)  # type: ignore[arg-type]
        results.setdefault(draw.test_set, []).append(result)
    by_set = {name: _over_repeats(repeats) for name, repeats in results.items()}
    first = next(iter(by_set))
    metrics = {**by_set[first], "splits": evaluation.splits, "camera_filter": filtered}
    return metrics | ({"test_set": first, "test_sets": by_set} if len(by_set) > 1 else {})


def _over_repeats(results: Sequence[RetrievalResult]) -> dict[str, Any]:
    """Return the figures of one draw, or the means and standard deviations of several."""
    cmc = np.mean([result.cmc for result in results], axis=0)
    metrics: dict[str, Any] = {**results[0].metrics(), "cmc": [float(value) for value in cmc]}
    if len(results) == 1:
        return metrics
    for name in _SPREAD:
        values = [result.metrics()[name] for result in results]
        metrics |= {name: float(np.mean(values)), f"{name}_std": float(np.std(values, ddof=1))}
    metrics["num_valid_queries"] = min(result.num_valid_queries for result in results)
    return metrics | {"repeats": len(results)}
