"""Exact nearest neighbours by one interface: tiles or faiss on the CPU, torch elsewhere, one answer from all.

A backend returns a few more candidates than asked for, by a float32 matrix product. Their distances are then
computed again pair by pair; a row whose last neighbour may tie with a row that is no candidate is searched
exhaustively in float64. So the answer depends neither on the backend nor on its blocks or threads.

Shape suffixes: M queries, N rows searched, D width, K neighbours, C candidates, F furthest, P pairs.
"""

import importlib.util
import logging
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reid_pipeline.geometry import candidates
from reid_pipeline.geometry.candidates import Candidates, Float32s
from reid_pipeline.geometry.compiled import even_parts, in_threads
from reid_pipeline.geometry.distances import (
    Floats,
    Indices,
    Int32s,
    check_count,
    checked_features,
    expansion_tolerance,
    pair_squared_distances,
    squared_norms,
)
from reid_pipeline.geometry.watch import Watch
from reid_pipeline.schema.errors import UserError

Search = Callable[[Floats, Floats, int], Candidates]
"""Candidates of (queries, features, count)."""

_log = logging.getLogger(__name__)
_MARGIN = 8
_FURTHEST = 4
_EXHAUSTIVE_ROWS = 64
_EXHAUSTIVE_ENTRIES = 1 << 21
# The product is made in float32, and a sum of four such norms must not overflow there.
_GREATEST_NORM = 8e37
# Below it products are smaller than what float32 can hold: the bound of their rounding error would not be one.
_SMALLEST_NORM = 1e-25
# Pairs of rows that are searched in float64: held together at most, and so many that it takes a minute and more.
_MOST_TIED_PAIRS = 1 << 24
_WORTH_A_WARNING = 1 << 29


def nearest_neighbours(
    features: ArrayLike, k: int, *, queries: ArrayLike | None = None, device: str = "cpu"
) -> tuple[Float32s, Indices]:
    """Find the `k` nearest rows by squared Euclidean distance, exactly.

    Time O(M N D) in blocks; memory O(M k) and one block beside the input.

    Args:
        features: the rows searched, `[N, D]` floats.
        k: how many neighbours, at least 1; more than N gives N.
        queries: `[M, D]` floats; None stands for `features` themselves, and each row then comes first in its
            own list, before any duplicate of it.
        device: "cpu" (tiles where `queries` is None; else faiss where it is installed, and torch), or a torch
            device such as "cuda".

    Returns:
        squared distances `[M, min(k, N)]` float32 (the float64 value, rounded), and indices `[M, min(k,
        N)]` int64, every row sorted by (distance, index).

    Raises:
        UserError: unusable features, widths that differ, or k below 1.
    """
    features_ND = checked_features(features)
    queries_MD = None if queries is None else checked_features(queries, name="queries")
    if queries_MD is not None and queries_MD.shape[1] != features_ND.shape[1]:
        raise UserError(
            f"queries are {queries_MD.shape[1]} wide and features {features_ND.shape[1]}; "
            "both must come from the same embedder."
        )
    check_count("k", k)
    search: Search = partial(candidates.torch_candidates, device=device)
    if device == "cpu" and queries_MD is None:
        search = candidates.tile_candidates
    elif device == "cpu" and importlib.util.find_spec("faiss") is not None:
        search = candidates.faiss_candidates
    distances_MK, indices_MK = exact_neighbours(features_ND, int(k), queries_MD, search)
    return distances_MK, indices_MK.astype(np.int64)


def own_neighbours(features_ND: Floats, k: int, watch: Watch | None = None) -> tuple[Float32s, Int32s]:
    """Return `nearest_neighbours` of checked rows among themselves on the CPU, with indices in int32."""
    return exact_neighbours(features_ND, k, None, partial(candidates.tile_candidates, watch=watch), watch)


def neighbours_and_furthest(features_ND: Floats, k: int) -> tuple[Float32s, Int32s, NDArray[np.float64]]:
    """Return what `own_neighbours` does, and each row's greatest squared distance, `[N]` float64, on the CPU."""
    total = len(features_ND)
    _check_norms(features_ND)
    near, far = candidates.nearest_and_furthest(features_ND, min(total, k + _MARGIN), min(total, _FURTHEST))
    return *_nearest_of(near, features_ND, features_ND, k, own=True), _furthest_of(far, features_ND)


def exact_neighbours(
    features_ND: Floats, k: int, queries_MD: Floats | None, search: Search, watch: Watch | None = None
) -> tuple[Float32s, Int32s]:
    """Return `nearest_neighbours` of checked features, with indices in int32, by the candidates of `search`."""
    own = queries_MD is None
    left_MD = features_ND if queries_MD is None else queries_MD
    _check_norms(features_ND, left_MD)
    found = search(left_MD, features_ND, min(len(features_ND), k + _MARGIN))
    return _nearest_of(found, left_MD, features_ND, k, own=own, watch=watch)


def _check_norms(*matrices: Floats) -> None:
    """Raise UserError where squared norms are too great for a float32 product, or all too small."""
    greatest = max(float(squared_norms(matrix).max()) for matrix in matrices)
    if greatest > _GREATEST_NORM:
        raise UserError(
            f"features have squared norms up to {greatest:.3g}; at most {_GREATEST_NORM:.0e} can be searched "
            "in float32: scale the features down."
        )
    if greatest < _SMALLEST_NORM and any(matrix.any() for matrix in matrices):
        raise UserError(
            f"features have squared norms of {greatest:.3g} at most; {_SMALLEST_NORM:.0e} at least can be searched "
            "in float32: scale the features up."
        )


def _nearest_of(
    found: Candidates, left_MD: Floats, features_ND: Floats, k: int, *, own: bool, watch: Watch | None = None
) -> tuple[Float32s, Int32s]:
    """Return the exact `k` nearest among the candidates, or of all rows where the candidates do not suffice."""
    from reid_pipeline.geometry.neighbour_kernels import rank_candidates

    total, rows = len(features_ND), len(left_MD)
    values_MC, rows_MC = found
    shape = (rows, min(k, total))
    nearest = (np.empty(shape, dtype=np.float32), np.empty(shape, dtype=np.int32))
    in_threads(lambda part: rank_candidates(left_MD, features_ND, rows_MC, own, nearest, part), even_parts(rows))
    if rows_MC.shape[1] < total:
        norms_M, greatest = squared_norms(left_MD), float(squared_norms(features_ND).max())
        tolerance_M = expansion_tolerance(norms_M, greatest, width=left_MD.shape[1], dtype=np.float32)
        unsure_M = ~(_bound(nearest[0]) < values_MC.max(axis=1) - tolerance_M)
        if own:
            unsure_M |= nearest[1][:, 0] != np.arange(total)
        _search_exhaustively(left_MD, features_ND, np.flatnonzero(unsure_M), nearest, own, watch)
    return nearest


def _bound(distances_MK: Float32s) -> NDArray[np.float64]:
    """Return a bound of each row's greatest distance before it was rounded to float32."""
    return np.asarray(distances_MK.max(axis=1).astype(np.float64) * (1 + 2.0**-22))


def _search_exhaustively(
    left_MD: Floats,
    features_ND: Floats,
    rows: Indices,
    found: tuple[Float32s, Int32s],
    own: bool,
    watch: Watch | None = None,
) -> None:
    """Search `rows` again in float64 and write their exact neighbours into `found`."""
    distances_MK, neighbours_MK = found
    k = distances_MK.shape[1]
    if len(rows) * len(features_ND) > _WORTH_A_WARNING:
        _log.warning(
            "%d of %d rows have so many others at nearly one distance that each is searched among all in float64, which"
            " is slow: the embeddings have collapsed, or hold one image many times.",
            len(rows),
            len(left_MD),
        )
    # All may tie: their pairs are held together.
    step = min(_EXHAUSTIVE_ROWS, max(1, _MOST_TIED_PAIRS // len(features_ND)))
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        # Any k rows bound the distance of the k-th nearest: only what lies within can be a neighbour.
        pair_rows_P, pair_columns_P = _within(left_MD[part], features_ND, _bound(distances_MK[part]))
        exact_P = pair_squared_distances(left_MD, features_ND, part[pair_rows_P], pair_columns_P).astype(np.float32)
        foreign_P = pair_columns_P != (part[pair_rows_P] if own else -1)
        order = np.lexsort((pair_columns_P, exact_P, foreign_P, pair_rows_P))
        firsts = np.searchsorted(pair_rows_P[order], np.arange(len(part)))
        nearest = order[firsts[:, None] + np.arange(k)]
        distances_MK[part] = exact_P[nearest]
        neighbours_MK[part] = pair_columns_P[nearest]
        if watch is not None:
            watch.tell("rows with ties", start + len(part), len(rows))


def _furthest_of(found: Candidates, features_ND: Floats) -> NDArray[np.float64]:
    """Return the greatest squared distance of each row, `[N]` float64, by candidates for the furthest."""
    far_NF, rows_NF = found
    total, count = rows_NF.shape
    exact_P = pair_squared_distances(
        features_ND, features_ND, np.repeat(np.arange(total), count), np.ascontiguousarray(rows_NF).ravel()
    )
    furthest_N: NDArray[np.float64] = exact_P.reshape(total, count).max(axis=1)
    if count < total:
        norms_N = squared_norms(features_ND)
        tolerance_N = expansion_tolerance(norms_N, float(norms_N.max()), width=features_ND.shape[1], dtype=np.float32)
        unsure = np.flatnonzero(far_NF.min(axis=1) + tolerance_N > furthest_N)
        for start in range(0, len(unsure), _EXHAUSTIVE_ROWS):
            part = unsure[start : start + _EXHAUSTIVE_ROWS]
            pair_rows_P, columns_P = _within(features_ND[part], features_ND, furthest_N[part], beyond=True)
            exact_P = pair_squared_distances(features_ND, features_ND, part[pair_rows_P], columns_P)
            np.maximum.at(furthest_N, part[pair_rows_P], exact_P)
    return furthest_N


def _within(
    left_MD: Floats, features_ND: Floats, bound_M: NDArray[np.float64], *, beyond: bool = False
) -> tuple[Indices, Indices]:
    """Return (row, column) of every pair whose distance may be at most (`beyond`: at least) `bound_M`."""
    left = left_MD.astype(np.float64)
    norms_M = squared_norms(left)
    sign = -1.0 if beyond else 1.0
    step = max(1, _EXHAUSTIVE_ENTRIES // (features_ND.shape[1] + len(left)))
    found_rows, found_columns = [], []
    for start in range(0, len(features_ND), step):
        right = features_ND[start : start + step].astype(np.float64)
        norms = squared_norms(right)
        tolerance_M = expansion_tolerance(norms_M, float(norms.max()), width=left.shape[1], dtype=np.float64)
        approximate = norms_M[:, None] + norms[None, :] - 2 * (left @ right.T)
        rows, columns = np.nonzero(sign * approximate <= (sign * bound_M + tolerance_M)[:, None])
        found_rows.append(rows)
        found_columns.append(columns + start)
    return np.concatenate(found_rows), np.concatenate(found_columns)
