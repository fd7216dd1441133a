"""The protocol: which rows are queries and gallery, and which of them count for each other."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from reid_pipeline.retrieval.bootstrap import bootstrap_intervals
from reid_pipeline.retrieval.breakdown import camera_pair_breakdown, identity_breakdown
from reid_pipeline.retrieval.metrics import RetrievalResult, evaluate_distances, evaluate_retrieval
from reid_pipeline.retrieval.query_expansion import average_query_expansion
from reid_pipeline.retrieval.rerank import RERANK_PRESETS, reranked_blocks
from reid_pipeline.schema.columns import CAMERA, CAMID, IDENTITY, PATH, PID, REPEAT, SPLIT, TEST_SET, TEST_SETS
from reid_pipeline.schema.embeddings import Embeddings
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.parameters import EvaluationParameters

SPLITS_OF = {"test": ("query", "gallery"), "dev": ("dev_query", "dev_gallery")}
NOT_EVALUATED = "no image is query or gallery: nothing to score, the embeddings alone were made"
_OPTIONS = ("flip_averaging", "camera_mean_subtraction", "query_expansion", "rerank")
_BREAKDOWN = ("camera_pairs", "identities", "average_precision", "inverse_negative_penalty", "first_match_rank")
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


def retrieval_draws(split_table: pd.DataFrame, galleries: pd.DataFrame, evaluation: EvaluationParameters) -> list[Draw]:
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
    return np.unique(np.concatenate([rows for draw in draws for rows in (draw.query_rows, draw.gallery_rows)]))


def retrieval_inputs(
    embeddings: Embeddings, split_table: pd.DataFrame, draw: Draw, evaluation: EvaluationParameters
) -> dict[str, np.ndarray | None]:
    """Return the arguments of `evaluate_retrieval`, by name, from row-aligned embeddings.

    Raises:
        UserError: a row has no embedding; camera means are to be taken off, and an image's camera is unknown.
    """
    inputs: dict[str, np.ndarray | None] = {}
    sides = {"query": draw.query_rows, "gallery": draw.gallery_rows}
    known = not split_table[CAMID].iloc[np.concatenate(list(sides.values()))].isna().any()
    for side, rows in sides.items():
        inputs[f"{side}_features"] = embeddings.of(rows)
        inputs[f"{side}_pids"] = split_table[PID].to_numpy(np.int64)[rows]
        cameras = split_table[CAMID].iloc[rows]
        inputs[f"{side}_camids"] = cameras.to_numpy(np.int64) if evaluation.camera_filter and known else None
    if evaluation.camera_mean_subtraction:
        if not known:
            raise UserError(
                "evaluation.camera_mean_subtraction is true, and the camera of a test image is unknown; it "
                "needs every image's camera: set it to false."
            )
        camids = split_table[CAMID].iloc[np.concatenate(list(sides.values()))].to_numpy(np.int64)
        without = subtract_camera_means(np.concatenate([inputs["query_features"], inputs["gallery_features"]]), camids)
        count = len(draw.query_rows)
        inputs |= {"query_features": without[:count], "gallery_features": without[count:]}
    if evaluation.query_expansion:
        features = inputs["query_features"], inputs["gallery_features"]
        expanded = average_query_expansion(*features, k=evaluation.query_expansion)  # type: ignore[arg-type]
        inputs |= dict(zip(("query_features", "gallery_features"), expanded, strict=True))
    return inputs


def score(inputs: dict[str, np.ndarray | None], evaluation: EvaluationParameters) -> RetrievalResult:
    """Score what `retrieval_inputs` returned, re-ranked if the protocol says so."""
    given: dict[str, Any] = dict(inputs)
    if evaluation.rerank == "none":
        return evaluate_retrieval(**given, max_rank=evaluation.max_rank)
    features = given.pop("query_features"), given.pop("gallery_features")
    blocks = reranked_blocks(*features, **asdict(RERANK_PRESETS[evaluation.rerank]))
    return evaluate_distances(blocks, **given, max_rank=evaluation.max_rank)


def subtract_camera_means(features: np.ndarray, camids: np.ndarray) -> np.ndarray:
    """Take the mean of its camera's rows from every row, and make rows unit vectors again.

    Args:
        features: float array [n, D].
        camids: int64 array [n].

    Returns:
        a new array [n, D]; a row that is its camera's mean stays 0.
    """
    _, places = np.unique(camids, return_inverse=True)
    without = features.copy()
    for camera in range(places.max() + 1):
        without[places == camera] -= features[places == camera].mean(axis=0)
    norms = np.linalg.norm(without, axis=1, keepdims=True)
    unit: np.ndarray = without / np.where(norms > 0, norms, 1)
    return unit


def evaluate_draws(
    embeddings: Embeddings, split_table: pd.DataFrame, galleries: pd.DataFrame, evaluation: EvaluationParameters
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the metrics of row-aligned embeddings, as in metrics.json, and breakdown.json's content.

    Where galleries were drawn repeatedly every figure is the mean over the repeats, with `<figure>_std`,
    their standard deviation (N - 1), beside it; several test sets stand under `test_sets`, and the first of
    them at the top. Of a single draw mAP, mINP and Rank-1 have 95 % intervals over queries, `<figure>_low`
    and `<figure>_high`. Where nothing is tested on the figures are None and `not_evaluated` says why.

    The breakdown is that of the first draw: `camera_pairs`, `identities`; `average_precision`,
    `inverse_negative_penalty` and `first_match_rank` of every query in the order of the split table (None
    where it is not valid), and the intervals again.
    """
    draws = retrieval_draws(split_table, galleries, evaluation)
    options = {name: getattr(evaluation, name) for name in _OPTIONS}
    if not draws:
        empty = {"num_queries": 0, "num_valid_queries": 0, "num_gallery": 0}
        figures = dict.fromkeys(_SPREAD)
        metrics = {**figures, **empty, "splits": evaluation.splits, "not_evaluated": NOT_EVALUATED}
        return metrics | options, {name: [] for name in _BREAKDOWN} | {"intervals": {}}
    results: dict[str, list[RetrievalResult]] = {}
    filtered = False
    for draw in draws:
        inputs = retrieval_inputs(embeddings, split_table, draw, evaluation)
        filtered = inputs["query_camids"] is not None
        results.setdefault(draw.test_set, []).append(score(inputs, evaluation))
    by_set = {name: _over_repeats(repeats) for name, repeats in results.items()}
    first = next(iter(by_set))
    breakdown = _breakdown(embeddings, split_table, draws[0], evaluation, results[first][0])
    breakdown["intervals"] = _intervals(results[first][0], evaluation) if len(draws) == 1 else {}
    metrics = {**by_set[first], "splits": evaluation.splits, "camera_filter": filtered, **options}
    metrics |= breakdown["intervals"]
    return metrics | ({"test_set": first, "test_sets": by_set} if len(by_set) > 1 else {}), breakdown


def _intervals(result: RetrievalResult, evaluation: EvaluationParameters) -> dict[str, float]:
    """Return `<figure>_low` and `<figure>_high`."""
    if not evaluation.resamples:
        return {}
    found = bootstrap_intervals(result, resamples=evaluation.resamples)
    return {f"{name}_{end}": ends[i] for name, ends in found.items() for i, end in enumerate(("low", "high"))}


def _breakdown(
    embeddings: Embeddings,
    split_table: pd.DataFrame,
    draw: Draw,
    evaluation: EvaluationParameters,
    result: RetrievalResult,
) -> dict[str, Any]:
    """Return the breakdown of one draw; without camera pairs where a camera is unknown."""
    inputs = retrieval_inputs(embeddings, split_table, draw, evaluation)
    pids = inputs["query_pids"], inputs["gallery_pids"]
    cameras = [split_table[CAMID].iloc[rows] for rows in (draw.query_rows, draw.gallery_rows)]
    pairs = []
    if not any(camids.isna().any() for camids in cameras):
        pairs = camera_pair_breakdown(
            (inputs["query_features"], inputs["gallery_features"]),  # type: ignore[arg-type]
            pids,  # type: ignore[arg-type]
            tuple(camids.to_numpy(np.int64) for camids in cameras),  # type: ignore[arg-type]
            _names(split_table, CAMID, CAMERA),
            camera_filter=evaluation.camera_filter,
        )
    identities = identity_breakdown(result, pids[0], _names(split_table, PID, IDENTITY))  # type: ignore[arg-type]
    found = pairs, identities, *_of_queries(result)
    drawn = {"test_set": draw.test_set, "repeat": draw.repeat}
    return {"draw": drawn} | dict(zip(_BREAKDOWN, found, strict=True))


def _names(split_table: pd.DataFrame, number: str, name: str) -> dict[int, str]:
    """Return what the collection calls each camid or pid."""
    pairs = split_table[[number, name]].dropna().drop_duplicates()
    return dict(zip(pairs[number].astype(int), pairs[name], strict=True))


def _of_queries(result: RetrievalResult) -> tuple[list[float | None], list[float | None], list[int | None]]:
    """Return AP, INP and rank of the first match of every query, None where it is not valid."""
    precisions, penalties = (
        [None if np.isnan(value) else float(value) for value in values]
        for values in (result.average_precision, result.inverse_negative_penalty)
    )
    return precisions, penalties, [int(rank) or None for rank in result.first_match_rank]


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
