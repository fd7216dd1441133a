"""The compiled sum of squared differences of listed pairs; imported where it is called, for numba's start.

Shape suffixes: M left rows, N right rows, D width, P pairs.
"""

from typing import Any

import numba
import numpy as np


def _pair_sums(left_MD: Any, right_ND: Any, left_rows_P: Any, right_rows_P: Any, result_P: Any) -> None:
    """Write ``sum_d (x_d - y_d)^2`` in float64 for each pair."""
    width = left_MD.shape[1]
    for pair in range(len(result_P)):
        left, right = left_rows_P[pair], right_rows_P[pair]
        total = 0.0
        for d in range(width):
            difference = np.float64(right_ND[right, d]) - np.float64(left_MD[left, d])
            total += difference * difference
        result_P[pair] = total


# `reassoc` lets the sum run in vector registers. One loop, compiled once for a dtype: equal rows give equal
# bits whatever their place in the list.
pair_sums = numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})(_pair_sums)
