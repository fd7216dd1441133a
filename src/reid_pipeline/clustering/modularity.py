"""Groups of a weighted graph by modularity, with a null term that does not weaken as the collection grows.

Sources: Blondel, Guillaume, Lambiotte and Lefebvre, "Fast unfolding of communities in large networks", 2008 (Louvain);
Reichardt and Bornholdt, "Statistical mechanics of community detection", 2006 (the resolution); Fortunato and
Barthelemy, "Resolution limit in community detection", PNAS 2007 (why a fixed one merges more as the graph grows).

Shape suffixes: N nodes (rows, or groups of rows), L linked nodes, E stored pairs.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph

from reid_pipeline.clustering.quality import Integers

ROWS_OF_RESOLUTION_ONE = 700
"""Linked rows at which `resolution` is that of plain modularity."""
_SMALLEST_GAIN = 1e-5
"""Share of the modularity below which Louvain stops; single precision is exact to 1e-7."""


def modular_groups(
    rows_E: Integers,
    columns_E: Integers,
    weights_E: NDArray[np.floating],
    *,
    nodes: int,
    linked_rows: int,
    resolution: float,
) -> Integers:
    """Group the nodes of a symmetric weighted graph by Louvain; a node without a pair stays alone.

    Plain modularity joins two groups where the weight between them exceeds `resolution * d_a d_b / W`, with d the
    summed weights of a group's nodes and W that of all: as the collection grows, W does, and ever weaker links join.
    Here the resolution grows with the rows that have a neighbour, `resolution * linked_rows / 700`, so that the bound
    is `resolution * d_a d_b / (700 d)`, d the mean of the rows' summed weights: n copies of a graph beside each other
    have the groups of one, n times.

    Nodes enter in the order of their summed weights, so that the order in which they are given, which on benchmarks is
    that of identities, decides nothing but ties. A group in several pieces is cut into these. Time O(E log N) in
    practice, memory O(N + E).

    Args:
        rows_E: int64 `[E]`, the first node of each pair; a pair stands once in both directions. A pair of a node with
            itself is the weight within it.
        columns_E: int64 `[E]`, the second.
        weights_E: floats `[E]`, above 0.
        nodes: N.
        linked_rows: rows of the collection that have a neighbour.
        resolution: above 0; more of it, more and smaller groups.

    Returns:
        int64 `[N]`, in any numbering.
    """
    order_N, linked = _by_strength(rows_E, weights_E.astype(np.float64), nodes)
    groups_N = np.arange(nodes)
    if linked:
        rank_N = np.empty(nodes, dtype=np.int64)
        rank_N[order_N] = np.arange(nodes)
        weights = weights_E.astype(np.float32)
        graph = sparse.csr_matrix((weights, (rank_N[rows_E], rank_N[columns_E])), shape=(linked, linked))
        found = _louvain(graph, resolution * linked_rows / ROWS_OF_RESOLUTION_ONE)
        groups_N[order_N[:linked]] = _connected(graph, found)
        groups_N[order_N[linked:]] = linked + np.arange(nodes - linked)
    return groups_N


def numbered(groups_N: Integers, min_samples: int) -> Integers:
    """Return clusters numbered from 0 by their smallest rows, -1 for groups of fewer than `min_samples`."""
    _, first, group_N, sizes = np.unique(groups_N, return_index=True, return_inverse=True, return_counts=True)
    number = np.full(len(first), -1, dtype=np.int64)
    large = np.flatnonzero(sizes >= min_samples)
    number[large[np.argsort(first[large])]] = np.arange(len(large))
    return number[group_N]


def _by_strength(rows_E: Integers, weights_E: NDArray[np.float64], nodes: int) -> tuple[Integers, int]:
    """Return all nodes, those of the greatest summed weight first, and how many have a pair.

    A node's weights are summed in ascending order: the same sum whatever the order of nodes.
    """
    ascending = np.lexsort((weights_E, rows_E))
    strength_N = np.bincount(rows_E[ascending], weights=weights_E[ascending], minlength=nodes)
    return np.argsort(-strength_N, kind="stable"), int((strength_N > 0).sum())


def _louvain(graph: sparse.csr_matrix, resolution: float) -> Integers:
    """Return each node's group, in any numbering."""
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


def _connected(graph: sparse.csr_matrix, groups_L: Integers) -> Integers:
    """Return the connected pieces of groups: Louvain can leave one in two pieces when a node between them moves."""
    pairs = graph.tocoo()
    same_E = groups_L[pairs.row] == groups_L[pairs.col]
    inner = sparse.coo_array((pairs.data[same_E], (pairs.row[same_E], pairs.col[same_E])), shape=graph.shape)
    return np.asarray(csgraph.connected_components(inner.tocsr(), directed=False)[1], dtype=np.int64)
