"""k-reciprocal encoding: every row as a sparse vector of weights over the rows that are mutually near it.

Source: Zhong, Zheng, Cao and Li, "Re-ranking Person Re-identification with k-reciprocal Encoding", CVPR 2017,
equations 3 to 7 and 11, as the public code of Cluster Contrast (arXiv 2103.11568) computes it.

Shape suffixes: N rows, K neighbours, D width, E stored entries.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from reid_pipeline.geometry.distances import Floats, Indices, pair_squared_distances

_BLOCK_ROWS = 8192


def membership(indices_NK: Indices) -> sparse.csr_array:
    """Return the lists as a matrix: int32 CSR ``[N, N]``, 1 at (i, j) where j is in the list of i."""
    rows, count = indices_NK.shape
    pointers = np.arange(0, rows * count + 1, count)
    ones = np.ones(rows * count, dtype=np.int32)
    # A copy: sorting the columns of the matrix must not sort the lists themselves.
    lists = sparse.csr_array((ones, indices_NK.astype(np.int32).ravel(), pointers), shape=(rows, rows))
    lists.sort_indices()
    return lists


def reciprocal_sets(indices_NK: Indices) -> sparse.csr_array:
    """Return R, 1 at (i, j) where i and j are in each other's lists (equation 4): int32 CSR ``[N, N]``."""
    lists = membership(indices_NK)
    return sparse.csr_array(lists.multiply(lists.T.tocsr()))


def expanded_sets(indices_NK: Indices, half: int) -> sparse.csr_array:
    """Return the expanded sets R* (equation 5) as the pattern of an int32 CSR ``[N, N]``, columns sorted.

    A member c of R(i) brings its own reciprocal set of half size H(c) along when more than two thirds of H(c)
    lie in R(i), the set before any expansion. The comparison is one of whole numbers, so no rounding enters.

    Args:
        indices_NK: neighbour lists, each row's own index first, ``[N, K]`` int64.
        half: columns of the lists from which H is made.
    """
    full, small = reciprocal_sets(indices_NK), reciprocal_sets(indices_NK[:, :half])
    sizes_N = np.diff(small.indptr)
    small_transposed = small.T.tocsr()
    blocks = []
    for start in range(0, full.shape[0], _BLOCK_ROWS):
        sets = full[start : start + _BLOCK_ROWS]
        joining = sparse.csr_array((sets @ small_transposed).multiply(sets))
        joining.data = (3 * joining.data > 2 * sizes_N[joining.indices]).astype(np.int32)
        joining.eliminate_zeros()
        blocks.append(sets + joining @ small)
    expanded = sparse.csr_array(sparse.vstack(blocks, format="csr"))
    expanded.sort_indices()
    return expanded


def reciprocal_weights(
    features_ND: Floats,
    neighbours: tuple[NDArray[np.float32], Indices],
    *,
    half: int,
    scale_N: NDArray[np.float64] | None = None,
) -> sparse.csr_array:
    """Return V: the weights of each row over its expanded set.

    ``V[i, j] = exp(-|x_i - x_j|^2 / scale_i)`` on R*(i), divided by the row's sum (equation 7).

    Args:
        features_ND: ``[N, D]`` floats.
        neighbours: squared distances and indices ``[N, K]``, each row itself first.
        half: columns of the lists from which the half-size sets are made.
        scale_N: divides the squared distances of each row, ``[N]`` above 0; None divides by 1.

    Returns:
        float32 CSR ``[N, N]`` with sorted columns, every row at least 0 with sum 1.
    """
    distances_NK, indices_NK = neighbours
    rows = len(features_ND)
    weights = expanded_sets(indices_NK, half)
    rows_E = np.repeat(np.arange(rows), np.diff(weights.indptr))
    squared_E = _entry_distances(features_ND, weights, (distances_NK, indices_NK))
    if scale_N is not None:
        squared_E /= scale_N[rows_E]
    exponential_E = np.exp(-squared_E)
    sums_N = np.bincount(rows_E, weights=exponential_E, minlength=rows)
    weights.data = (exponential_E / sums_N[rows_E]).astype(np.float32)
    weights.eliminate_zeros()
    return weights


def expand_queries(weights: sparse.csr_array, nearest_NK: Indices) -> sparse.csr_array:
    """Return the mean of the weights over each row's nearest (equation 11): float32 CSR, columns sorted."""
    if nearest_NK.shape[1] == 1:
        return weights
    averaging = membership(nearest_NK).astype(np.float32)
    averaged = sparse.csr_array(averaging @ weights)
    averaged.data /= np.float32(nearest_NK.shape[1])
    averaged.sort_indices()
    return averaged


def _entry_distances(
    features_ND: Floats, pattern: sparse.csr_array, neighbours: tuple[NDArray[np.float32], Indices]
) -> NDArray[np.float64]:
    """Return the squared distance at every stored entry, ``[E]``: looked up in the lists, else computed."""
    distances_NK, indices_NK = neighbours
    rows, count = indices_NK.shape
    listed = np.arange(rows)[:, None] * rows + indices_NK
    order = np.argsort(indices_NK, axis=1)
    keys = np.take_along_axis(listed, order, axis=1).ravel()
    known = np.take_along_axis(distances_NK, order, axis=1).ravel()
    rows_E = np.repeat(np.arange(rows), np.diff(pattern.indptr))
    columns_E = pattern.indices.astype(np.int64)
    wanted_E = rows_E * rows + columns_E
    places_E = np.minimum(np.searchsorted(keys, wanted_E), rows * count - 1)
    squared_E: NDArray[np.float64] = known[places_E].astype(np.float64)
    missing = np.flatnonzero(keys[places_E] != wanted_E)
    squared_E[missing] = pair_squared_distances(features_ND, features_ND, rows_E[missing], columns_E[missing])
    return squared_E
