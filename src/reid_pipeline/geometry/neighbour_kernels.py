"""Compiled loops of the neighbour search; import inside functions.

Shape suffixes: M left rows, N right rows, D width, P pairs, C candidates, K neighbours, R rows and S columns
of a tile.
"""

import numpy as np

from reid_pipeline.geometry.compiled import compiled
from reid_pipeline.geometry.distances import Floats, Indices

Heaps = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Per row the least values seen so far, `[N, C]`, as a heap with the greatest first; their indices
`[N, C]`; the first values again, `[N]`, in one piece."""

Found = tuple[np.ndarray, np.ndarray]

_CHUNK = 32
_LANES = 64
_PAIRS = 8


@compiled
def fill_pairs(left_MD: Floats, right_ND: Floats, left_rows_P: Indices, right_rows_P: Indices, out_P: Floats) -> None:
    """Write `sum_d (x_d - y_d)^2` of each pair of rows, in float64 by 64 running sums, in one fixed order.

    Element d is added to sum d mod 64, the sums are folded pairwise, and the rest of a width that is no multiple
    of 64 is added last. Eight pairs go side by side, so that eight rows are fetched from memory at a time.
    """
    width = left_MD.shape[1]
    whole = width // _LANES * _LANES
    sums = np.empty((_PAIRS, _LANES))
    for first in range(0, len(out_P), _PAIRS):
        count = min(_PAIRS, len(out_P) - first)
        sums[:] = 0.0
        for start in range(0, whole, _LANES):
            for pair in range(count):
                x_L = left_MD[left_rows_P[first + pair], start : start + _LANES]
                y_L = right_ND[right_rows_P[first + pair], start : start + _LANES]
                sums_L = sums[pair]
                for lane in range(len(sums_L)):
                    difference = np.float64(x_L[lane]) - np.float64(y_L[lane])
                    sums_L[lane] += difference * difference
        for pair in range(count):
            half = _LANES
            while half > 1:
                half //= 2
                low, high = sums[pair, :half], sums[pair, half : 2 * half]
                for lane in range(len(low)):
                    low[lane] += high[lane]
            total = sums[pair, 0]
            x_D, y_D = left_MD[left_rows_P[first + pair]], right_ND[right_rows_P[first + pair]]
            for place in range(whole, width):
                difference = np.float64(x_D[place]) - np.float64(y_D[place])
                total += difference * difference
            out_P[first + pair] = total


@compiled
def rank_candidates(
    left_MD: Floats, right_ND: Floats, candidates_MC: Indices, own: bool, found: Found, part: tuple[int, int]
) -> None:
    """Write the nearest of each row's candidates by (not the row itself, float32 distance, index).

    `own` says that the two matrices are one; `found` are distances `[M, K]` float32 and indices `[M, K]` int64.
    """
    distances_MK, indices_MK = found[0], found[1]
    count, nearest = candidates_MC.shape[1], distances_MK.shape[1]
    rows_C, exact_C = np.empty(count, np.int64), np.empty(count)
    distances_C, indices_C = np.empty(count, np.float32), np.empty(count, np.int64)
    for row in range(part[0], part[1]):
        rows_C[:] = row
        fill_pairs(left_MD, right_ND, rows_C, candidates_MC[row], exact_C)
        for place in range(count):
            index, distance = candidates_MC[row, place], np.float32(exact_C[place])
            mine = own and index == row
            before = place
            while before > 0 and not (own and indices_C[before - 1] == row):
                last = distances_C[before - 1]
                if not (mine or distance < last or (distance == last and index < indices_C[before - 1])):
                    break
                distances_C[before], indices_C[before] = last, indices_C[before - 1]
                before -= 1
            distances_C[before], indices_C[before] = distance, index
        for place in range(nearest):  # assigning slices would double the time of compiling
            distances_MK[row, place], indices_MK[row, place] = distances_C[place], indices_C[place]


@compiled
def _replace_greatest(heaps: Heaps, row: int, value: float, index: int) -> None:
    """Put (value, index) in the place of the greatest value of a row's heap."""
    values_C, indices_C = heaps[0][row], heaps[1][row]
    count, place = len(values_C), 0
    while True:
        child = 2 * place + 1
        if child >= count:
            break
        if child + 1 < count and values_C[child + 1] > values_C[child]:
            child += 1
        if values_C[child] <= value:
            break
        values_C[place], indices_C[place] = values_C[child], indices_C[child]
        place = child
    values_C[place], indices_C[place] = value, index
    heaps[2][row] = values_C[0]


@compiled
def _squared_distance(norm: float, other: float, product: float) -> float:
    """Return `|x|^2 + (|y|^2 - 2 x.y)` in float32."""
    return norm + (other - (product + product))


@compiled
def offer_to_rows(products_RS: Floats, corner: tuple[int, int], norms_N: Floats, near: Heaps, far: Heaps) -> None:
    """Offer every column of a tile of float32 inner products to the heaps of its rows.

    `corner` is the row and the column of the whole matrix at which the tile begins. `near` holds the least
    squared distances of each row, `far` the least negated ones.
    """
    first, last = corner[1], corner[1] + products_RS.shape[1]
    norms_S = norms_N[first:last]
    for place in range(products_RS.shape[0]):
        row = corner[0] + place
        norm, products_S = norms_N[row], products_RS[place]
        for start in range(0, last - first, _CHUNK):
            stop = min(start + _CHUNK, last - first)
            nearest, furthest = near[2][row], -far[2][row]
            hits = np.int32(0)
            for column in range(start, stop):
                value = _squared_distance(norm, norms_S[column], products_S[column])
                hits |= np.int32(value < nearest) | np.int32(value > furthest)
            if hits:
                for column in range(start, stop):
                    value = _squared_distance(norm, norms_S[column], products_S[column])
                    if value < nearest or value > furthest:
                        _offer(near, far, row, value, first + column)
                        nearest, furthest = near[2][row], -far[2][row]


@compiled
def offer_to_columns(products_RS: Floats, corner: tuple[int, int], norms_N: Floats, near: Heaps, far: Heaps) -> None:
    """Offer every row of a tile to the heaps of its columns; see `offer_to_rows`."""
    first, last = corner[1], corner[1] + products_RS.shape[1]
    norms_S, nearest_S, furthest_S = norms_N[first:last], near[2][first:last], far[2][first:last]
    for place in range(products_RS.shape[0]):
        row = corner[0] + place
        norm, products_S = norms_N[row], products_RS[place]
        for start in range(0, last - first, _CHUNK):
            stop = min(start + _CHUNK, last - first)
            hits = np.int32(0)
            for column in range(start, stop):
                value = _squared_distance(norm, norms_S[column], products_S[column])
                hits |= np.int32(value < nearest_S[column]) | np.int32(-value < furthest_S[column])
            if hits:
                for column in range(start, stop):
                    value = _squared_distance(norm, norms_S[column], products_S[column])
                    if value < nearest_S[column] or -value < furthest_S[column]:
                        _offer(near, far, first + column, value, row)


@compiled
def _offer(near: Heaps, far: Heaps, row: int, value: float, index: int) -> None:
    """Put a squared distance into the heaps of a row where it belongs there."""
    if value < near[2][row]:
        _replace_greatest(near, row, value, index)
    if -value < far[2][row]:
        _replace_greatest(far, row, -value, index)
