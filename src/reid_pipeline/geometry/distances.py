"""Squared Euclidean distances: checked input, exact pairs, and how far a matrix product may be off.

Shape suffixes: M left rows, N right rows, D width, P pairs.

A matrix product `|x|^2 + |y|^2 - 2 x.y` is fast, but rounds equal columns differently in different blocks,
so that two copies of one row need not tie. It is therefore used only to discard: whatever lies within
`expansion_tolerance` of a decision is decided by `pair_squared_distances`, whose
result for a pair depends on the two rows alone.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reid_pipeline.geometry.compiled import even_parts, in_threads
from reid_pipeline.schema.errors import UserError, first_few

Floats = NDArray[np.floating[Any]]
Indices = NDArray[np.int64]
Int32s = NDArray[np.int32]

# Products below this take less time than starting threads does.
_WORTH_THREADS = 1 << 20


def checked_features(features: ArrayLike, *, name: str = "features") -> Floats:
    """Return `features` `[N, D]` as a C-contiguous float32 matrix, or float64 where it is float64 or integers.

    The given array itself is returned where it already is one; float16 becomes float32.

    Raises:
        UserError: not a matrix of numbers, empty, or with NaN, infinite or too large values (which rows).
    """
    given = np.asarray(features)
    if given.dtype.kind not in "fiu":
        raise UserError(f"{name} has dtype {given.dtype}; real numbers are needed: give a float32 or float64 array.")
    if given.ndim != 2 or 0 in given.shape:
        raise UserError(
            f"{name} has shape {list(given.shape)}; a matrix [rows, width] with at least one row is needed."
        )
    single = given.dtype.kind == "f" and given.dtype.itemsize <= 4
    values_ND: Floats = np.ascontiguousarray(given, dtype=np.float32 if single else np.float64)
    bad = np.flatnonzero(~np.isfinite(squared_norms(values_ND)))
    if bad.size:
        finite = bool(np.isfinite(values_ND[bad]).all())
        what = "values whose squares overflow" if finite else "NaN or infinite values"
        raise UserError(
            f"{name} has {what} in {bad.size} of {len(values_ND)} rows (rows {first_few(bad.tolist())}); "
            f"every value must be finite{' and its square too: scale the features down' if finite else ''}. "
            "Check the model that made them (a diverged training, half precision) or drop those rows."
        )
    return values_ND


def check_count(name: str, count: int, usual: str = "") -> None:
    """Raise UserError where `count` is not a whole number of at least 1."""
    if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 1:
        usually = usual and f" (usual: {usual})"
        raise UserError(f"{name} is {count!r}; a whole number of at least 1 is needed{usually}.")


def squared_norms(values_ND: Floats) -> Floats:
    """Return the squared Euclidean norm of every row, `[N]`, in the dtype of `values_ND`."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(np.einsum("nd,nd->n", values_ND, values_ND))


def expansion_tolerance(left_norms_M: Floats, right_norm: float, *, width: int, dtype: Any) -> NDArray[np.float64]:
    """Bound the rounding error of `|x|^2 + |y|^2 - 2 x.y` computed in `dtype`: `[M]` float64.

    The inner product of width D is taken to be off by at most `4 sqrt(D) u |x||y|` (Higham and Mary, "A new
    approach to probabilistic rounding error analysis", SISC 2019, theorem 2.4 with lambda 4; u the unit
    roundoff), the norms and the final sums by `4 u (|x|^2 + |y|^2)`. `right_norm` is the greatest squared
    norm of the right rows.
    """
    left = left_norms_M.astype(np.float64)
    unit_roundoff = float(np.finfo(dtype).eps) / 2
    return np.asarray(unit_roundoff * (4 * (left + right_norm) + 8 * np.sqrt(width) * np.sqrt(left * right_norm)))


def pair_squared_distances(
    left_MD: Floats,
    right_ND: Floats,
    left_rows_P: Indices | Int32s,
    right_rows_P: Indices | Int32s,
    *,
    in_one_thread: bool = False,
) -> NDArray[np.float64]:
    """Return `sum_d (x_d - y_d)^2` for each pair of rows, in float64, `[P]`.

    The value of a pair depends on its two rows alone, never on its place in the list: copies of a row tie
    exactly. Time O(P D). Callers that are in one of several threads ask for `in_one_thread`.
    """
    from reid_pipeline.geometry.neighbour_kernels import fill_pairs

    result_P = np.empty(len(left_rows_P), dtype=np.float64)
    left_P, right_P = (np.ascontiguousarray(rows, dtype=np.int32) for rows in (left_rows_P, right_rows_P))

    def fill(part: tuple[int, int]) -> None:
        pairs = slice(*part)
        fill_pairs(left_MD, right_ND, left_P[pairs], right_P[pairs], result_P[pairs])

    if in_one_thread or len(result_P) * left_MD.shape[1] < _WORTH_THREADS:
        fill((0, len(result_P)))
    else:
        in_threads(fill, even_parts(len(result_P)))
    return result_P
