"""k-reciprocal encoding and its Jaccard similarity, sparse: the distance of pseudo labels and of re-ranking.

Every row becomes a sparse vector of weights over the rows that are mutually near it. Source: Zhong, Zheng, Cao
and Li, "Re-ranking Person Re-identification with k-reciprocal Encoding", CVPR 2017, equations 3 to 7, 10 and
11, as the public code of Cluster Contrast (arXiv 2103.11568) computes it.

Cost: O(N^2 D) for the neighbour search; O(N s^2) for the sums, s stored weights in a row and in a column on average
(20 to 150 at the defaults whatever N is); a column in which nearly every row has a weight costs up to N^2 terms,
and makes the result dense. Memory is the weights, the result, and a few megabytes for each core.

Shape suffixes: N rows, D width, K neighbours, E stored entries, R rows of a block, T places for its entries.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from reid_pipeline.geometry.compiled import even_parts, in_threads
from reid_pipeline.geometry.distances import Floats, Indices, check_count, checked_features, pair_squared_distances
from reid_pipeline.geometry.neighbours import nearest_neighbours

_BLOCK_ENTRIES = 1 << 20

FillRows = Callable[[tuple[int, int], tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]], None]
"""Fills the sizes, columns and values of rows `start : stop`; see `reciprocal_kernels`."""


def jaccard_distance(features: ArrayLike, *, k1: int = 30, k2: int = 6) -> sparse.csr_array:
    """Return the Jaccard *similarity* (1 - distance) of every pair of rows where it is above 0.

    A pair that is not stored has distance exactly 1, so the sparse similarity holds the whole distance matrix.

    The k1 nearest *include* the row itself; half-size lists have round(k1 / 2) + 1 columns (half to even);
    weights are `exp(-|x_i - x_j|^2)`, normalised per row; each row of weights is averaged over the k2
    nearest; `similarity = sum_c min(V_ic, V_jc) / (2 - sum_c min(V_ic, V_jc))`.

    Differs from the released code of Cluster Contrast: that code takes the distance as 2 - 2 cos, which is the
    squared Euclidean distance of unit rows; here it is the squared Euclidean distance of the rows as given.
    "More than two thirds" is decided in whole numbers. Ties go to the lower index. A k2 above k1 averages over
    the k2 nearest, not over k1 of them.

    Args:
        features: `[N, D]` floats, finite; unit rows are usual, not required.
        k1: neighbours in a list, the row included, at least 1; more than N means N.
        k2: nearest rows, the row included, that are averaged, at least 1.

    Returns:
        float32 CSR `[N, N]`, symmetric, values in (0, 1], diagonal 1, columns sorted. The same bits every
        time.

    Raises:
        UserError: unusable features, or k1 or k2 not a whole number of at least 1.
    """
    return jaccard_similarity(features, k1=k1, k2=k2)


def jaccard_similarity(features: ArrayLike, *, k1: int = 30, k2: int = 6, minimum: float = 0.0) -> sparse.csr_array:
    """Return `jaccard_distance` without the pairs below `minimum`, which are dropped as they are found."""
    check_neighbour_counts(k1, k2)
    features_ND = checked_features(features)
    distances_NK, indices_NK = nearest_neighbours(features_ND, max(k1, k2))
    lists = (distances_NK[:, :k1], indices_NK[:, :k1])
    weights = reciprocal_weights(features_ND, lists, half=round(k1 / 2) + 1)
    return _similarity(expand_queries(weights, indices_NK[:, :k2]), minimum)


def check_neighbour_counts(k1: int, k2: int) -> None:
    """Raise UserError where one is not a whole number of at least 1."""
    for name, count in (("k1", k1), ("k2", k2)):
        check_count(name, count, "k1 20 to 30, k2 6; the row itself counts as one of them")


def reciprocal_weights(
    features_ND: Floats,
    neighbours: tuple[NDArray[np.float32], Indices],
    *,
    half: int,
    scale_N: NDArray[np.float64] | None = None,
) -> sparse.csr_array:
    """Return V: `exp(-|x_i - x_j|^2 / scale_i)` on the expanded sets R*(i), divided by the row's sum (equation 7).

    `neighbours` are squared distances and indices `[N, K]`, each row itself first; `half` is the length of the
    lists of the half-size sets; no scale divides by 1. Returns float32 CSR `[N, N]`, every row above 0 with sum 1,
    columns in no order.
    """
    weights = _expanded_sets(*neighbours, half)
    rows_E = np.repeat(np.arange(len(features_ND)), np.diff(weights.indptr))
    squared_E = weights.data.astype(np.float64)
    missing = np.flatnonzero(np.isnan(squared_E))
    squared_E[missing] = pair_squared_distances(
        features_ND, features_ND, rows_E[missing], weights.indices[missing].astype(np.int64)
    )
    if scale_N is not None:
        squared_E /= scale_N[rows_E]
    exponential_E = np.exp(-squared_E)
    sums_N = np.bincount(rows_E, weights=exponential_E, minlength=len(features_ND))
    weights.data = (exponential_E / sums_N[rows_E]).astype(np.float32)
    weights.eliminate_zeros()
    return weights


def expand_queries(weights: sparse.csr_array, nearest_NK: Indices) -> sparse.csr_array:
    """Return the mean of the weights over each row's nearest (equation 11): float32 CSR, in no order."""
    from reid_pipeline.geometry.reciprocal_kernels import average

    if nearest_NK.shape[1] == 1:
        return weights
    most_N = np.diff(weights.indptr).astype(np.int64)[nearest_NK].sum(axis=1)
    nearest = nearest_NK.astype(np.int32)
    return _sparse_rows(most_N, lambda *block: average(nearest, parts_of(weights), *block))


def parts_of(matrix: sparse.csr_array | sparse.csc_array) -> tuple[Any, Any, Any]:
    """Return (indptr int64, indices int32, data) of a matrix, as the kernels take it."""
    return (matrix.indptr.astype(np.int64, copy=False), matrix.indices.astype(np.int32, copy=False), matrix.data)


def _expanded_sets(distances_NK: NDArray[np.float32], indices_NK: Indices, half: int) -> sparse.csr_array:
    """Return the expanded sets R* (equation 5) with squared distances, NaN where the lists do not hold them."""
    from reid_pipeline.geometry.reciprocal_kernels import expand, reciprocal

    rows = len(indices_NK)
    neighbours = (np.ascontiguousarray(distances_NK), indices_NK.astype(np.int32))
    widths = (indices_NK.shape[1], min(half, indices_NK.shape[1]))
    full, small = ((np.zeros((rows, width), np.int32), np.empty(rows, np.int32)) for width in widths)

    def fill(part: tuple[int, int]) -> None:
        for sets in (full, small):
            reciprocal(neighbours[1], sets, *part)

    in_threads(fill, even_parts(rows))
    present = np.arange(full[0].shape[1]) < full[1][:, None]
    most_N = full[1] + np.where(present, small[1][full[0]], 0).sum(axis=1)
    return _sparse_rows(most_N, lambda *block: expand(neighbours, full, small, *block))


def _similarity(weights: sparse.csr_array, minimum: float) -> sparse.csr_array:
    """Return the similarity of all pairs of rows of `weights` as float32 CSR; see `jaccard_distance`."""
    from reid_pipeline.geometry.reciprocal_kernels import similar

    total = weights.shape[0]
    columns = weights.tocsc()
    entries_N = np.diff(columns.indptr).astype(np.int64)
    terms_N = np.diff(np.concatenate(([0], np.cumsum(entries_N[weights.indices])))[weights.indptr])
    most_N = 1 + np.minimum(terms_N, total - 1 - np.arange(total))
    given = (parts_of(weights), parts_of(columns), float(np.float32(minimum)))
    # The upper triangle with half of the diagonal; transposing sorts its columns.
    lower = _sparse_rows(most_N, lambda *block: similar(*given, *block)).T.tocsr()
    return lower + lower.T.tocsr()


def _sparse_rows(most_N: Indices, fill: FillRows) -> sparse.csr_array:
    """Return a square float32 matrix of which `fill` writes each row as if it were alone, in blocks and threads.

    `most_N` is how many entries each row can have at most. Columns stand in the order in which they are written.
    """
    total = len(most_N)
    before = np.concatenate(([0], np.cumsum(most_N)))
    largest = even_parts(total)[0][1]

    def block(part: tuple[int, int]) -> tuple[Any, ...]:
        sizes = np.empty(part[1] - part[0], dtype=np.int32)
        columns = np.empty(before[part[1]] - before[part[0]], dtype=np.int32)
        values = np.empty(len(columns), dtype=np.float32)
        fill(part, (sizes, columns, values))
        written = int(sizes.sum(dtype=np.int64))
        return sizes, columns[:written].copy(), values[:written].copy()

    parts, start = [], 0
    while start < total:
        stop = int(np.searchsorted(before, before[start] + _BLOCK_ENTRIES, side="right")) - 1
        stop = max(start + 1, min(stop, start + largest))
        parts.append((start, stop))
        start = stop
    sizes, columns, values = zip(*in_threads(block, parts), strict=True)
    ends = np.concatenate(([0], np.cumsum(np.concatenate(sizes), dtype=np.int64)))
    return sparse.csr_array((np.concatenate(values), np.concatenate(columns), ends), shape=(total, total))
