"""The Jaccard similarity of k-reciprocal neighbourhoods, sparse: the distance of the pseudo-label loop.

Shape suffixes: N rows, D width, K neighbours, E stored entries of the weights, T terms (pairs of entries in a
column).

Cost: the neighbour search takes O(N^2 D). The sums take one term per pair of rows in each column of the
weights: with s stored weights in a row and in a column on average, O(N s^2) terms, s between 20 and 150 at
the defaults whatever N is; a column in which nearly every row has a weight (a hub) costs up to N^2 terms and
makes the result dense, since all those pairs then do share something. A buffer of a few rows x N is swept
once per block: N^2 / 2 entries in all, about 2 ns each, never stored together. Memory is that block and the
result.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from reid_pipeline.geometry.distances import Indices, checked_features
from reid_pipeline.geometry.neighbours import nearest_neighbours
from reid_pipeline.geometry.reciprocal import expand_queries, reciprocal_weights
from reid_pipeline.schema.errors import UserError

_BLOCK_TERMS = 1 << 20
_BLOCK_ENTRIES = 1 << 21


def jaccard_distance(features: ArrayLike, *, k1: int = 30, k2: int = 6) -> sparse.csr_array:
    """Return the Jaccard *similarity* (1 - distance) of every pair of rows where it is above 0.

    The name says what it is for: every pair that is not stored has distance exactly 1, so the sparse
    similarity holds the whole distance matrix. ``distance = 1 - similarity``.

    Source: k-reciprocal encoding (Zhong et al., CVPR 2017, equations 3-7, 10, 11), as Cluster Contrast (arXiv
    2103.11568) uses it for pseudo labels: the k1 nearest *include* the row itself; half lists have round(k1 /
    2) + 1 columns (half to even); weights ``exp(-|x_i - x_j|^2)``, normalised per row; each row of weights is
    averaged over the k2 nearest; ``similarity = sum_c min(V_ic, V_jc) / (2 - sum_c min(V_ic, V_jc))``.

    Differs from the released code: that code takes the distance as 2 - 2 cos, which is the squared Euclidean
    distance of unit rows; here it is the squared Euclidean distance of the rows as given. "More than two
    thirds" is decided in whole numbers. Ties go to the lower index. A k2 above k1 averages over the k2
    nearest, not over k1 of them.

    Args:
        features: ``[N, D]`` floats, finite; unit rows are usual, not required.
        k1: neighbours in a list, the row included, at least 1; more than N means N.
        k2: nearest rows, the row included, that are averaged, at least 1.

    Returns:
        float32 CSR ``[N, N]``, symmetric, values in (0, 1], diagonal 1, columns sorted. The same bits every
        time.

    Raises:
        UserError: unusable features, or k1 or k2 not a whole number of at least 1.
    """
    return jaccard_similarity(features, k1=k1, k2=k2)


def jaccard_similarity(
    features: ArrayLike, *, k1: int = 30, k2: int = 6, minimum: float = 0.0, device: str = "cpu"
) -> sparse.csr_array:
    """Do what `jaccard_distance` does, and keep only the pairs with a similarity of at least ``minimum``.

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


@dataclass(frozen=True)
class Terms:
    """The terms to be summed: for entry e of the weights, the entries ``starts[e] : ends[e]`` of its column.

    Attributes:
        weights: float32 CSR ``[N, N]`` with sorted columns.
        columns: the same matrix as CSC.
        starts: ``[E]``, per entry of ``weights`` the first place in ``columns``.
        ends: ``[E]``, the end of the entry's column.
    """

    weights: sparse.csr_array
    columns: sparse.csc_array
    starts: Indices
    ends: Indices

    @classmethod
    def below_each_row(cls, weights: sparse.csr_array) -> "Terms":
        """Pair every row i with the rows after it: each unordered pair once."""
        order = np.argsort(weights.indices, kind="stable")
        places_E = np.empty(len(order), dtype=np.int64)
        places_E[order] = np.arange(len(order))
        columns = weights.tocsc()
        return cls(weights, columns, places_E + 1, columns.indptr[weights.indices + 1].astype(np.int64))

    def blocks(self, rows: int, first_column: int | None = None) -> Iterator[tuple[int, int]]:
        """Split rows 0 to ``rows`` so that neither terms nor buffer of a block exceed their bounds."""
        total = self.weights.shape[1]
        terms = np.concatenate(([0], np.cumsum(self.ends - self.starts)))[self.weights.indptr]
        start = 0
        while start < rows:
            width = total - (start if first_column is None else first_column)
            stop = int(np.searchsorted(terms, terms[start] + _BLOCK_TERMS, side="right")) - 1
            stop = max(start + 1, min(stop, start + _BLOCK_ENTRIES // max(width, 1), rows))
            yield start, stop
            start = stop

    def shared(self, start: int, stop: int, first_column: int) -> NDArray[np.float64]:
        """Return ``sum_c min(V_ic, V_jc)`` of these rows: ``[stop - start, N - first_column]`` float64."""
        entries = slice(self.weights.indptr[start], self.weights.indptr[stop])
        lengths = self.ends[entries] - self.starts[entries]
        width = self.weights.shape[1] - first_column
        row_offsets = np.arange(stop - start) * width - first_column
        offsets = np.repeat(row_offsets, np.diff(self.weights.indptr[start : stop + 1]))
        places_T = np.arange(lengths.sum())
        places_T += np.repeat(self.starts[entries] - (np.cumsum(lengths) - lengths), lengths)
        values_T = np.minimum(np.repeat(self.weights.data[entries], lengths), self.columns.data[places_T])
        keys_T = np.repeat(offsets, lengths)
        keys_T += self.columns.indices[places_T]
        sums = np.bincount(keys_T, weights=values_T, minlength=(stop - start) * width)
        return sums.astype(np.float64, copy=False).reshape(stop - start, width)


def jaccard_of(shared: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``s / (2 - s)`` for shared weight s in [0, 1] (equation 10, rows of weights having sum 1)."""
    bounded = np.minimum(shared, 1.0)
    return bounded / (2.0 - bounded)


def _symmetric_similarity(weights: sparse.csr_array, minimum: float) -> sparse.csr_array:
    """Return the similarity of all pairs of rows of ``weights`` as float32 CSR; see `jaccard_distance`."""
    total = weights.shape[0]
    terms = Terms.below_each_row(weights)
    counts = np.zeros(total + 1, dtype=np.int64)
    # The diagonal is stored as 1/2 in the upper triangle: adding the transpose makes it exactly 1.
    columns: list[NDArray[np.int32]] = []
    values: list[NDArray[np.float32]] = []
    for start, stop in terms.blocks(total):
        shared = terms.shared(start, stop, start)
        np.einsum("ii->i", shared[:, : stop - start])[:] = 2.0 / 3.0
        found = np.flatnonzero(shared)
        similarity = jaccard_of(shared.ravel()[found]).astype(np.float32)
        rows, places = np.divmod(found, total - start)
        kept = similarity >= minimum if minimum > 0.0 else similarity > 0.0
        own = rows == places
        similarity[own] = 0.5
        kept |= own
        counts[start + 1 : stop + 1] = np.bincount(rows[kept], minlength=stop - start)
        columns.append((places[kept] + start).astype(np.int32))
        values.append(similarity[kept])
    arrays = (np.concatenate(values), np.concatenate(columns), np.cumsum(counts))
    del columns, values, terms
    upper = sparse.csr_array(arrays, shape=(total, total))
    return sparse.csr_array(upper + upper.T.tocsr())
