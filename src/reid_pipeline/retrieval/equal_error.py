"""Equal error rate of pairs: one individual or two? The pairs are counted by similarity, not held.

Shape suffixes: Q queries, G gallery rows, B bins of similarity from -1 to 1.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reid_pipeline.geometry.distances import Floats, Indices

BINS = 1 << 16


def counted_pairs(tile_GQ: Floats, is_same_GQ: NDArray[np.bool_]) -> Indices:
    """Return how many pairs of one individual, and of two, have which similarity, `[2, B]`.

    Args:
        tile_GQ: cosines, of which -inf is no pair.
        is_same_GQ: bool, whether both are of one individual.
    """
    met = tile_GQ > -np.inf
    whole, same = (_bins(tile_GQ[pairs]) for pairs in (met, met & is_same_GQ))
    return np.stack([same, whole - same])


def _bins(values: Floats) -> Indices:
    places = ((values + 1) * (BINS / 2)).astype(np.int64)
    return np.bincount(np.clip(places, 0, BINS - 1, out=places), minlength=BINS)


def equal_error_rate(same_B: ArrayLike, different_B: ArrayLike) -> float | None:
    """Return the share of pairs of either kind that the threshold errs on at which both shares are equal.

    Args:
        same_B: how many pairs of one individual have a similarity in each bin, ascending.
        different_B: how many pairs of two have.

    Returns:
        between two bins by a straight line; None without pairs of both kinds.
    """
    same, different = np.asarray(same_B, dtype=np.float64), np.asarray(different_B, dtype=np.float64)
    if not same.sum() or not different.sum():
        return None
    # With the threshold below bin b: of one individual what lies below it is missed, of two what lies above is taken.
    missed = np.concatenate([[0], np.cumsum(same)]) / same.sum()
    taken = 1 - np.concatenate([[0], np.cumsum(different)]) / different.sum()
    after = int(np.argmax(missed >= taken))  # at the last all of one are missed and none of two taken
    before = after - 1
    gap = taken - missed
    share = gap[before] / (gap[before] - gap[after])
    return float(np.clip(missed[before] + share * (missed[after] - missed[before]), 0, 1))
