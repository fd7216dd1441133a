"""Compiled counting of a block of values against each query's thresholds; imported where it is called.

A query's P positives, nearest first, part the line of values into P + 1 bins. Each gallery row that is
neither a positive nor removed belongs to one bin: the number of positives that come before it. Threshold p is
an interval ``lower_P[p] .. upper_P[p]``, both ascending: values below it come before positive p, values above
it after, values within it are unsure and listed for a closer look. Rows past the last threshold need no
place, and where positives are near these are almost all: runs of them are passed over by their minimum.

Shape suffixes: Q queries of the block, G gallery rows of the block, P positives of all queries of the block
in a row, B bins of all queries of the block in a row (P + 1 for P positives), U unsure entries, C cells.
"""

from typing import Any

import numba
import numpy as np

_RUN = 64
_CELLS = 1024


def _least(values_G: Any, offsets_G: Any, start: int, stop: int) -> Any:
    """Return the minimum of ``values_G + offsets_G`` from ``start`` to ``stop``."""
    least = values_G[start] + offsets_G[start]
    for column in range(start + 1, stop):
        least = min(least, values_G[column] + offsets_G[column])
    return least


def _at_most(value: Any, thresholds_P: Any) -> Any:
    """Return how many ascending thresholds are at most ``value``."""
    low, high = 0, len(thresholds_P)
    while low < high:
        middle = (low + high) // 2
        if thresholds_P[middle] <= value:
            low = middle + 1
        else:
            high = middle
    return low


def _cell(value: Any, origin: Any, scale: Any) -> Any:
    """Return the cell of a value; it never falls as the value rises."""
    return min(int((value - origin) * scale), _CELLS)


def _flag_cells(lower_P: Any, upper_P: Any, scale: Any, flagged_C: Any) -> None:
    """Flag the cells that a threshold touches: elsewhere the cell alone tells the bin."""
    flagged_C[:] = False
    for p in range(len(lower_P)):
        first, last = _cell(lower_P[p], lower_P[0], scale), _cell(upper_P[p], lower_P[0], scale)
        flagged_C[first : last + 1] = True


def _count_cells(counts_C: Any, lower_P: Any, scale: Any, bins_B: Any) -> None:
    """Add the counts of whole cells to the bins that they lie in."""
    place = 0
    for cell in range(len(counts_C)):
        while place < len(lower_P) and _cell(lower_P[place], lower_P[0], scale) < cell:
            place += 1
        bins_B[place] += counts_C[cell]


def _count_row(
    values_G: Any, offsets_G: Any, lower_P: Any, upper_P: Any, bins_B: Any, unsure_U: Any, cells: Any
) -> Any:
    """Count one query's row of a block into its bins and list what is unsure; return how many that are."""
    flagged_C, counts_C = cells
    lowest, highest = lower_P[0], upper_P[-1]
    scale = values_G.dtype.type(_CELLS) / (highest - lowest) if highest > lowest else values_G.dtype.type(0)
    if not np.isfinite(scale):
        scale = values_G.dtype.type(0)
    _flag_cells(lower_P, upper_P, scale, flagged_C)
    counts_C[:] = 0
    found = 0
    for start in range(0, len(values_G), _RUN):
        stop = min(start + _RUN, len(values_G))
        if _least(values_G, offsets_G, start, stop) > highest:
            continue
        for column in range(start, stop):
            value = values_G[column] + offsets_G[column]
            if value < lowest:
                bins_B[0] += 1
            elif value <= highest:
                cell = _cell(value, lowest, scale)
                if not flagged_C[cell]:
                    counts_C[cell] += 1
                    continue
                place = _at_most(value, lower_P)
                if place == 0 or upper_P[place - 1] < value:
                    bins_B[place] += 1
                else:
                    unsure_U[found] = column
                    found += 1
    _count_cells(counts_C, lower_P, scale, bins_B)
    return found


def _count_block(
    values_QG: Any, offsets_G: Any, thresholds: Any, same: Any, bins_B: Any, job: Any, unsure: Any
) -> Any:
    """Count rows of a block until they end or no room is left; see `count_block`."""
    lower_P, upper_P, starts_Q = thresholds
    same_rows, same_starts_Q, same_ends_Q = same
    row, end, first_column = job
    owner_U, column_U = unsure
    width = values_QG.shape[1]
    cells = np.empty(_CELLS + 1, dtype=np.bool_), np.empty(_CELLS + 1, dtype=np.int32)
    found = 0
    while row < end and len(column_U) - found >= width:
        values_G = values_QG[row]
        for place in range(same_starts_Q[row], same_ends_Q[row]):
            column = same_rows[place] - first_column
            if 0 <= column < width:
                values_G[column] = np.inf
        first, last = starts_Q[row], starts_Q[row + 1]
        bins = bins_B[first + row : last + row + 1]
        listed = count_row(
            values_G, offsets_G, lower_P[first:last], upper_P[first:last], bins, column_U[found:], cells
        )
        owner_U[found : found + listed] = row
        found += listed
        row += 1
    return row, found


def _settle(exact_U: Any, rows_U: Any, owner_U: Any, positives: Any, bins_B: Any) -> None:
    """Put listed entries into their bins by (exact value, gallery row); see `settle`."""
    exact_P, rows_P, starts_Q = positives
    for entry in range(len(exact_U)):
        value, row, owner = exact_U[entry], rows_U[entry], owner_U[entry]
        low, high = starts_Q[owner], starts_Q[owner + 1]
        while low < high:
            middle = (low + high) // 2
            if exact_P[middle] < value or (exact_P[middle] == value and rows_P[middle] < row):
                low = middle + 1
            else:
                high = middle
        bins_B[low + owner] += 1


def _compiled(function: Any, **options: Any) -> Any:
    return numba.njit(cache=True, nogil=True, **options)(function)


# No value is NaN, and the sign of a zero decides nothing: so the minimum may run in vector registers.
_least = _compiled(_least, fastmath={"nnan", "nsz"})
_at_most = _compiled(_at_most)
_cell = _compiled(_cell)
_flag_cells = _compiled(_flag_cells)
_count_cells = _compiled(_count_cells)
count_row = _compiled(_count_row)
count_block = _compiled(_count_block)
settle = _compiled(_settle)
