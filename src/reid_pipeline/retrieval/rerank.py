"""k-reciprocal re-ranking, sparse and in blocks of queries.

Shape suffixes: N = Q + G rows of both sides, Q queries, G gallery rows, D width, R rows of a block.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reid_pipeline.geometry.compiled import even_parts, in_threads
from reid_pipeline.geometry.distances import Floats, squared_norms
from reid_pipeline.geometry.jaccard import check_neighbour_counts, expand_queries, parts_of, reciprocal_weights
from reid_pipeline.geometry.neighbours import neighbours_and_furthest
from reid_pipeline.retrieval.inputs import checked_pair
from reid_pipeline.schema.errors import UserError


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
_SMALLEST_LIMIT = 1 << 20
_GALLERY_ROWS = 2048


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
    """
    from reid_pipeline.geometry.reciprocal_kernels import subtract_similarity

    check_neighbour_counts(k1, k2)
    if not 0.0 <= lambda_value <= 1.0:
        raise UserError(
            f"lambda_value is {lambda_value}; the original distance's share must lie in [0, 1] (usual: 0.3)."
        )
    if memory_limit < _SMALLEST_LIMIT:
        raise UserError(
            f"memory_limit is {memory_limit} bytes; at least {_SMALLEST_LIMIT} (1 MiB) is needed, "
            f"{DEFAULT_MEMORY_LIMIT >> 20} MiB is usual."
        )
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

    Both sides are taken relative to the centre of all rows. No row is further from it than the two rows furthest
    apart are from each other, so the float32 product errs by a few units in the last place of the scale.
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
