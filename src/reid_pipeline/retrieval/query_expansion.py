"""Average query expansion: every feature replaced by a mean over its nearest.

Shape suffixes: N rows of both sides, Q queries, G gallery rows, D width, K neighbours, R rows of a block.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reid_pipeline.geometry.distances import Floats, check_count
from reid_pipeline.geometry.neighbours import nearest_neighbours
from reid_pipeline.retrieval.inputs import checked_pair
from reid_pipeline.schema.errors import UserError, first_few

_BLOCK_ENTRIES = 1 << 21


def average_query_expansion(
    query_features: ArrayLike, gallery_features: ArrayLike, *, k: int = 10, alpha: float = 3.0
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the features of both sides, each averaged with its `k` nearest among all of them.

    With unit rows x and n(i) the k nearest others of row i, by cosine, in query and gallery together::

        y_i = x_i + sum over j in n(i) of max(0, x_i . x_j)^alpha x_j,  then y_i / |y_i|

    Source: average query expansion, Chum et al., "Total Recall", ICCV 2007 (alpha 0: the plain mean); the
    weights are those of Radenovic et al., "Fine-tuning CNN Image Retrieval with No Human Annotation", TPAMI
    2019 (there alpha 3, for the query alone). Both sides are expanded, as re-identification code does it.

    Time: the neighbour search. Memory: both sides twice and one block.

    Args:
        query_features: `[Q, D]` floats, finite, no zero row.
        gallery_features: `[G, D]` floats, finite, no zero row.
        k: other rows averaged, at least 1; more than there are means all.
        alpha: exponent of the weights, at least 0; a greater one trusts near rows more.

    Returns:
        unit rows `[Q, D]` and `[G, D]`, float32: rank them by Euclidean distance.

    Raises:
        UserError: features that are not finite or zero (which rows) or of different widths, or an option out
            of range.
    """
    check_count("k", k, "5 to 10")
    if not 0.0 <= alpha < np.inf:
        raise UserError(f"alpha is {alpha}; a finite number of at least 0 is needed (usual: 0 or 3).")
    query_QD, gallery_GD = checked_pair(query_features, gallery_features)
    rows_ND = np.concatenate((_unit(query_QD, "query features"), _unit(gallery_GD, "gallery features")))
    squared_NK, indices_NK = nearest_neighbours(rows_ND, int(k) + 1)
    weights_NK = np.maximum(1.0 - squared_NK.astype(np.float64) / 2.0, 0.0) ** alpha
    weights_NK[:, 0] = 1.0
    expanded_ND = np.empty_like(rows_ND)
    step = max(1, _BLOCK_ENTRIES // rows_ND.shape[1])
    for start in range(0, len(rows_ND), step):
        part = slice(start, start + step)
        sums_RD = np.zeros((len(rows_ND[part]), rows_ND.shape[1]))
        for place in range(indices_NK.shape[1]):
            sums_RD += weights_NK[part, place, None] * rows_ND[indices_NK[part, place]]
        expanded_ND[part] = sums_RD / np.linalg.norm(sums_RD, axis=1, keepdims=True)
    return expanded_ND[: len(query_QD)], expanded_ND[len(query_QD) :]


def _unit(features_RD: Floats, name: str) -> NDArray[np.float32]:
    """Return the rows at length 1, float32, or raise UserError that names those without a direction."""
    lengths_R = np.linalg.norm(features_RD, axis=1)
    zero = np.flatnonzero(lengths_R == 0)
    if zero.size:
        raise UserError(
            f"{name} are zero in {zero.size} of {len(lengths_R)} rows (rows {first_few(zero.tolist())}); "
            "a zero vector has no direction, so it has no cosine: check the model, or drop those rows."
        )
    unit_RD: NDArray[np.float32] = (features_RD / lengths_R[:, None]).astype(np.float32, copy=False)
    return unit_RD
