"""Compiled counting of a block of values against each query's thresholds; imported where it is called.

A query's P positives, nearest first, divide the values into P + 1 bins: the number of positives that come before.
Threshold p is an interval `lower_P[p] .. upper_P[p]`, both ascending: values below it come before positive p, values
above it after, values within it are unsure and listed. Runs in which no entry reaches the last threshold are skipped.
An entry is first assigned to one of many equal cells between the first threshold and the last, in vector registers;
a cell that no interval touches holds entries of one bin, so that it is enough to count it.

Shape suffixes: Q queries of the block, G gallery rows of the block, P positives of all queries of the block in
a row, B bins of all queries of the block in a row, U unsure entries, C cells, R entries of a run.
"""

from collections.abc import Callable
from typing import Any, cast

import numba
import numpy as np

from reid_pipeline.geometry.compiled import Kernel, compiled

# No value is NaN, and the sign of a zero decides nothing.
in_vectors = cast("Callable[[Kernel], Kernel]", numba.njit(cache=True, nogil=True, fastmath={"nnan", "nsz"}))

_RUN = 256
_CELLS = 4096
# Values beyond all thresholds are spread over 16 cells, since counts of one cell wait for each other; one more
# cell is for those before, one for the last threshold's own.
_SPREAD = 16
_ALL_CELLS = _CELLS + 2 + _SPREAD


@compiled
def at_most(value: Any, thresholds_P: Any, low: Any, high: Any) -> Any:
    """Return how many ascending thresholds are at most `value`: at least `low`, no more than `high`."""
    while low < high:
        middle = (low + high) // 2
        if thresholds_P[middle] <= value:
            low = middle + 1
        else:
            high = middle
    return low


@in_vectors
def cell_of(value: Any, grid: Any) -> Any:
    """Return the cell of a threshold, 0 .. _CELLS + 2; a cell never falls as the value rises."""
    origin, scale, bottom, top = grid
    return np.uint16(min(max((value - origin) * scale, bottom), top) - bottom)


@compiled
def grid_of(lowest: Any, highest: Any, one: Any) -> Any:
    """Return origin and scale of the cells between two thresholds, and the bounds of places; `one` has the dtype."""
    scale = one
    if highest > lowest:
        scale = one * np.float32(_CELLS) / (highest - lowest)
    if not (np.isfinite(scale) and scale > 0):
        scale = one
    return lowest, scale, -one, one * np.float32(_CELLS + 1)


@in_vectors
def find_cells(values_R: Any, offsets_R: Any, grid: Any, tops_R: Any, cells_R: Any) -> Any:
    """Write the cell of each value of a run, in vector registers; return the lowest cell."""
    origin, scale, bottom, _ = grid
    lowest = np.uint16(_ALL_CELLS)
    for column in range(len(values_R)):
        value = values_R[column] + offsets_R[column]
        cell = np.uint16(min(max((value - origin) * scale, bottom), tops_R[column]) - bottom)
        lowest = min(lowest, cell)
        cells_R[column] = cell
    return lowest


@compiled
def flag_cells(lower_P: Any, upper_P: Any, grid: Any, flags: Any) -> None:
    """Flag the cells that an interval touches, with the first and the last such interval: O(P + C)."""
    flagged_C, first_C, last_C = flags
    flagged_C[:] = 0
    seen = 0
    for p in range(len(lower_P)):
        stop = cell_of(upper_P[p], grid) + 1
        for cell in range(max(cell_of(lower_P[p], grid), seen), stop):
            flagged_C[cell] = 1
            first_C[cell] = p
        seen = max(seen, stop)
    seen = len(flagged_C)
    for p in range(len(lower_P) - 1, -1, -1):
        start = cell_of(lower_P[p], grid)
        for cell in range(start, min(cell_of(upper_P[p], grid) + 1, seen)):
            last_C[cell] = p
        seen = min(seen, start)


@compiled
def count_cells(counts_C: Any, flagged_C: Any, lower_P: Any, grid: Any, bins_B: Any) -> None:
    """Add the counts of whole cells, flagged ones apart, to the bins that they lie in."""
    for cell in range(len(counts_C)):
        if flagged_C[cell] != 0:
            counts_C[cell] = 0
    start = 0
    for p in range(len(lower_P)):
        stop = cell_of(lower_P[p], grid)
        part_C = counts_C[start:stop]
        for cell in range(len(part_C)):
            bins_B[p] += part_C[cell]
        start = stop


@compiled
def count_row(values_G: Any, offsets_G: Any, limits: Any, bins_B: Any, unsure_U: Any, working: Any) -> Any:
    """Count one query's row of a block into its bins and list what is unsure; return how many that are."""
    lower_P, upper_P = limits
    flags, counts_C, tops_R, cells_R, near_R = working
    flagged_C, first_C, last_C = flags
    grid = grid_of(lower_P[0], upper_P[-1], values_G.dtype.type(1))
    flag_cells(lower_P, upper_P, grid, flags)
    counts_C[:] = 0
    last = cell_of(upper_P[-1], grid)
    found = 0
    for start in range(0, len(values_G), _RUN):
        stop = min(start + _RUN, len(values_G))
        values_R, offsets_R = values_G[start:stop], offsets_G[start:stop]
        if find_cells(values_R, offsets_R, grid, tops_R, cells_R) > last:
            continue
        near = 0
        for column in range(len(values_R)):
            cell = cells_R[column]
            counts_C[cell] += np.uint32(1)
            near_R[near] = column
            near += flagged_C[cell]
        for entry in range(near):
            column = near_R[entry]
            value = values_R[column] + offsets_R[column]
            cell = cells_R[column]
            place = at_most(value, lower_P, first_C[cell], last_C[cell] + 1)
            if place == 0 or upper_P[place - 1] < value:
                bins_B[place] += 1
            else:
                unsure_U[found] = start + column
                found += 1
    count_cells(counts_C, flagged_C, lower_P, grid, bins_B)
    return found


@compiled
def count_block(values_QG: Any, offsets_G: Any, thresholds: Any, same: Any, job: Any, unsure: Any) -> Any:
    """Count rows of a block until they end or the list of unsure entries is full; return the next row and its size."""
    lower_P, upper_P, starts_Q, bins_B = thresholds
    same_rows, same_starts_Q, same_ends_Q = same
    row, end, first_column = job
    owner_U, column_U = unsure
    width = values_QG.shape[1]
    past = _CELLS + 1 + np.arange(_RUN) % _SPREAD
    flags = (np.empty(_ALL_CELLS, np.uint8), np.empty(_ALL_CELLS, np.int32), np.empty(_ALL_CELLS, np.int32))
    working = (
        flags,
        np.empty(_ALL_CELLS, dtype=np.uint32),
        past.astype(values_QG.dtype),
        np.empty(_RUN, dtype=np.uint16),
        np.empty(_RUN, dtype=np.uint16),
    )
    found = 0
    while row < end and len(column_U) - found >= width:
        values_G = values_QG[row]
        for place in range(same_starts_Q[row], same_ends_Q[row]):
            column = same_rows[place] - first_column
            if 0 <= column < width:
                values_G[column] = np.inf
        first, last = starts_Q[row], starts_Q[row + 1]
        bins = bins_B[first + row : last + row + 1]
        limits = lower_P[first:last], upper_P[first:last]
        listed = count_row(values_G, offsets_G, limits, bins, column_U[found:], working)
        owner_U[found : found + listed] = row
        found += listed
        row += 1
    return row, found


@compiled
def count_exact(exact_U: Any, rows_U: Any, owner_U: Any, positives: Any, bins_B: Any) -> None:
    """Count listed entries in their bins by (exact value, gallery row)."""
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
