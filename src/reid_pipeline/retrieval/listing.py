"""The first rows of chosen queries' rankings, for the report's pictures.

Shape suffixes: L queries listed, T places of a list.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reid_pipeline.geometry.distances import Indices, pair_squared_distances
from reid_pipeline.retrieval.inputs import Matches, checked_sides
from reid_pipeline.schema.errors import UserError, first_few


@dataclass(frozen=True)
class RankedLists:
    """What stands first for each query listed.

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


def ranked_lists(
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
    """List the first `top` gallery rows of chosen queries, in the order that `evaluate_retrieval` scores.

    Time O(L G D), memory O(G): meant for a few queries.

    Args:
        query_features: as in `evaluate_retrieval`, like the next five.
        gallery_features: `[G, D]`.
        query_pids: `[Q]`.
        gallery_pids: `[G]`.
        query_camids: `[Q]` or None.
        gallery_camids: `[G]` or None.
        query_rows: `[L]` integers in 0..Q-1, in the order wanted.
        top: T, at least 1.

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
        usable[matches.removed(int(row))] = False
        candidates = np.flatnonzero(usable)
        squared = pair_squared_distances(query.features, gallery.features, np.full(len(candidates), row), candidates)
        order = np.argsort(squared, kind="stable")[:top]
        listed[place, : len(order)] = candidates[order]
        distances[place, : len(order)] = np.sqrt(squared[order])
    same = (listed >= 0) & (gallery.pids[listed] == query.pids[rows_L][:, None])
    return RankedLists(rows_L, listed, distances, same)
