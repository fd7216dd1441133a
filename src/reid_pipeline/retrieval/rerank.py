"""k-reciprocal re-ranking, sparse and in blocks of queries, and average query expansion.

Shape suffixes: N = Q + G rows of both sides, Q queries, G gallery rows, D width, K neighbours, R rows of a block.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reid_pipeline.geometry.compiled import even_parts, in_threads
from reid_pipeline.geometry.distances import Floats, check_count, squared_norms
from reid_pipeline.geometry.jaccard import check_neighbour_counts, expand_queries, parts_of, reciprocal_weights
from reid_pipeline.geometry.neighbours import nearest_neighbours, neighbours_and_furthest
from reid_pipeline.retrieval.inputs import check_memory_limit, checked_pair
from reid_pipeline.schema.errors import UserError, first_few


@dataclass(frozen=True)
class RerankPreset:
    """Options of `rerank_k_reciprocal` that were published together."""

    k1: int
    k2: int
    lambda_value: float


RERANK_PRESETS: Mapping[str, RerankPreset] = MappingProxyType(
    {"k_reciprocal": RerankPreset(20, 6, 0.3), "clip_reid": RerankPreset(50, 15, 0.3)}
)
"""`k_reciprocal`: Zhong et al., CVPR 2017. `clip_reid`: the released code of CLIP-ReID."""

DEFAULT_MEMORY_LIMIT = 64 << 20
_GALLERY_ROWS = 2048
_BLOCK_ENTRIES = 1 << 21


def rerank_k_reciprocal(
    query_features: ArrayLike, gallery_features: ArrayLike, *, k1: int = 20, k2: int = 6, lambda_value: float = 0.3
) -> NDArray[np.float32]:
    """Return the re-ranked distance of every query to every gallery row.

    With `d_ij` the squared distance of rows i and j of both sides together, divided by the greatest of row
    i: `(1 - lambda) (1 - similarity_ij) + lambda d_ij`, where the similarity is the Jaccard similarity of
    the k-reciprocal weights `exp(-d_ij)`. Source: Zhong et al., "Re-ranking Person Re-identification with
    k-reciprocal Encoding", CVPR 2017, equations 3 to 12, with the details of the code that its authors
    released: a list is the row itself and its k1 nearest others, half-size lists have round(k1 / 2) + 1 columns,
    and weights are averaged over the k2 nearest, the row included.

    Differs from the released code: "more than two thirds" is decided in whole numbers; a row comes first in
    its own list and ties go to the lower index; a k2 above k1 + 1 averages over the k2 nearest.

    Args:
        query_features: `[Q, D]` floats, finite.
        gallery_features: `[G, D]` floats, finite.
        k1: other rows in a list, at least 1; more than there are means all.
        k2: rows averaged, at least 1.
        lambda_value: share of the original distance, in [0, 1].

    Returns:
        `[Q, G]` float32 in about [0, 1]: within 1e-5 of the dense algorithm in float64.

    Raises:
        UserError: features that are not finite (which rows) or of different widths, or an option out of
            range.
    """
    blocks = reranked_blocks(query_features, gallery_features, k1=k1, k2=k2, lambda_value=lambda_value)
    distances_QG = np.empty((len(np.asarray(query_features)), len(np.asarray(gallery_features))), np.float32)
    for start, block_RG in blocks:
        distances_QG[start : start + len(block_RG)] = block_RG
    return distances_QG


def reranked_blocks(
    query_features: ArrayLike,
    gallery_features: ArrayLike,
    *,
    k1: int = 20,
    k2: int = 6,
    lambda_value: float = 0.3,
    memory_limit: int = DEFAULT_MEMORY_LIMIT,
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield (first query row, distances `[R, G]`): `rerank_k_reciprocal` without ever holding `[Q, G]`.

    `memory_limit` is in bytes, for a block and what it is made of: at least 1 MiB, and a block has at least one
    row. The options are checked, and all that the blocks share is computed, with the first block.
    The other arguments, and the errors, are those of `rerank_k_reciprocal`.
    """
    from reid_pipeline.geometry.reciprocal_kernels import subtract_similarity

    check_neighbour_counts(k1, k2)
    if not 0.0 <= lambda_value <= 1.0:
        raise UserError(
            f"lambda_value is {lambda_value}; the original distance's share must lie in [0, 1] (usual: 0.3)."
        )
    check_memory_limit(memory_limit, DEFAULT_MEMORY_LIMIT)
    query_QD, gallery_GD = checked_pair(query_features, gallery_features)
    rows_ND = np.concatenate((query_QD, gallery_GD))
    distances, indices, furthest_N = neighbours_and_furthest(rows_ND, max(k1 + 1, k2))
    scale_N = np.where(furthest_N > 0, furthest_N, 1.0)
    lists = (distances[:, : k1 + 1], indices[:, : k1 + 1])
    weights = reciprocal_weights(rows_ND, lists, half=round(k1 / 2) + 1, scale_N=scale_N)
    weights = expand_queries(weights, indices[:, :k2])
    encoded = (parts_of(weights), parts_of(weights.tocsc()))
    centre_D = rows_ND.mean(axis=0, dtype=np.float64).astype(rows_ND.dtype)
    gallery_GD = rows_ND[len(query_QD) :]
    height = max(1, memory_limit // (4 * (2 * len(gallery_GD) + rows_ND.shape[1])))
    for start in range(0, len(query_QD), height):
        part = slice(start, min(start + height, len(query_QD)))
        block_RG = _scaled_distances(rows_ND[part], gallery_GD, centre_D, scale_N[part])
        block_RG *= np.float32(lambda_value)
        block_RG += np.float32(1 - lambda_value)
        subtract = partial(subtract_similarity, encoded, len(query_QD), 1 - lambda_value, start, block_RG)
        in_threads(subtract, even_parts(len(block_RG)))
        yield start, block_RG


def _scaled_distances(
    rows_RD: Floats, gallery_GD: Floats, centre_D: Floats, scale_R: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Return the squared distances of a block, each row divided by its scale: `[R, G]` float32.

    Relative to the centre of all rows the float32 product errs by a few units in the last place of the scale,
    wherever the features lie: no row is further from it than the two rows furthest apart are from each other.
    """
    inverse_R1 = (1.0 / scale_R).astype(np.float32)[:, None]
    left_RD = (rows_RD - centre_D).astype(np.float32, copy=False)
    norms_R1 = squared_norms(left_RD)[:, None]
    left_RD *= -2
    block_RG = np.empty((len(rows_RD), len(gallery_GD)), dtype=np.float32)
    for start in range(0, len(gallery_GD), _GALLERY_ROWS):
        right_SD = (gallery_GD[start : start + _GALLERY_ROWS] - centre_D).astype(np.float32, copy=False)
        products_RS = left_RD @ right_SD.T
        products_RS += squared_norms(right_SD)
        products_RS += norms_R1
        np.maximum(products_RS, 0, out=products_RS)
        np.multiply(products_RS, inverse_R1, out=block_RG[:, start : start + _GALLERY_ROWS])
    return block_RG


def average_query_expansion(
    query_features: ArrayLike, gallery_features: ArrayLike, *, k: int = 10, alpha: float = 3.0
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the features of both sides, each averaged with its `k` nearest among all of them.

    With unit rows x and n(i) the k nearest others of row i, by cosine, in query and gallery together::

        y_i = x_i + sum over j in n(i) of max(0, x_i . x_j)^alpha x_j,  then y_i / |y_i|

    Source: average query expansion, Chum et al., "Total Recall", ICCV 2007 (alpha 0: the plain mean); the
    weights are those of Radenovic et al., "Fine-tuning CNN Image Retrieval with No Human Annotation", TPAMI
    2019 (there alpha 3, for the query alone). Both sides are expanded, as re-identification code does it.

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
    return np.asarray(features_RD / lengths_R[:, None], dtype=np.float32)
