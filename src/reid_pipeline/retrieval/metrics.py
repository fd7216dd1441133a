"""mAP, mINP and CMC of a ranking by Euclidean distance, and the first rows of the ranking.

Shape suffixes: Q queries, G gallery rows, D width, R ranks, L queries listed, T places of a list.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reid_pipeline.geometry.distances import Indices, check_count, pair_squared_distances
from reid_pipeline.retrieval.blocks import Block
from reid_pipeline.retrieval.inputs import Matches, checked_identities, checked_sides
from reid_pipeline.retrieval.ranks import DEFAULT_MEMORY_LIMIT, distance_ranks, feature_ranks
from reid_pipeline.schema.errors import UserError, first_few


@dataclass(frozen=True)
class RetrievalResult:
    """The figures of one evaluation; all fractions in 0..1.

    Attributes:
        mean_ap: mean average precision over the valid queries.
        mean_inp: mean inverse negative penalty over the valid queries.
        cmc: `[max_rank]` float64; `cmc[r - 1]` is the share of valid queries with a positive in the first r.
        average_precision: `[Q]` float64, NaN where the query is not valid.
        inverse_negative_penalty: `[Q]` float64, NaN where the query is not valid.
        first_match_rank: `[Q]` int64, 1-based rank of the nearest positive, 0 where the query is not valid.
        num_queries: queries given.
        num_valid_queries: queries with at least one positive after the camera filter.
        num_gallery: gallery rows that are not junk.
    """

    mean_ap: float
    mean_inp: float
    cmc: NDArray[np.float64]
    average_precision: NDArray[np.float64]
    inverse_negative_penalty: NDArray[np.float64]
    first_match_rank: NDArray[np.int64]
    num_queries: int
    num_valid_queries: int
    num_gallery: int

    def rank(self, k: int) -> float:
        """Return Rank-k, whatever `max_rank` was: the share of valid queries matched in the first k."""
        found = (self.first_match_rank >= 1) & (self.first_match_rank <= k)
        return float(found.sum() / self.num_valid_queries)

    def of_queries(self) -> dict[str, NDArray[np.float64]]:
        """Return what `mAP`, `mINP` and `rank1` are means of, `[Q]` each; only valid queries count."""
        first = (self.first_match_rank == 1).astype(np.float64)
        return {"mAP": self.average_precision, "mINP": self.inverse_negative_penalty, "rank1": first}

    def metrics(self) -> dict[str, float | int]:
        """Return the figures that `metrics.json` holds."""
        return {
            "mAP": self.mean_ap,
            "mINP": self.mean_inp,
            **{f"rank{k}": self.rank(k) for k in (1, 5, 10)},
            **{name: getattr(self, name) for name in ("num_queries", "num_valid_queries", "num_gallery")},
        }


@dataclass(frozen=True)
class RankedLists:
    """The first gallery rows of each query listed.

    Attributes:
        query_rows: `[L]` int64.
        gallery_rows: `[L, T]` int64, nearest first, -1 where the filtered gallery is shorter.
        distances: `[L, T]` float64 Euclidean, infinite where there is no row.
        matches: `[L, T]` bool, the row has the query's pid.
    """

    query_rows: Indices
    gallery_rows: Indices
    distances: NDArray[np.float64]
    matches: NDArray[np.bool_]


def evaluate_retrieval(  # noqa: PLR0913 - a fixed signature
    query_features: ArrayLike,
    gallery_features: ArrayLike,
    query_pids: ArrayLike,
    gallery_pids: ArrayLike,
    query_camids: ArrayLike | None = None,
    gallery_camids: ArrayLike | None = None,
    *,
    max_rank: int = 50,
    memory_limit: int = DEFAULT_MEMORY_LIMIT,
    device: str = "cpu",
) -> RetrievalResult:
    """Rank the gallery for every query by Euclidean distance, features as given, and score the rankings.

    Gallery rows with the query's pid *and* camid are removed for that query; without camids nothing is.
    Gallery rows with pid -1 (junk) never enter; a query with pid -1 is not valid. Pid 0 is an identity like
    others: Market-1501's distractors stay because no query has it. Queries without a positive are left out of
    every mean and counted. Ties are ordered by gallery row. For a query whose P positives have ranks r_1 <
    ... < r_P in the filtered gallery: `AP = (1 / P) sum_i i / r_i` (no interpolation; Zheng et al., ICCV
    2015), `INP = P / r_P` (Ye et al., "Deep Learning for Person Re-identification", TPAMI 2021, equation
    7); `CMC(r)` is the share of queries with r_1 <= r.

    Exact: float32 features are compared by a float32 product only where that decides, else in float64. Time
    O(Q G D); memory one block and O(Q + G), with no copy of float32 or float64 features.

    Args:
        query_features: `[Q, D]` floats, finite.
        gallery_features: `[G, D]` floats, finite.
        query_pids: `[Q]` integers.
        gallery_pids: `[G]` integers.
        query_camids: `[Q]` integers, or None.
        gallery_camids: `[G]` integers, or None.
        max_rank: length of the CMC, at least 1; beyond the gallery's size the last value repeats.
        memory_limit: bytes for a block of distances and its working arrays, at least 1 MiB.
        device: "cpu", or a torch device such as "cuda", which then also holds the gallery's features. The
            figures are the same: what a product leaves unsure is decided on the host.

    Raises:
        UserError: shapes that do not match, features that are not finite (which rows), camids on one side
            only, an option out of range, or no valid query at all (how many, and why).
    """
    check_count("max_rank", max_rank, "50")
    query, gallery = checked_sides(
        (query_features, query_pids, query_camids), (gallery_features, gallery_pids, gallery_camids)
    )
    matches = Matches.of(query, gallery)
    ranked = feature_ranks(matches, query.features, gallery.features, memory_limit=memory_limit, device=device)
    return _result(matches, ranked, max_rank)


def evaluate_distances(
    blocks: Iterable[tuple[int, ArrayLike]],
    query_pids: ArrayLike,
    gallery_pids: ArrayLike,
    query_camids: ArrayLike | None = None,
    gallery_camids: ArrayLike | None = None,
    *,
    max_rank: int = 50,
) -> RetrievalResult:
    """Score rankings by distances that are given block by block, such as re-ranked ones.

    The order is that of (distance, gallery row); protocol, ids and `max_rank` are those of `evaluate_retrieval`.
    O(Q G) time; memory a copy of one block and O(Q + G). A block is (first query row, distances `[rows, G]`), in
    the order of the queries, each query once; for a whole matrix, `[(0, matrix)]`. Float64 and integers are
    compared as float64, float32 and float16 as float32.

    Raises:
        UserError: blocks that do not fit each other or the ids, distances that are not finite (which rows),
            and the ids and options that `evaluate_retrieval` refuses.
    """
    check_count("max_rank", max_rank, "50")
    rows = len(np.atleast_1d(np.asarray(query_pids))), len(np.atleast_1d(np.asarray(gallery_pids)))
    matches = Matches.of(*checked_identities((query_pids, query_camids), (gallery_pids, gallery_camids), rows=rows))
    return _result(matches, distance_ranks(matches, blocks), max_rank)


def ranked_lists(  # noqa: PLR0913 - a fixed signature
    query_features: ArrayLike,
    gallery_features: ArrayLike,
    query_pids: ArrayLike,
    gallery_pids: ArrayLike,
    query_camids: ArrayLike | None = None,
    gallery_camids: ArrayLike | None = None,
    *,
    query_rows: ArrayLike,
    top: int = 10,
) -> RankedLists:
    """Return the first `top` gallery rows of the queries `query_rows`, as `evaluate_retrieval` ranks them.

    Arguments are those of `evaluate_retrieval`; `query_rows` are `[L]` integers in 0..Q-1, in the order wanted,
    and `top` is at least 1. Time O(L G D), memory O(G): meant for a few queries.

    Raises:
        UserError: as `evaluate_retrieval`; a query row that does not exist; or `top` below 1.
    """
    query, gallery = checked_sides(
        (query_features, query_pids, query_camids), (gallery_features, gallery_pids, gallery_camids)
    )
    rows_L = np.asarray(query_rows, dtype=np.int64).reshape(-1)
    outside = rows_L[(rows_L < 0) | (rows_L >= len(query.pids))]
    if outside.size or top < 1:
        raise UserError(
            f"query_rows hold {first_few(outside.tolist()) or 'nothing wrong'} and top is {top}; rows from "
            f"0 to {len(query.pids) - 1} and a top of at least 1 are allowed."
        )
    matches = Matches.of(query, gallery)
    listed = np.full((len(rows_L), top), -1, dtype=np.int64)
    distances = np.full((len(rows_L), top), np.inf)
    for place, row in enumerate(rows_L):
        usable = gallery.usable.copy()
        usable[matches.same(rows_L[[place]])[1]] = False
        usable[matches.positives(rows_L[[place]])[1]] = True
        candidates = np.flatnonzero(usable)
        squared = pair_squared_distances(query.features, gallery.features, np.full(len(candidates), row), candidates)
        order = np.argsort(squared, kind="stable")[:top]
        listed[place, : len(order)] = candidates[order]
        distances[place, : len(order)] = np.sqrt(squared[order])
    same = (listed >= 0) & (gallery.pids[listed] == query.pids[rows_L][:, None])
    return RankedLists(rows_L, listed, distances, same)


def _result(matches: Matches, ranked: Iterable[tuple[Block, Indices]], max_rank: int) -> RetrievalResult:
    """Turn the ranks of the positives into figures."""
    queries = len(matches.query.pids)
    precision_Q, penalty_Q = np.full(queries, np.nan), np.full(queries, np.nan)
    first_Q = np.zeros(queries, dtype=np.int64)
    for block, ranks_P in ranked:
        starts, lengths = block.starts[:-1], np.diff(block.starts)
        places_P = np.arange(1, len(ranks_P) + 1) - block.per_positive(starts)
        precision_Q[block.query_rows] = np.add.reduceat(places_P / ranks_P, starts) / lengths
        penalty_Q[block.query_rows] = lengths / ranks_P[block.starts[1:] - 1]
        first_Q[block.query_rows] = ranks_P[starts]
    valid = first_Q > 0
    if not valid.any():
        raise _no_valid_query(matches)
    hits_R = np.bincount(first_Q[first_Q <= max_rank], minlength=max_rank + 1)[1:]
    return RetrievalResult(
        mean_ap=float(precision_Q[valid].mean()),
        mean_inp=float(penalty_Q[valid].mean()),
        cmc=np.cumsum(hits_R) / valid.sum(),
        average_precision=precision_Q,
        inverse_negative_penalty=penalty_Q,
        first_match_rank=first_Q,
        num_queries=queries,
        num_valid_queries=int(valid.sum()),
        num_gallery=int(matches.gallery.usable.sum()),
    )


def _no_valid_query(matches: Matches) -> UserError:
    """Word the error: how many queries, and why none of them counts."""
    junk = ~matches.query.usable
    absent = int(((matches.starts == matches.ends) & ~junk).sum())
    total = len(junk)
    return UserError(
        f"None of the {total} queries has a positive: {absent} have a pid that the gallery does not hold, "
        f"{total - absent - int(junk.sum())} match in their own camera only, {int(junk.sum())} are junk "
        "(pid -1). Check that query and gallery come from one split and that pids were not relabelled on one "
        "side; if the benchmark has no cameras, leave both camids out."
    )
