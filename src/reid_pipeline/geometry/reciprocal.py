"""k-reciprocal encoding: every row as a sparse vector of weights over the rows that are mutually near it.

Source: Zhong, Zheng, Cao and Li, "Re-ranking Person Re-identification with k-reciprocal Encoding", CVPR 2017,
equations 3 to 7 and 11, as the public code of Cluster Contrast (arXiv 2103.11568) computes it.

Shape suffixes: N rows, K neighbours, D width, E stored entries, R rows of a block, T places for its entries.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from reid_pipeline.geometry.compiled import even_parts, in_threads
from reid_pipeline.geometry.distances import Floats, Indices, pair_squared_distances

_BLOCK_ENTRIES = 1 << 20

FillRows = Callable[[tuple[int, int], NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]], None]
"""Fills (rows `start : stop`, their sizes, columns, values); see `reciprocal_kernels`."""


def sparse_rows(most_N: Indices, fill: FillRows) -> sparse.csr_array:
    """Make a square matrix row by row, in threads and in blocks of bounded size.

    Args:
        most_N: how many entries each row can have at most.
        fill: writes the rows of a block, each as if it were alone: blocks and threads change nothing.

    Returns:
        float32 CSR `[N, N]`, columns in the order in which they were written.
    """
    total = len(most_N)
    before = np.concatenate(([0], np.cumsum(most_N)))
    largest = even_parts(total)[0][1]

    def block(part: tuple[int, int]) -> tuple[Any, ...]:
        sizes = np.empty(part[1] - part[0], dtype=np.int32)
        columns = np.empty(before[part[1]] - before[part[0]], dtype=np.int32)
        values = np.empty(len(columns), dtype=np.float32)
        fill(part, sizes, columns, values)
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


def reciprocal_sets(lists_NK: NDArray[np.int32], count: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return R (equation 4): those of each row's first `count` that have it among their first `count`.

    Returns:
        members `[N, count]` int32 in the order of the list, padded, and their number `[N]` int32.
    """
    from reid_pipeline.geometry.reciprocal_kernels import reciprocal

    count = min(count, lists_NK.shape[1])
    sets = (np.zeros((len(lists_NK), count), dtype=np.int32), np.empty(len(lists_NK), dtype=np.int32))
    in_threads(lambda part: reciprocal(lists_NK, count, sets, *part), even_parts(len(lists_NK)))
    return sets


def expanded_sets(distances_NK: NDArray[np.float32], indices_NK: Indices, half: int) -> sparse.csr_array:
    """Return the expanded sets R* (equation 5) with squared distances, NaN where the lists do not hold them.

    A member c of R(i) brings its own reciprocal set of half size H(c) along when more than two thirds of H(c)
    lie in R(i), the set before any expansion. The comparison is one of whole numbers, so no rounding enters.

    Args:
        distances_NK: squared distances of the neighbours.
        indices_NK: neighbour lists, each row's own index first.
        half: columns of the lists from which H is made.
    """
    from reid_pipeline.geometry.reciprocal_kernels import expand

    neighbours = (np.ascontiguousarray(distances_NK), indices_NK.astype(np.int32))
    full, small = (reciprocal_sets(neighbours[1], count) for count in (indices_NK.shape[1], half))
    present = np.arange(full[0].shape[1]) < full[1][:, None]
    most_N = full[1] + np.where(present, small[1][full[0]], 0).sum(axis=1)
    return sparse_rows(most_N, lambda *block: expand(neighbours, full, small, *block))


def reciprocal_weights(
    features_ND: Floats,
    neighbours: tuple[NDArray[np.float32], Indices],
    *,
    half: int,
    scale_N: NDArray[np.float64] | None = None,
) -> sparse.csr_array:
    """Return V: the weights of each row over its expanded set.

    `V[i, j] = exp(-|x_i - x_j|^2 / scale_i)` on R*(i), divided by the row's sum (equation 7).

    Args:
        features_ND: `[N, D]` floats.
        neighbours: squared distances and indices `[N, K]`, each row itself first.
        half: columns of the lists from which the half-size sets are made.
        scale_N: divides the squared distances of each row, `[N]` above 0; None divides by 1.

    Returns:
        float32 CSR `[N, N]`, every row above 0 with sum 1, columns in no order.
    """
    rows = len(features_ND)
    weights = expanded_sets(*neighbours, half)
    rows_E = np.repeat(np.arange(rows), np.diff(weights.indptr))
    squared_E = weights.data.astype(np.float64)
    missing = np.flatnonzero(np.isnan(squared_E))
    squared_E[missing] = pair_squared_distances(
        features_ND, features_ND, rows_E[missing], weights.indices[missing].astype(np.int64)
    )
    if scale_N is not None:
        squared_E /= scale_N[rows_E]
    exponential_E = np.exp(-squared_E)
    sums_N = np.bincount(rows_E, weights=exponential_E, minlength=rows)
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
    return sparse_rows(most_N, lambda *block: average(nearest, parts_of(weights), *block))


def parts_of(matrix: sparse.csr_array | sparse.csc_array) -> tuple[Any, Any, Any]:
    """Return (indptr int64, indices int32, data) of a matrix, as the kernels take it."""
    return (matrix.indptr.astype(np.int64, copy=False), matrix.indices.astype(np.int32, copy=False), matrix.data)
