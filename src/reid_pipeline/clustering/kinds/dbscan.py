"""DBSCAN on a sparse similarity: the labels that scikit-learn finds on the dense distance.

Source: Ester, Kriegel, Sander and Xu, "A Density-Based Algorithm for Discovering Clusters", KDD 1996; the
numbering of clusters and the choice for border points follow scikit-learn's `DBSCAN`.

Shape suffixes: N rows, E stored pairs.
"""

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from reid_pipeline.clustering.kinds._kind import ClusteringKind, check_options, pairs_within, square
from reid_pipeline.clustering.quality import Integers


def dbscan_labels(similarity: sparse.csr_array, *, eps: float, min_samples: int, resolution: float = 1.0) -> Integers:
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
        resolution: not used.

    Returns:
        int64 `[N]`: clusters from 0, noise -1.

    Raises:
        UserError: a matrix that is not square, or an option outside its range.
    """
    check_options(eps=eps, min_samples=min_samples, resolution=resolution)
    pairs = square(similarity)
    total = pairs.shape[0]
    if np.float32(eps) >= np.float32(1):
        return np.full(total, 0 if total >= min_samples else -1, dtype=np.int64)
    rows_E, columns_E, _ = pairs_within(pairs, eps)
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


KIND = ClusteringKind(
    name="dbscan",
    description="Connected dense rows, by single linkage (DBSCAN); as the released code.",
    labels=dbscan_labels,
)
