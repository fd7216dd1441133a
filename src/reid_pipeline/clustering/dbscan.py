"""DBSCAN on a sparse similarity: the labels that scikit-learn finds on the dense distance.

Source: Ester, Kriegel, Sander and Xu, "A Density-Based Algorithm for Discovering Clusters", KDD 1996; the
numbering of clusters and the choice for border points follow scikit-learn's `DBSCAN`.

Shape suffixes: N rows, E stored pairs.
"""

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from reid_pipeline.clustering.quality import Integers
from reid_pipeline.geometry.distances import check_count
from reid_pipeline.schema.errors import UserError


def dbscan_labels(similarity: sparse.csr_array, *, eps: float, min_samples: int) -> Integers:
    """Cluster rows whose distance is `1 - similarity`.

    Rows i and j are neighbours where `float32(1) - similarity_ij <= float32(eps)`, the comparison that
    scikit-learn makes on a float32 distance matrix; a pair that is not stored has distance 1; a row is its
    own neighbour. A row with at least `min_samples` neighbours, itself included, is a core row. Clusters
    are the connected components of the core rows, numbered by their smallest core row; a row that is not core
    joins the lowest-numbered cluster with a core neighbour, else it is noise. At eps 1 every pair are
    neighbours: one cluster, or all noise where N < min_samples. Time and memory O(N + E).

    Args:
        similarity: CSR `[N, N]`, symmetric, values in (0, 1].
        eps: greatest distance of neighbours, in (0, 1].
        min_samples: neighbours that make a core row, the row itself included, at least 1.

    Returns:
        int64 `[N]`: clusters from 0, noise -1.

    Raises:
        UserError: a matrix that is not square, eps outside (0, 1], or min_samples below 1.
    """
    check_options(eps=eps, min_samples=min_samples)
    pairs = sparse.csr_array(similarity)
    total = pairs.shape[0]
    if pairs.shape != (total, total):
        raise UserError(f"similarity has shape {list(pairs.shape)}; a square matrix [N, N] is needed.")
    if np.float32(eps) >= np.float32(1):
        return np.full(total, 0 if total >= min_samples else -1, dtype=np.int64)
    rows_E = np.repeat(np.arange(total), np.diff(pairs.indptr))
    near_E = np.float32(1) - pairs.data.astype(np.float32, copy=False) <= np.float32(eps)
    near_E &= rows_E != pairs.indices
    rows_E, columns_E = rows_E[near_E], pairs.indices[near_E]
    core_N = np.bincount(rows_E, minlength=total) + 1 >= min_samples
    both_E = core_N[rows_E] & core_N[columns_E]
    graph = sparse.coo_array((both_E[both_E], (rows_E[both_E], columns_E[both_E])), shape=(total, total)).tocsr()
    # scipy numbers components by their first rows; rows that are not core are components of their own.
    component_N = csgraph.connected_components(graph, directed=False)[1]
    labels_N = np.full(total, -1, dtype=np.int64)
    labels_N[core_N] = np.unique(component_N[core_N], return_inverse=True)[1]
    border_E = ~core_N[rows_E] & core_N[columns_E]
    lowest_N = np.full(total, total, dtype=np.int64)
    np.minimum.at(lowest_N, rows_E[border_E], labels_N[columns_E[border_E]])
    return np.where(lowest_N < total, lowest_N, labels_N)


def check_options(*, eps: float, min_samples: int) -> None:
    """Raise UserError where `eps` or `min_samples` is outside its range."""
    if not 0.0 < eps <= 1.0:
        raise UserError(
            f"eps is {eps}; it is a Jaccard distance and must lie in (0, 1] (usual: 0.4 to 0.7; higher merges more)."
        )
    check_count("min_samples", min_samples, "4")
