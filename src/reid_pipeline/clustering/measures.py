"""How good pseudo labels look without any identity: silhouette, modularity, stability, cameras, largest cluster.

Shape suffixes: N rows, C clusters, E stored pairs.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from reid_pipeline.clustering.quality import Integers, checked_integers, checked_pair, rows_of_noise_alone
from reid_pipeline.schema.errors import UserError


def graph_silhouette(similarity: sparse.csr_array, pseudo_labels: ArrayLike) -> NDArray[np.float64]:
    """Return each row's silhouette in the distance `1 - similarity`; a pair that is not stored has distance 1.

    With a the mean distance to the other rows of the own cluster, and b the smallest mean distance to the rows of
    another: `(b - a) / max(a, b)`. Noise scores 0, as a row alone in its cluster and every row of a single
    cluster do; noise is no cluster that b could be measured to. Hence both trivial partitions, all noise and one
    cluster, have mean 0. Time and memory O(E + N).

    Source: Rousseeuw, "Silhouettes: a graphical aid to the interpretation and validation of cluster analysis",
    Journal of Computational and Applied Mathematics 1987.

    Args:
        similarity: CSR `[N, N]`, symmetric, values in (0, 1]; the diagonal does not count.
        pseudo_labels: `[N]` integers, below 0 noise.

    Returns:
        float64 `[N]`, in [-1, 1].

    Raises:
        UserError: shapes that differ, no rows, or labels that are not integers.
    """
    labels_N = _labels_of(similarity, pseudo_labels)
    rows = len(labels_N)
    clustered_N = labels_N >= 0
    sizes_C = np.bincount(labels_N[clustered_N])
    silhouette_N = np.zeros(rows)
    if (sizes_C > 0).sum() < 2:
        return silhouette_N
    members = np.flatnonzero(clustered_N)
    belongs = sparse.csr_array((np.ones(len(members)), (members, labels_N[members])), shape=(rows, len(sizes_C)))
    sums = sparse.coo_array(sparse.csr_array(similarity, dtype=np.float64) @ belongs)
    own_N = np.zeros(rows)
    nearest_N = np.zeros(rows)
    is_own = labels_N[sums.row] == sums.col
    own_N[sums.row[is_own]] = sums.data[is_own]
    other_rows, other_columns = sums.row[~is_own], sums.col[~is_own]
    np.maximum.at(nearest_N, other_rows, sums.data[~is_own] / sizes_C[other_columns])
    sized = clustered_N.copy()
    sized[clustered_N] = sizes_C[labels_N[clustered_N]] > 1
    own_size_N = sizes_C[labels_N[sized]]
    a_N = 1.0 - (own_N - similarity.diagonal())[sized] / (own_size_N - 1)
    b_N = 1.0 - nearest_N[sized]
    greatest_N = np.maximum(a_N, b_N)
    silhouette_N[sized] = np.divide(b_N - a_N, greatest_N, out=np.zeros_like(a_N), where=greatest_N > 0)
    return silhouette_N


def graph_modularity(similarity: sparse.csr_array, pseudo_labels: ArrayLike) -> float:
    """Return Newman's modularity of the clusters in the graph of similarities, each row of noise alone; in [-0.5, 1).

    The sum over clusters of the share of the weight within, less the square of the share that its rows have. All noise
    has less than 0, one cluster 0, and a graph without pairs 0. Time and memory O(E + N).

    Source: Newman and Girvan, "Finding and evaluating community structure in networks", Physical Review E 2004.

    Args:
        similarity: CSR `[N, N]`, symmetric, values in (0, 1]; the diagonal does not count.
        pseudo_labels: `[N]` integers, below 0 noise.

    Raises:
        UserError: shapes that differ, no rows, or labels that are not integers.
    """
    labels_N = _labels_of(similarity, pseudo_labels)
    pairs = sparse.coo_array(similarity)
    rows_E, columns_E = pairs.coords
    weights_E = np.where(rows_E == columns_E, 0.0, pairs.data.astype(np.float64))
    if not (total := weights_E.sum()):
        return 0.0
    cluster_N = np.unique(rows_of_noise_alone(labels_N), return_inverse=True)[1]
    shares_C = np.bincount(cluster_N[rows_E], weights=weights_E) / total
    return float(weights_E[cluster_N[rows_E] == cluster_N[columns_E]].sum() / total - (shares_C**2).sum())


def label_stability(before: ArrayLike, after: ArrayLike) -> float:
    """Return the adjusted Rand index of two clusterings of the same rows, each row of noise a cluster of its own.

    1: the same partition; about 0: no more alike than by chance. Raises UserError for lengths that differ, no rows, or
    values that are not integers.
    """
    from sklearn.metrics import adjusted_rand_score

    before_N, after_N = checked_pair(before, after, "earlier labels")
    return float(adjusted_rand_score(rows_of_noise_alone(after_N), rows_of_noise_alone(before_N)))


def camera_balance(pseudo_labels: ArrayLike, camids: ArrayLike | None) -> float | None:
    """Return how evenly clusters mix the cameras, in [0, 1]: 0 if each is of one camera, 1 if all are as the whole.

    It is the mean over clustered rows of the entropy of cameras within the row's cluster, divided by the entropy of
    cameras among all clustered rows. None where nothing can be mixed: no cluster, or clustered rows of fewer than two
    cameras; rows without a camera (below 0) do not count.

    Raises:
        UserError: lengths that differ, no rows, or values that are not integers.
    """
    if camids is None:
        return None
    labels_N, camids_N = checked_pair(pseudo_labels, camids, "camids")
    known_N = (labels_N >= 0) & (camids_N >= 0)
    if not known_N.any():
        return None
    cameras_N = np.unique(camids_N[known_N], return_inverse=True)[1]
    clusters_N = np.unique(labels_N[known_N], return_inverse=True)[1]
    whole = _entropy(np.bincount(cameras_N))
    if whole == 0.0:
        return None
    table = np.zeros((clusters_N.max() + 1, cameras_N.max() + 1))
    np.add.at(table, (clusters_N, cameras_N), 1.0)
    shares = table.sum(axis=1) / table.sum()
    return float(min(1.0, sum(share * _entropy(row) for share, row in zip(shares, table, strict=True)) / whole))


def largest_share(pseudo_labels: ArrayLike) -> float:
    """Return the share of all rows, noise too, that the largest cluster has; 0 without a cluster."""
    labels_N: Integers = checked_integers(pseudo_labels, "pseudo_labels")
    clustered = labels_N[labels_N >= 0]
    return float(np.bincount(clustered).max() / len(labels_N)) if clustered.size else 0.0


def label_measures(
    silhouettes: NDArray[np.float64],
    pseudo_labels: ArrayLike,
    *,
    before: ArrayLike | None = None,
    camids: ArrayLike | None,
) -> dict[str, float]:
    """Return the measures of a clustering by the names that a history has.

    `silhouettes` are what `graph_silhouette` returns for `pseudo_labels`, `before` the labels of the epoch before; what
    cannot be measured (the stability of the first labels, the balance without cameras) is left out.
    """
    figures = {
        "silhouette": float(np.mean(silhouettes)),
        "largest_cluster": largest_share(pseudo_labels),
        "stability": None if before is None else label_stability(before, pseudo_labels),
        "camera_balance": camera_balance(pseudo_labels, camids),
    }
    return {name: value for name, value in figures.items() if value is not None}


def _labels_of(similarity: sparse.csr_array, pseudo_labels: ArrayLike) -> Integers:
    """Return the labels, checked to be those of the rows of the similarity."""
    labels_N = checked_integers(pseudo_labels, "pseudo_labels")
    rows = len(labels_N)
    if similarity.shape != (rows, rows):
        raise UserError(f"similarity has shape {list(similarity.shape)}, and {rows} pseudo labels were given.")
    return labels_N


def _entropy(counts: NDArray[np.float64] | Integers) -> float:
    """Return the entropy in nats of a distribution given by counts `[K]`."""
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())
