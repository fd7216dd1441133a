"""Communities of the graph of pairs within eps: groups with more weight inside than by chance."""

import numpy as np
from scipy import sparse

from reid_pipeline.clustering.kinds._kind import ClusteringKind, check_options, pairs_within, square
from reid_pipeline.clustering.modularity import modular_groups, numbered
from reid_pipeline.clustering.quality import Integers


def communities_labels(
    similarity: sparse.csr_array, *, eps: float, min_samples: int, resolution: float = 1.0
) -> Integers:
    """Cluster rows by modularity (Louvain) on the pairs within eps, weighted by their similarity.

    `modular_groups` has the bound above which two groups join, and what it costs. Communities of fewer than
    `min_samples` rows are noise.

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
    rows_E, columns_E, weights_E = pairs_within(pairs, eps)
    linked_rows = len(np.unique(rows_E))
    groups_N = modular_groups(
        rows_E, columns_E, weights_E, nodes=pairs.shape[0], linked_rows=linked_rows, resolution=resolution
    )
    return numbered(groups_N, min_samples)


KIND = ClusteringKind(
    name="communities",
    description="Groups with more weight inside than by chance, by modularity (Louvain); chains do not join them.",
    labels=communities_labels,
)
