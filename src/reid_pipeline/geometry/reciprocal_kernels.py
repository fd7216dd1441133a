"""Compiled loops of the k-reciprocal encoding; import inside functions.

Shape suffixes: N rows, K neighbours, R rows of a block, T places for the block's entries.

A sparse matrix is passed as (indptr, indices, data). Kernels that make rows of one (`expand`, `average`,
`similar`) write the rows `start : stop` one after the other into `out`: each row's count `[R]`, and columns and
values `[T]`, which are large enough.
"""

import numpy as np

from reid_pipeline.geometry.compiled import compiled

Sparse = tuple[np.ndarray, np.ndarray, np.ndarray]
Sets = tuple[np.ndarray, np.ndarray]
"""Per row its members, padded, `[N, K]` int32, and how many there are, `[N]` int32."""
Rows = tuple[np.ndarray, np.ndarray, np.ndarray]


@compiled
def reciprocal(lists_NK: np.ndarray, sets: Sets, start: int, stop: int) -> None:
    """Write R (equation 4): those of a row's first neighbours, as many as a set can have, that have it likewise."""
    members_NK, sizes_N = sets
    count = members_NK.shape[1]
    for row in range(start, stop):
        size = 0
        for place in range(count):
            other = lists_NK[row, place]
            for back in range(count):
                if lists_NK[other, back] == row:
                    members_NK[row, size] = other
                    size += 1
                    break
        sizes_N[row] = size


@compiled
def expand(neighbours: Sets, full: Sets, half: Sets, part: tuple[int, int], out: Rows) -> None:  # noqa: C901 - compiled
    """Write the expanded sets R* (equation 5), with each member's distance where the list holds it, else NaN.

    A member c of R(i) brings H(c), its reciprocal set of half size, along when more than two thirds of H(c)
    lie in R(i) as it was before any expansion.
    """
    sizes_R, columns_T, values_T = out
    distances_NK, lists_NK = neighbours
    total, count = lists_NK.shape
    mark_N = np.zeros(total, np.int64)
    place_N = np.zeros(total, np.int32)
    end = 0
    for row in range(part[0], part[1]):
        first, original, added = end, 2 * (row - part[0]) + 1, 2 * (row - part[0]) + 2
        for member in full[0][row, : full[1][row]]:
            mark_N[member] = original
            columns_T[end] = member
            end += 1
        for candidate in full[0][row, : full[1][row]]:
            size = half[1][candidate]
            inside = 0
            for member in half[0][candidate, :size]:
                inside += mark_N[member] == original
            if 3 * inside > 2 * size:
                for member in half[0][candidate, :size]:
                    if mark_N[member] < original:
                        mark_N[member] = added
                        columns_T[end] = member
                        end += 1
        for place in range(count):
            place_N[lists_NK[row, place]] = place + 1
        for entry in range(first, end):
            place = place_N[columns_T[entry]]
            values_T[entry] = distances_NK[row, place - 1] if place > 0 else np.nan
        for place in range(count):
            place_N[lists_NK[row, place]] = 0
        sizes_R[row - part[0]] = end - first


@compiled
def average(nearest_NK: np.ndarray, weights: Sparse, part: tuple[int, int], out: Rows) -> None:
    """Write the mean of the weights over each row's nearest (equation 11)."""
    sizes_R, columns_T, values_T = out
    indptr, indices, data = weights
    count = nearest_NK.shape[1]
    sums_N = np.zeros(len(nearest_NK), np.float64)
    end = 0
    for row in range(part[0], part[1]):
        first = end
        for place in range(count):
            near = nearest_NK[row, place]
            for entry in range(indptr[near], indptr[near + 1]):
                column = indices[entry]
                if sums_N[column] == 0.0:
                    columns_T[end] = column
                    end += 1
                sums_N[column] += data[entry]
        for entry in range(first, end):
            values_T[entry] = sums_N[columns_T[entry]] / count
            sums_N[columns_T[entry]] = 0.0
        sizes_R[row - part[0]] = end - first


@compiled
def _share(row: int, first: int, weights: Sparse, columns: Sparse, sums_N: np.ndarray, touched_N: np.ndarray) -> int:
    """Add `min(V_rc, V_jc)` to `sums_N[j]` for all columns c and rows j from `first` on; list j in `touched_N`.

    Returns how many are listed. Rows of a column ascend: read from the end.
    """
    count = 0
    for entry in range(weights[0][row], weights[0][row + 1]):
        column, value = weights[1][entry], weights[2][entry]
        for place in range(columns[0][column + 1] - 1, columns[0][column] - 1, -1):
            other = columns[1][place]
            if other < first:
                break
            if sums_N[other] == 0.0:
                touched_N[count] = other
                count += 1
            sums_N[other] += min(value, columns[2][place])
    return count


@compiled
def _jaccard(shared: float) -> float:
    """Return `s / (2 - s)` (equation 10, rows of weights having sum 1)."""
    bounded = min(shared, 1.0)
    return bounded / (2.0 - bounded)


@compiled
def similar(weights: Sparse, columns: Sparse, minimum: float, part: tuple[int, int], out: Rows) -> None:
    """Write half of each row's similarity with itself, and the rows after it that reach 0 and `minimum`."""
    sizes_R, columns_T, values_T = out
    total = len(weights[0]) - 1
    sums_N = np.zeros(total, np.float64)
    touched_N = np.empty(total, np.int32)
    end = 0
    for row in range(part[0], part[1]):
        first = end
        columns_T[end] = row
        values_T[end] = 0.5
        end += 1
        count = _share(row, row + 1, weights, columns, sums_N, touched_N)
        for place in range(count):
            other = touched_N[place]
            value = np.float32(_jaccard(sums_N[other]))
            sums_N[other] = 0.0
            if value > 0 and value >= minimum:
                columns_T[end] = other
                values_T[end] = value
                end += 1
        sizes_R[row - part[0]] = end - first


@compiled
def subtract_similarity(
    encoded: tuple[Sparse, Sparse], first: int, factor: float, start: int, out_RG: np.ndarray, part: tuple[int, int]
) -> None:
    """Subtract `factor` times the similarity of a part of the rows from `start` with the rows from `first` on.

    `encoded` are the weights by rows and by columns.
    """
    weights, columns = encoded
    total = len(weights[0]) - 1
    sums_N = np.zeros(total, np.float64)
    touched_N = np.empty(total, np.int32)
    for row in range(part[0], part[1]):
        count = _share(start + row, first, weights, columns, sums_N, touched_N)
        for place in range(count):
            other = touched_N[place]
            out_RG[row, other - first] -= factor * _jaccard(sums_N[other])
            sums_N[other] = 0.0
