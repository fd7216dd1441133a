"""The protocol: which rows are queries and gallery, and which of them count for each other."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, TypedDict

import numpy as np
import pandas as pd

from reid_pipeline.evaluation.open_set import open_set_figures
from reid_pipeline.evaluation.tracklets import pooled_tracklets
from reid_pipeline.retrieval.bootstrap import bootstrap_intervals
from reid_pipeline.retrieval.breakdown import camera_pair_breakdown, identity_breakdown
from reid_pipeline.retrieval.metrics import RetrievalResult, evaluate_distances, evaluate_retrieval
from reid_pipeline.retrieval.rerank import RERANK_PRESETS, average_query_expansion, reranked_blocks
from reid_pipeline.schema.columns import CAMERA, CAMID, IDENTITY, PATH, PID, REPEAT, SPLIT, TEST_SET, TEST_SETS, TRACKID
from reid_pipeline.schema.embeddings import Embeddings
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.open_set import OpenSetFigures, ScoreHistogram
from reid_pipeline.schema.parameters import EvaluationParameters

SPLITS_OF = {"test": ("query", "gallery"), "dev": ("dev_query", "dev_gallery")}
NOT_EVALUATED = "no image is query or gallery: nothing to score, the embeddings alone were made"
_OPTIONS = ("flip_averaging", "camera_mean_subtraction", "query_expansion", "rerank", "tracklets")
_BREAKDOWN = ("camera_pairs", "identities", "average_precision", "inverse_negative_penalty", "first_match_rank")
_SPREAD = ("mAP", "mINP", "rank1", "rank5", "rank10")


class RetrievalInputs(TypedDict):
    """The arguments of `evaluate_retrieval`, by name."""

    query_features: np.ndarray
    gallery_features: np.ndarray
    query_pids: np.ndarray
    gallery_pids: np.ndarray
    query_camids: np.ndarray | None
    gallery_camids: np.ndarray | None


@dataclass(frozen=True)
class Draw:
    """Row numbers of a query and a gallery, int64; the published test set, if named, and the pair's number in it."""

    query_rows: np.ndarray
    gallery_rows: np.ndarray
    test_set: str = ""
    repeat: int = 0


def retrieval_draws(split_table: pd.DataFrame, galleries: pd.DataFrame, evaluation: EvaluationParameters) -> list[Draw]:
    """Return the pairs of query and gallery that embeddings are evaluated on.

    One pair where query and gallery were published or sampled once; for rows of split `test` one for every test set
    and repeat in `galleries`, in the order of the table. None where nothing is tested on.
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
    draws = []
    for test_set, sampled in galleries.groupby(TEST_SET, sort=False):
        members = row_of[tested.loc[[test_set in names for names in sets], PATH]].to_numpy(np.int64)
        for repeat, rows in sampled.groupby(REPEAT)[PATH]:
            gallery = row_of[rows].to_numpy(np.int64)
            draws.append(Draw(np.setdiff1d(members, gallery), np.sort(gallery), str(test_set), int(str(repeat))))
    return draws


def retrieval_rows(split_table: pd.DataFrame, draws: Sequence[Draw]) -> np.ndarray:
    """Return the row numbers of the split table that are embedded, int64 [n].

    Queries, then gallery, of a single draw; the rows of all draws, sorted, where there are several; every row of the
    table where there is none.
    """
    if not draws:
        return np.arange(len(split_table))
    if len(draws) == 1:
        return np.concatenate([draws[0].query_rows, draws[0].gallery_rows])
    return np.unique(np.concatenate([rows for draw in draws for rows in (draw.query_rows, draw.gallery_rows)]))


def with_tracklets(
    embeddings: Embeddings, split_table: pd.DataFrame, draw: Draw, evaluation: EvaluationParameters
) -> tuple[Embeddings, Draw]:
    """Return what is evaluated of a draw: its tracklets, in the rows of their first images, where these are pooled.

    Query and gallery are pooled apart: a tracklet with images in both is one query and one gallery entry.

    Raises:
        UserError: no image has a tracklet, one holds several individuals, or a row has no embedding.
    """
    if evaluation.tracklets == "none":
        return embeddings, draw
    if split_table[TRACKID].iloc[np.concatenate([draw.query_rows, draw.gallery_rows])].isna().all():
        raise UserError(
            f"evaluation.tracklets is {evaluation.tracklets}, and no test image has a tracklet. Fill the column trackid"
            " of the manifest, or set it to none."
        )
    rows, vectors = [], []
    for side in (draw.query_rows, draw.gallery_rows):
        by_quality = evaluation.tracklets == "quality"
        firsts, means = pooled_tracklets(embeddings.of(side), split_table.iloc[side], by_quality=by_quality)
        rows.append(side[firsts])
        vectors.append(means)
    made = Embeddings(np.concatenate(rows), np.concatenate(vectors), embeddings.origin)
    return made, replace(draw, query_rows=rows[0], gallery_rows=rows[1])


def retrieval_inputs(
    embeddings: Embeddings, split_table: pd.DataFrame, draw: Draw, evaluation: EvaluationParameters
) -> RetrievalInputs:
    """Return the arguments of `evaluate_retrieval` from row-aligned embeddings.

    Raises:
        UserError: a row has no embedding; camera means are to be subtracted, and the camera of an image is unknown.
    """
    queries, gallery = draw.query_rows, draw.gallery_rows
    features = embeddings.of(queries), embeddings.of(gallery)
    pids = split_table[PID].to_numpy(np.int64)
    cameras = split_table[CAMID].iloc[np.concatenate([queries, gallery])]
    camids = None if cameras.isna().any() else cameras.to_numpy(np.int64)
    if evaluation.camera_mean_subtraction:
        if camids is None:
            raise UserError(
                "evaluation.camera_mean_subtraction is true, and the camera of a test image is unknown; it needs every"
                " image's camera: set it to false."
            )
        centred = _without_camera_means(np.concatenate(features), camids)
        features = centred[: len(queries)], centred[len(queries) :]
    if evaluation.query_expansion:
        features = average_query_expansion(*features, k=evaluation.query_expansion)
    if not evaluation.camera_filter:
        camids = None
    return {
        "query_features": features[0],
        "gallery_features": features[1],
        "query_pids": pids[queries],
        "gallery_pids": pids[gallery],
        "query_camids": None if camids is None else camids[: len(queries)],
        "gallery_camids": None if camids is None else camids[len(queries) :],
    }


def score(inputs: RetrievalInputs, evaluation: EvaluationParameters) -> RetrievalResult:
    """Score what `retrieval_inputs` returned, re-ranked if the protocol says so."""
    if evaluation.rerank == "none":
        return evaluate_retrieval(**inputs, max_rank=evaluation.max_rank)
    features = inputs["query_features"], inputs["gallery_features"]
    return evaluate_distances(
        reranked_blocks(*features, **asdict(RERANK_PRESETS[evaluation.rerank])),
        inputs["query_pids"],
        inputs["gallery_pids"],
        inputs["query_camids"],
        inputs["gallery_camids"],
        max_rank=evaluation.max_rank,
    )


def _without_camera_means(features: np.ndarray, camids: np.ndarray) -> np.ndarray:
    """Return unit rows, float [n, D], of features less the mean of their camera's rows; such a mean itself is 0."""
    centred = features.copy()
    for camera in np.unique(camids):
        centred[camids == camera] -= features[camids == camera].mean(axis=0)
    norms = np.linalg.norm(centred, axis=1, keepdims=True)
    unit: np.ndarray = centred / np.where(norms > 0, norms, 1)
    return unit


def evaluate_draws(
    embeddings: Embeddings, split_table: pd.DataFrame, galleries: pd.DataFrame, evaluation: EvaluationParameters
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the metrics of row-aligned embeddings, as in metrics.json, and breakdown.json's content.

    Over repeated galleries every figure is the mean, with the standard deviation (N - 1) in `<figure>_std`; several
    test sets are in `test_sets`, and the first of them at the top. Of a single draw mAP, mINP and Rank-1 have 95 %
    intervals over queries, `<figure>_low` and `<figure>_high`. Where nothing is tested on the figures are None and
    `not_evaluated` says why.

    Of the first draw are the open-set figures, `open_set` (in the breakdown the scores), which are left out where none
    were asked for or fewer than two individuals are tested, and the breakdown: `camera_pairs`, `identities`;
    `average_precision`, `inverse_negative_penalty` and `first_match_rank` of every query in the order of the split
    table (None where it is not valid), and the intervals again.
    """
    draws = retrieval_draws(split_table, galleries, evaluation)
    options = {name: getattr(evaluation, name) for name in _OPTIONS}
    if not draws:
        empty = {"num_queries": 0, "num_valid_queries": 0, "num_gallery": 0}
        figures = dict.fromkeys(_SPREAD)
        metrics = {**figures, **empty, "splits": evaluation.splits, "not_evaluated": NOT_EVALUATED}
        return metrics | options, {name: [] for name in _BREAKDOWN} | {"intervals": {}}
    results: dict[str, list[RetrievalResult]] = {}
    for draw in draws:
        own, tested = with_tracklets(embeddings, split_table, draw, evaluation)
        inputs = retrieval_inputs(own, split_table, tested, evaluation)
        results.setdefault(draw.test_set, []).append(score(inputs, evaluation))
    filtered = inputs["query_camids"] is not None
    by_set = {name: _over_repeats(repeats) for name, repeats in results.items()}
    first, result = draws[0].test_set, results[draws[0].test_set][0]
    intervals: dict[str, float] = {}
    if evaluation.resamples and len(draws) == 1:
        for name, ends in bootstrap_intervals(result, resamples=evaluation.resamples).items():
            intervals |= {f"{name}_low": ends[0], f"{name}_high": ends[1]}
    own, tested = with_tracklets(embeddings, split_table, draws[0], evaluation)
    inputs = retrieval_inputs(own, split_table, tested, evaluation)
    breakdown = _breakdown(inputs, split_table, tested, result, camera_filter=evaluation.camera_filter)
    metrics = {**by_set[first], "splits": evaluation.splits, "camera_filter": filtered, **options, **intervals}
    if len(by_set) > 1:
        metrics |= {"test_set": first, "test_sets": by_set}
    if found := _open_set(own, split_table, tested, evaluation):
        metrics["open_set"], breakdown["open_set"] = (record.content() for record in found)
    return metrics, breakdown | {"intervals": intervals}


def _breakdown(
    inputs: RetrievalInputs, split_table: pd.DataFrame, draw: Draw, result: RetrievalResult, *, camera_filter: bool
) -> dict[str, Any]:
    """Return the breakdown of one draw; without camera pairs where a camera is unknown."""
    queries, gallery = (split_table[CAMID].iloc[rows] for rows in (draw.query_rows, draw.gallery_rows))
    pairs = []
    if not (queries.isna().any() or gallery.isna().any()):
        pairs = camera_pair_breakdown(
            (inputs["query_features"], inputs["gallery_features"]),
            (inputs["query_pids"], inputs["gallery_pids"]),
            (queries.to_numpy(np.int64), gallery.to_numpy(np.int64)),
            _names(split_table, CAMID, CAMERA),
            camera_filter=camera_filter,
        )
    identities = identity_breakdown(result, inputs["query_pids"], _names(split_table, PID, IDENTITY))
    precisions, penalties = (
        [None if np.isnan(value) else float(value) for value in values]
        for values in (result.average_precision, result.inverse_negative_penalty)
    )
    ranks = [int(rank) or None for rank in result.first_match_rank]
    fields = dict(zip(_BREAKDOWN, (pairs, identities, precisions, penalties, ranks), strict=True))
    return {"draw": {"test_set": draw.test_set, "repeat": draw.repeat}} | fields


def _open_set(
    embeddings: Embeddings, split_table: pd.DataFrame, draw: Draw, evaluation: EvaluationParameters
) -> tuple[OpenSetFigures, ScoreHistogram] | None:
    """Return the open-set figures of one draw.

    Embeddings are compared as they are before query expansion and re-ranking, for which a probe would have to know the
    others.
    """
    if not evaluation.open_set.draws:
        return None
    inputs = retrieval_inputs(embeddings, split_table, draw, evaluation.model_copy(update={"query_expansion": 0}))
    return open_set_figures(
        (inputs["query_features"], inputs["gallery_features"]),
        (inputs["query_pids"], inputs["gallery_pids"]),
        (inputs["query_camids"], inputs["gallery_camids"]),
        evaluation.open_set,
    )


def _names(split_table: pd.DataFrame, number: str, name: str) -> dict[int, str]:
    """Return what the benchmark calls each camid or pid."""
    pairs = split_table[[number, name]].dropna().drop_duplicates()
    return dict(zip(pairs[number].astype(int), pairs[name], strict=True))


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
