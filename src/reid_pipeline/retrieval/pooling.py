"""Embeddings of one individual pooled into one, such as those of a tracklet. numpy alone.

Shape suffixes: N images, D width, T groups.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reid_pipeline.geometry.distances import Floats, Indices
from reid_pipeline.retrieval.inputs import checked_identifiers
from reid_pipeline.retrieval.open_set import checked_units
from reid_pipeline.schema.errors import UserError, first_few


def pooled(vectors: ArrayLike, groups: ArrayLike, weights: ArrayLike | None = None) -> NDArray[np.float32]:
    """Return the unit vector along the weighted mean of each group's unit vectors.

    A group whose weights are all 0 has the plain mean; where the mean is 0, as of two opposite vectors, the first
    vector stands. Source: average pooling over a tracklet, Zheng et al., "MARS", ECCV 2016.

    Args:
        vectors: `[N, D]` floats, unit rows.
        groups: `[N]` integers, which image belongs to which; see `tracklet_groups`.
        weights: `[N]` floats, at least 0 and finite, or None: all alike.

    Returns:
        `[T, D]` float32, groups ascending.

    Raises:
        UserError: shapes that do not match, rows that are not finite or not unit, or weights below 0.
    """
    vectors_ND = checked_units(vectors)
    _, firsts_T, places_N = np.unique(_groups(groups, vectors_ND), return_index=True, return_inverse=True)
    weights_N = np.ones(len(vectors_ND)) if weights is None else _checked_weights(weights, len(vectors_ND))
    weights_N = np.where(np.bincount(places_N, weights_N)[places_N] > 0, weights_N, 1)
    sums_TD = _sums(vectors_ND * weights_N[:, None], places_N)
    lengths_T = np.linalg.norm(sums_TD, axis=1, keepdims=True)
    alone = np.bincount(places_N)[:, None] == 1  # to the bit as they are
    means_TD = sums_TD / np.where(lengths_T > 0, lengths_T, 1)
    return np.where(alone | (lengths_T == 0), vectors_ND[firsts_T], means_TD).astype(np.float32)


def agreement(vectors: ArrayLike, groups: ArrayLike) -> NDArray[np.float64]:
    """Return how far each image agrees with its group: its mean cosine to the others, at least 0; 1 where it is alone.

    These are weights of quality for `pooled`: an image in which somebody else, an occluder or blur prevails is like
    none of the others of its tracklet. Linear in N.

    Args:
        vectors: `[N, D]` floats, unit rows.
        groups: `[N]` integers.

    Raises:
        UserError: as `pooled`.
    """
    vectors_ND = checked_units(vectors)
    _, places_N, sizes_T = np.unique(_groups(groups, vectors_ND), return_inverse=True, return_counts=True)
    to_all_N = np.einsum("nd,nd->n", vectors_ND, _sums(vectors_ND, places_N)[places_N])
    to_itself_N = np.einsum("nd,nd->n", vectors_ND, vectors_ND)
    others_N = sizes_T[places_N] - 1
    means_N = (to_all_N - to_itself_N) / np.maximum(others_N, 1)
    return np.asarray(np.where(others_N > 0, np.maximum(means_N, 0), 1.0))


def tracklet_groups(tracklets: ArrayLike) -> Indices:
    """Return groups for `pooled` in the order of their first images; an image of no tracklet is a group of its own.

    Args:
        tracklets: `[N]` integers, -1 where an image is in none.

    Returns:
        `[N]` int64, from 0.
    """
    tracklets_N = np.asarray(tracklets, dtype=np.int64)
    alone_N = tracklets_N < 0
    names_N = np.where(alone_N, np.arange(len(tracklets_N)), tracklets_N)
    keys_2N = np.stack([alone_N.astype(np.int64), names_N])
    _, firsts, places_N = np.unique(keys_2N, axis=1, return_index=True, return_inverse=True)
    ranks = np.empty(len(firsts), dtype=np.int64)
    ranks[np.argsort(firsts)] = np.arange(len(firsts))
    groups: Indices = ranks[places_N.reshape(-1)]
    return groups


def _groups(groups: ArrayLike, vectors_ND: Floats) -> Indices:
    return checked_identifiers(groups, "groups", len(vectors_ND))


def _sums(vectors_ND: Floats, places_N: Indices) -> NDArray[np.float64]:
    """Return the sum of each group's rows, `[T, D]`, in the order of the rows."""
    order = np.argsort(places_N, kind="stable")
    starts = np.flatnonzero(np.diff(places_N[order], prepend=-1))
    return np.asarray(np.add.reduceat(vectors_ND[order].astype(np.float64), starts, axis=0))


def _checked_weights(weights: ArrayLike, rows: int) -> NDArray[np.float64]:
    values = np.asarray(weights, dtype=np.float64)
    if values.shape != (rows,):
        raise UserError(f"weights have shape {list(values.shape)} for {rows} vectors; one each is needed.")
    bad = np.flatnonzero(~(np.isfinite(values) & (values >= 0)))
    if bad.size:
        raise UserError(
            f"weights are below 0, NaN or infinite in {bad.size} of {rows} rows (rows {first_few(bad.tolist())});"
            " give a finite number of at least 0 for each."
        )
    return values
