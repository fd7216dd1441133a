"""Compiled loops of the neighbour search; import inside functions.

Shape suffixes: M left rows, N right rows, D width, P pairs, C candidates, K neighbours, R rows and S columns
of a tile.
"""

import numpy as np

from reid_pipeline.geometry.compiled import compiled
from reid_pipeline.geometry.distances import Floats, Int32s
from reid_pipeline.geometry.watch import Heaps

Found = tuple[np.ndarray, np.ndarray]

_LANES = 64
_PAIRS = 8


@compiled
def fill_pairs(left_MD: Floats, right_ND: Floats, left_rows_P: Int32s, right_rows_P: Int32s, out_P: Floats) -> None:
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
    left_MD: Floats, right_ND: Floats, candidates_MC: Int32s, own: bool, found: Found, part: tuple[int, int]
) -> None:
    """Write the nearest of each row's candidates by (not the row itself, float32 distance, index).

    `own` says that the two matrices are one; `found` are distances `[M, K]` float32 and indices `[M, K]` int32.
    """
    distances_MK, indices_MK = found[0], found[1]
    count, nearest = candidates_MC.shape[1], distances_MK.shape[1]
    rows_C, exact_C = np.empty(count, np.int32), np.empty(count)
    distances_C, indices_C = np.empty(count, np.float32), np.empty(count, np.int32)
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
def offer_tile(
    products_RS: Floats, corner: tuple[int, int], half_norms_N: Floats, slack: float, near: Heaps, far: Heaps
) -> None:
    """Offer a tile of float32 inner products to the heaps of its rows and, off the diagonal, of its columns.

    `corner` is the row and the column of the whole matrix at which the tile begins, `half_norms_N` half of the
    squared norms. `near` holds the least squared distances of each row, `far` the least negated ones. `slack` bounds by
    how much half a squared distance may be off here. A first look, at 64 columns in one loop without a branch, passes
    by what is beyond all limits, as nearly all columns are.
    """
    count = products_RS.shape[1]
    half_norms_S = half_norms_N[corner[1] : corner[1] + count]
    mirrored = corner[0] != corner[1]
    near_S, far_S = np.full(count, np.float32(np.inf)), np.full(count, np.float32(-np.inf))
    if mirrored:
        for column in range(count):
            near_S[column], far_S[column] = _limits(near, far, corner[1] + column, slack)
    for place in range(products_RS.shape[0]):
        row = corner[0] + place
        half, products_S = half_norms_N[row], products_RS[place]
        nearest, furthest = _limits(near, far, row, slack)
        for start in range(0, count, _LANES):
            whole = start + _LANES <= count
            if not whole or _passing(products_S, half, half_norms_S, (nearest, furthest), (near_S, far_S), start):
                for column in range(start, min(start + _LANES, count)):
                    value = products_S[column] - half - half_norms_S[column]
                    if value > min(nearest, near_S[column]) or value < max(furthest, far_S[column]):
                        squared = np.float32(-2.0) * value
                        _offer(near, far, row, squared, corner[1] + column)
                        nearest, furthest = _limits(near, far, row, slack)
                        if mirrored:
                            _offer(near, far, corner[1] + column, squared, row)
                            near_S[column], far_S[column] = _limits(near, far, corner[1] + column, slack)


@compiled
def _limits(near: Heaps, far: Heaps, row: int, slack: float) -> tuple[float, float]:
    """Return above and below which minus half a squared distance is offered to the heaps of a row."""
    half = np.float32(0.5)
    return -half * near[2][row] - slack, half * far[2][row] + slack


@compiled
def _passing(
    products_S: Floats, half: float, half_norms_S: Floats, limits: tuple[float, float], of_columns: Found, start: int
) -> bool:
    """Return whether any of 64 columns passes a limit of the row or its own; one loop of fixed length and no branch."""
    hits = np.int32(0)
    products_L, half_norms_L = products_S[start : start + _LANES], half_norms_S[start : start + _LANES]
    near_L, far_L = of_columns[0][start : start + _LANES], of_columns[1][start : start + _LANES]
    for lane in range(_LANES):
        value = products_L[lane] - half - half_norms_L[lane]
        hits |= np.int32(value > min(limits[0], near_L[lane])) | np.int32(value < max(limits[1], far_L[lane]))
    return bool(hits)


@compiled
def _offer(near: Heaps, far: Heaps, row: int, value: float, index: int) -> None:
    """Put a squared distance into the heaps of a row where it belongs there."""
    if value < near[2][row]:
        _replace_greatest(near, row, value, index)
    if -value < far[2][row]:
        _replace_greatest(far, row, -value, index)
