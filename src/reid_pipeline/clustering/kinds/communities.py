"""Communities of the graph of pairs within eps: modularity with a null term that does not weaken as the graph grows.

Sources: Blondel, Guillaume, Lambiotte and Lefebvre, "Fast unfolding of communities in large networks", 2008 (Louvain);
Reichardt and Bornholdt, "Statistical mechanics of community detection", 2006 (the resolution); Fortunato and
Barthelemy, "Resolution limit in community detection", PNAS 2007 (why a fixed one merges more as the graph grows).

Shape suffixes: N rows, L linked rows, E stored pairs.
"""

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from reid_pipeline.clustering.kinds._kind import ClusteringKind, check_options, pairs_within, square
from reid_pipeline.clustering.quality import Integers

ROWS_OF_RESOLUTION_ONE = 700
"""Linked rows at which `resolution` is that of plain modularity."""
_SMALLEST_GAIN = 1e-5
"""Share of the modularity below which Louvain stops; single precision is exact to 1e-7."""


def communities_labels(
    similarity: sparse.csr_array, *, eps: float, min_samples: int, resolution: float = 1.0
) -> Integers:
    """Cluster rows by Louvain on the pairs within eps, weighted by their similarity.

    Plain modularity joins two groups where the weight between them exceeds `resolution * d_a d_b / W`, with d the
    summed weights of a group's rows and W that of all rows: as the collection grows, W does, and ever weaker links
    join. Here the resolution grows with the L rows that have a neighbour, `resolution * L / 700`, so that the bound is
    `resolution * d_a d_b / (700 d)`, d the mean of the rows' summed weights: n copies of a graph beside each other
    have the communities of one, n times.

    Rows enter in the order of their summed weights, so that the order in which they are given, which on benchmarks is
    that of identities, decides nothing but ties. A community in several pieces is cut into these. Communities of fewer
    than `min_samples` rows are noise. Time O(E log N) in practice, memory O(N + E).

    Args:
        similarity: CSR `[N, N]`, symmetric, values in (0, 1].
        eps: greatest distance of neighbours, in (0, 1].
        min_samples: rows of the smallest cluster, at least 1.
        resolution: above 0; more of it, more and smaller communities.

    Returns:
        int64 `[N]`: clusters from 0, numbered by their smallest rows, noise -1.

    Raises:
        UserError: a matrix that is not square, or an option outside its range.
    """
    check_options(eps=eps, min_samples=min_samples, resolution=resolution)
    pairs = square(similarity)
    total = pairs.shape[0]
    rows_E, columns_E, weights_E = pairs_within(pairs, eps)
    order_N, linked = _by_strength(rows_E, weights_E.astype(np.float64), total)
    labels_N = np.arange(total)
    if linked:
        rank_N = np.empty(total, dtype=np.int64)
        rank_N[order_N] = np.arange(total)
        graph = sparse.csr_matrix((weights_E, (rank_N[rows_E], rank_N[columns_E])), shape=(linked, linked))
        labels_N[order_N[:linked]] = _connected(graph, _louvain(graph, resolution * linked / ROWS_OF_RESOLUTION_ONE))
        labels_N[order_N[linked:]] = linked + np.arange(total - linked)
    return _numbered(labels_N, min_samples)


def _by_strength(rows_E: Integers, weights_E: np.ndarray, total: int) -> tuple[Integers, int]:
    """Return all rows, those of the greatest summed weight first, and how many have a neighbour.

    A row's weights are summed in ascending order: the same sum whatever the order of rows.
    """
    ascending = np.lexsort((weights_E, rows_E))
    strength_N = np.bincount(rows_E[ascending], weights=weights_E[ascending], minlength=total)
    return np.argsort(-strength_N, kind="stable"), int((strength_N > 0).sum())


def _louvain(graph: sparse.csr_matrix, resolution: float) -> Integers:
    """Return each row's community, in any numbering."""
    # Leiden of this library refines by C's rand(), which nobody seeds; Louvain without shuffling draws nothing.
    from sknetwork.clustering import Louvain

    graph.sort_indices()
    found = Louvain(
        resolution=resolution,
        modularity="newman",
        tol_optimization=_SMALLEST_GAIN,
        tol_aggregation=_SMALLEST_GAIN,
        shuffle_nodes=False,
        return_probs=False,
        return_aggregate=False,
    ).fit(graph)
    return np.asarray(found.labels_, dtype=np.int64)


def _connected(graph: sparse.csr_matrix, labels_L: Integers) -> Integers:
    """Return the connected pieces of communities: Louvain can leave one in two pieces when a row between them moves."""
    pairs = graph.tocoo()
    same_E = labels_L[pairs.row] == labels_L[pairs.col]
    inner = sparse.coo_array((pairs.data[same_E], (pairs.row[same_E], pairs.col[same_E])), shape=graph.shape)
    return np.asarray(csgraph.connected_components(inner.tocsr(), directed=False)[1], dtype=np.int64)


def _numbered(labels_N: Integers, min_samples: int) -> Integers:
    """Return labels numbered by their smallest rows, -1 for groups of fewer than `min_samples`."""
    _, first, group_N, sizes = np.unique(labels_N, return_index=True, return_inverse=True, return_counts=True)
    number = np.full(len(first), -1, dtype=np.int64)
    large = np.flatnonzero(sizes >= min_samples)
    number[large[np.argsort(first[large])]] = np.arange(len(large))
    return number[group_N]


KIND = ClusteringKind(
    name="communities",
    description="Groups with more weight inside than by chance, by modularity (Louvain); chains do not join them.",
    labels=communities_labels,
)
