"""k-reciprocal encoding and its Jaccard similarity, sparse: the distance of pseudo labels and of re-ranking.

Every row becomes a sparse vector of weights over the rows that are mutually near it. Source: Zhong, Zheng, Cao
and Li, "Re-ranking Person Re-identification with k-reciprocal Encoding", CVPR 2017, equations 3 to 7, 10 and
11, as the public code of Cluster Contrast (arXiv 2103.11568) computes it.

Cost: O(N^2 D) for the neighbour search; O(N s^2) for the sums, s stored weights in a row and in a column on average
(20 to 150 at the defaults whatever N is); a column in which nearly every row has a weight costs up to N^2 terms,
and makes the result dense: `most_pairs` bounds it. Memory beside the features and a few megabytes for each core: 8
bytes a row for each of `max(k1, k2) + 8` candidates and `max(k1, k2)` neighbours; then 8 bytes for each stored weight,
by rows and by columns; then 32 bytes for each pair of rows while the similarity is mirrored, and 16 afterwards. Indices
are int32 (of 2^31 entries and more int64), values float32, and pairs below the cut are dropped as they are found, by
their float32 values.

Shape suffixes: N rows, D width, K neighbours, E stored entries, R rows of a block, T places for its entries.
"""

from collections.abc import Callable
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from reid_pipeline.geometry.compiled import even_parts, in_threads
from reid_pipeline.geometry.distances import (
    Floats,
    Indices,
    Int32s,
    check_count,
    checked_features,
    pair_squared_distances,
)
from reid_pipeline.geometry.neighbours import own_neighbours
from reid_pipeline.geometry.watch import Watch
from reid_pipeline.schema.errors import UserError

BYTES_OF_PAIR = 32
"""Memory for each pair of different rows while the similarity is mirrored."""
_BLOCK_ENTRIES = 1 << 20
_BLOCK_ROWS = 1 << 15

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


def jaccard_similarity(
    features: ArrayLike,
    *,
    k1: int = 30,
    k2: int = 6,
    minimum: float = 0.0,
    watch: Watch | None = None,
    most_pairs: int | None = None,
) -> sparse.csr_array:
    """Return `jaccard_distance` without the pairs below `minimum`, which are dropped as they are found.

    `watch` follows how far it is. More stored pairs than `most_pairs` are a UserError, before they take memory.
    """
    check_neighbour_counts(k1, k2)
    # The weights have no name here: they go before the similarity is mirrored.
    return similarity_of(
        _query_expanded(checked_features(features), int(k1), int(k2), watch), minimum, watch, most_pairs
    )


def _query_expanded(features_ND: Floats, k1: int, k2: int, watch: Watch | None) -> sparse.csr_array:
    """Return the weights (equation 7) in the mean over each row's `k2` nearest; the neighbours go on return."""
    distances_NK, indices_NK = own_neighbours(features_ND, max(k1, k2), watch)
    lists = (distances_NK[:, :k1], indices_NK[:, :k1])
    weights = reciprocal_weights(features_ND, lists, half=round(k1 / 2) + 1)
    return expand_queries(weights, indices_NK[:, :k2])


def check_neighbour_counts(k1: int, k2: int) -> None:
    """Raise UserError where one is not a whole number of at least 1."""
    for name, count in (("k1", k1), ("k2", k2)):
        check_count(name, count, "k1 20 to 30, k2 6; the row itself counts as one of them")


def reciprocal_weights(
    features_ND: Floats,
    neighbours: tuple[NDArray[np.float32], Indices | Int32s],
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

    def weigh(part: tuple[int, int]) -> None:
        entries = slice(weights.indptr[part[0]], weights.indptr[part[1]])
        rows_E = np.repeat(np.arange(*part), np.diff(weights.indptr[part[0] : part[1] + 1]))
        squared_E = weights.data[entries].astype(np.float64)
        missing = np.flatnonzero(np.isnan(squared_E))
        columns = weights.indices[entries][missing]
        squared_E[missing] = pair_squared_distances(
            features_ND, features_ND, rows_E[missing], columns, in_one_thread=True
        )
        if scale_N is not None:
            squared_E /= scale_N[rows_E]
        exponential_E = np.exp(-squared_E)
        sums_R = np.bincount(rows_E - part[0], weights=exponential_E, minlength=part[1] - part[0])
        weights.data[entries] = exponential_E / sums_R[rows_E - part[0]]

    in_threads(weigh, row_blocks(len(features_ND)))
    weights.eliminate_zeros()
    return weights


def expand_queries(weights: sparse.csr_array, nearest_NK: Indices | Int32s) -> sparse.csr_array:
    """Return the mean of the weights over each row's nearest (equation 11): float32 CSR, in no order."""
    from reid_pipeline.geometry.reciprocal_kernels import average

    if nearest_NK.shape[1] == 1:
        return weights
    most_N = np.diff(weights.indptr).astype(np.int64)[nearest_NK].sum(axis=1)
    nearest = np.ascontiguousarray(nearest_NK, dtype=np.int32)
    return _sparse_rows(most_N, lambda *block: average(nearest, parts_of(weights), *block))


def parts_of(matrix: sparse.csr_array | sparse.csc_array) -> tuple[Any, Any, Any]:
    """Return (indptr int64, indices int32, data) of a matrix, as the kernels take it."""
    return (matrix.indptr.astype(np.int64, copy=False), matrix.indices.astype(np.int32, copy=False), matrix.data)


def row_blocks(total: int) -> list[tuple[int, int]]:
    """Split `range(total)` into (start, stop): a part for each core, or smaller ones where rows are many."""
    step = min(even_parts(total)[0][1], _BLOCK_ROWS)
    return [(start, min(start + step, total)) for start in range(0, total, step)]


def _expanded_sets(distances_NK: NDArray[np.float32], indices_NK: Indices | Int32s, half: int) -> sparse.csr_array:
    """Return the expanded sets R* (equation 5) with squared distances, NaN where the lists do not hold them."""
    from reid_pipeline.geometry.reciprocal_kernels import expand, reciprocal

    rows = len(indices_NK)
    neighbours = (np.ascontiguousarray(distances_NK), np.ascontiguousarray(indices_NK, dtype=np.int32))
    widths = (indices_NK.shape[1], min(half, indices_NK.shape[1]))
    full, small = ((np.zeros((rows, width), np.int32), np.empty(rows, np.int32)) for width in widths)
    most_N = np.empty(rows, np.int64)

    def fill(part: tuple[int, int]) -> None:
        for sets in (full, small):
            reciprocal(neighbours[1], sets, *part)

    def count(part: tuple[int, int]) -> None:
        members, sizes = (each[slice(*part)] for each in full)
        present = np.arange(members.shape[1]) < sizes[:, None]
        most_N[slice(*part)] = sizes + np.where(present, small[1][members], 0).sum(axis=1)

    in_threads(fill, row_blocks(rows))
    in_threads(count, row_blocks(rows))
    return _sparse_rows(most_N, lambda *block: expand(neighbours, full, small, *block))


def similarity_of(
    weights: sparse.csr_array, minimum: float, watch: Watch | None = None, most_pairs: int | None = None
) -> sparse.csr_array:
    """Return the similarity of all pairs of rows of `weights` as float32 CSR; see `jaccard_distance`."""
    upper = _upper_triangle(weights, minimum, watch, most_pairs)
    del weights
    lower = upper.T.tocsr()  # transposing sorts the columns
    del upper
    return lower + lower.T.tocsr()


def _upper_triangle(
    weights: sparse.csr_array, minimum: float, watch: Watch | None, most_pairs: int | None
) -> sparse.csr_array:
    """Return the similarity of each row with itself, of which it is a half, and with the rows after it."""
    from reid_pipeline.geometry.reciprocal_kernels import similar

    total = weights.shape[0]
    columns = weights.tocsc()
    entries_N = np.diff(columns.indptr).astype(np.int64)
    most_N = np.empty(total, np.int64)

    def count(part: tuple[int, int]) -> None:
        ends = weights.indptr[part[0] : part[1] + 1]
        terms = np.concatenate(([0], np.cumsum(entries_N[weights.indices[ends[0] : ends[-1]]])))
        most_N[slice(*part)] = 1 + np.minimum(np.diff(terms[ends - ends[0]]), total - 1 - np.arange(*part))

    in_threads(count, row_blocks(total))
    given = (parts_of(weights), parts_of(columns), float(np.float32(minimum)))
    return _sparse_rows(most_N, lambda *block: similar(*given, *block), watch, most_pairs)


def _sparse_rows(
    most_N: Indices, fill: FillRows, watch: Watch | None = None, most_pairs: int | None = None
) -> sparse.csr_array:
    """Return a square float32 matrix of which `fill` writes each row as if it were alone, in blocks and threads.

    `most_N` is how many entries each row can have at most. Columns stand in the order in which they are written. With
    `most_pairs` each row has an entry with itself.
    """
    before = np.concatenate(([0], np.cumsum(most_N)))
    parts = _blocks(before)
    written, done = 0, 0
    lock = Lock()

    def block(part: tuple[int, int]) -> tuple[Any, ...]:
        nonlocal written, done
        sizes = np.empty(part[1] - part[0], dtype=np.int32)
        columns = np.empty(before[part[1]] - before[part[0]], dtype=np.int32)
        values = np.empty(len(columns), dtype=np.float32)
        fill(part, (sizes, columns, values))
        count = int(sizes.sum(dtype=np.int64))
        with lock:
            written, done = written + count - len(sizes), done + 1  # each row with itself is no pair
            if most_pairs is not None and written > most_pairs:
                raise UserError(_too_many(written, most_pairs, part[1] / len(most_N)))
            if watch is not None:
                watch.tell("similarity", done, len(parts))
        return sizes, columns[:count].copy(), values[:count].copy()

    sizes, columns, values = map(list, zip(*in_threads(block, parts), strict=True))
    ends = np.concatenate(([0], np.cumsum(np.concatenate(sizes), dtype=np.int64)))
    if ends[-1] <= np.iinfo(np.int32).max:  # scipy gives the columns the type of the ends
        ends = ends.astype(np.int32)
    return sparse.csr_array((_joined(values), _joined(columns), ends), shape=(len(most_N), len(most_N)))


def _joined(parts: list[NDArray[Any]]) -> NDArray[Any]:
    """Return the parts as one array, and empty the list, so that nothing is held twice for long."""
    whole = np.concatenate(parts)
    parts.clear()
    return whole


def _blocks(before: Indices) -> list[tuple[int, int]]:
    """Return (start, stop) of blocks with about as many entries each, a row at least, a part of a core at most.

    Kernels fill a vector as long as the rows for each block: with blocks as long as that they stay linear in all.
    """
    total = len(before) - 1
    largest, entries = even_parts(total)[0][1], max(_BLOCK_ENTRIES, 4 * total)
    parts, start = [], 0
    while start < total:
        stop = int(np.searchsorted(before, before[start] + entries, side="right")) - 1
        stop = max(start + 1, min(stop, start + largest))
        parts.append((start, stop))
        start = stop
    return parts


def _too_many(pairs: int, most: int, share: float) -> str:
    """Return in words that a similarity would not fit into memory."""
    return (
        f"More than {most:,} pairs of rows are alike ({pairs:,} after {share:.0%} of the rows), and their graph would"
        " not fit: the embeddings have collapsed, or hold one image many times. Lower k1 or remove copies; or raise"
        f" clustering.most_pairs, at {BYTES_OF_PAIR} bytes of memory for a pair, and up to 300 while it is clustered."
    )
