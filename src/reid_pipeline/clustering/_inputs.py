"""Checks of labels that come from outside.

Shape suffixes: N rows.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reid_pipeline.schema.errors import UserError

Integers = NDArray[np.int64]


def checked_integers(values: ArrayLike, name: str) -> Integers:
    """Return `values` as int64 `[N]`, N above 0, or raise UserError."""
    given = np.asarray(values)
    if given.ndim != 1 or given.size == 0 or given.dtype.kind not in "iu":
        raise UserError(
            f"{name} has shape {list(given.shape)} and dtype {given.dtype}; "
            "a vector of integers with at least one row is needed."
        )
    return given.astype(np.int64)


def checked_pair(pseudo_labels: ArrayLike, others: ArrayLike, name: str) -> tuple[Integers, Integers]:
    """Return pseudo labels and `others` (`name`, a plural), one of each per row, or raise UserError."""
    labels_N, others_N = checked_integers(pseudo_labels, "pseudo_labels"), checked_integers(others, name)
    if labels_N.shape != others_N.shape:
        raise UserError(
            f"{len(labels_N)} pseudo labels and {len(others_N)} {name} were given; "
            f"one {name.removesuffix('s')} per row is needed."
        )
    return labels_N, others_N
