"""The Jaccard similarity of k-reciprocal neighbourhoods, sparse: the distance of the pseudo-label loop.

Shape suffixes: N rows, D width, K neighbours, E stored entries of the weights.

Cost: the neighbour search takes O(N^2 D). The sums take one term per pair of rows in each column of the
weights: with s stored weights in a row and in a column on average, O(N s^2) terms of about 1 ns, s between 20
and 150 at the defaults whatever N is; a column in which nearly every row has a weight (a hub) costs up to N^2
terms and makes the result dense, since all those pairs then do share something. Memory is the weights, the
result, and a few megabytes for each core.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from reid_pipeline.geometry.distances import checked_features
from reid_pipeline.geometry.neighbours import nearest_neighbours
from reid_pipeline.geometry.reciprocal import expand_queries, parts_of, reciprocal_weights, sparse_rows
from reid_pipeline.schema.errors import UserError


def jaccard_distance(features: ArrayLike, *, k1: int = 30, k2: int = 6) -> sparse.csr_array:
    """Return the Jaccard *similarity* (1 - distance) of every pair of rows where it is above 0.

    The name says what it is for: every pair that is not stored has distance exactly 1, so the sparse
    similarity holds the whole distance matrix. `distance = 1 - similarity`.

    Source: k-reciprocal encoding (Zhong et al., CVPR 2017, equations 3-7, 10, 11), as Cluster Contrast (arXiv
    2103.11568) uses it for pseudo labels: the k1 nearest *include* the row itself; half lists have round(k1 /
    2) + 1 columns (half to even); weights `exp(-|x_i - x_j|^2)`, normalised per row; each row of weights is
    averaged over the k2 nearest; `similarity = sum_c min(V_ic, V_jc) / (2 - sum_c min(V_ic, V_jc))`.

    Differs from the released code: that code takes the distance as 2 - 2 cos, which is the squared Euclidean
    distance of unit rows; here it is the squared Euclidean distance of the rows as given. "More than two
    thirds" is decided in whole numbers. Ties go to the lower index. A k2 above k1 averages over the k2
    nearest, not over k1 of them.

    Args:
        features: `[N, D]` floats, finite; unit rows are usual, not required.
        k1: neighbours in a list, the row included, at least 1; more than N means N.
        k2: nearest rows, the row included, that are averaged, at least 1.

    Returns:
        float32 CSR `[N, N]`, symmetric, values in (0, 1], diagonal 1, columns sorted. The same bits every
        time.

    Raises:
        UserError: unusable features, or k1 or k2 not a whole number of at least 1.
    """
    return jaccard_similarity(features, k1=k1, k2=k2)


def jaccard_similarity(
    features: ArrayLike, *, k1: int = 30, k2: int = 6, minimum: float = 0.0, device: str = "cpu"
) -> sparse.csr_array:
    """Do what `jaccard_distance` does, and keep only the pairs with a similarity of at least `minimum`.

    Args:
        features: as in `jaccard_distance`.
        k1: as in `jaccard_distance`.
        k2: as in `jaccard_distance`.
        minimum: pairs below are dropped as they are found, so that memory follows what is kept.
        device: where the neighbours are searched; see `nearest_neighbours`.
    """
    checked_counts(k1=k1, k2=k2)
    features_ND = checked_features(features)
    distances_NK, indices_NK = nearest_neighbours(features_ND, max(k1, k2), device=device)
    lists = (distances_NK[:, :k1], indices_NK[:, :k1])
    weights = reciprocal_weights(features_ND, lists, half=round(k1 / 2) + 1)
    weights = expand_queries(weights, indices_NK[:, :k2])
    return _symmetric_similarity(weights, minimum)


def checked_counts(**counts: int) -> None:
    """Raise UserError where a neighbour count is not a whole number of at least 1."""
    for name, count in counts.items():
        if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 1:
            raise UserError(
                f"{name} is {count!r}; a whole number of at least 1 is needed "
                "(usual: k1 20 to 30, k2 6; the row itself counts as one of them)."
            )


def _symmetric_similarity(weights: sparse.csr_array, minimum: float) -> sparse.csr_array:
    """Return the similarity of all pairs of rows of `weights` as float32 CSR; see `jaccard_distance`."""
    from reid_pipeline.geometry.reciprocal_kernels import mirror, similar

    total = weights.shape[0]
    columns = weights.tocsc()
    terms_E = np.diff(columns.indptr).astype(np.int64)[weights.indices]
    terms_N = np.diff(np.concatenate(([0], np.cumsum(terms_E)))[weights.indptr])
    most_N = np.minimum(terms_N, total - 1 - np.arange(total))
    del terms_E
    given = (parts_of(weights), parts_of(columns), float(np.float32(minimum)))
    upper = sparse_rows(most_N, lambda *block: similar(*given, *block))
    ends = np.zeros(total + 1, dtype=np.int64)
    entries = total + 2 * upper.nnz
    indices, data = np.empty(entries, dtype=np.int32), np.empty(entries, dtype=np.float32)
    mirror(parts_of(upper), ends, indices, data)
    similarity = sparse.csr_array((data, indices, ends), shape=(total, total))
    similarity.has_canonical_format = True
    return similarity
