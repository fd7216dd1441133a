"""Clusters that hold too large a share of the images, split by smaller cuts."""

import numpy as np
from scipy import sparse

from reid_pipeline.clustering.cut import LabelsAt
from reid_pipeline.clustering.measures import graph_silhouette
from reid_pipeline.clustering.quality import Integers

STEP = 0.05
SMALLEST_CUT = 0.1


def split_large(
    similarity: sparse.csr_array, labels: Integers, labels_at: LabelsAt, *, eps: float, largest_share: float
) -> tuple[Integers, int]:
    """Split every cluster with more than `largest_share` of all rows by smaller cuts, where that fits the graph better.

    A cluster that is too large is clustered alone, by cuts that fall in steps of 0.05 down to 0.1, until there are two
    clusters or more in it. The parts are taken if the mean silhouette of its rows is greater than before, in the
    whole; one animal that has half of the images stays one so. A part that is still too large is split in turn, by
    cuts below the one that made it.

    Returns:
        Labels, in which the first part keeps the number of the whole and others are numbered after all, and how many
        clusters were split.
    """
    found, split = labels.copy(), 0
    waiting = [(cluster, eps) for cluster in _too_large(found, largest_share)]
    while waiting:
        cluster, above = waiting.pop(0)
        parts, below = _parts(similarity, found == cluster, labels_at, above)
        divided = _with_parts(found, cluster, parts)
        if divided is None or not _better(similarity, found, divided, found == cluster):
            continue
        new = {cluster, *range(int(found.max()) + 1, int(divided.max()) + 1)}
        found, split = divided, split + 1
        waiting += [(part, below) for part in _too_large(found, largest_share) if part in new]
    return found, split


def _too_large(labels: Integers, largest_share: float) -> list[int]:
    sizes = np.bincount(labels[labels >= 0])
    return [int(cluster) for cluster in np.flatnonzero(sizes > largest_share * len(labels))]


def _parts(similarity: sparse.csr_array, of_N: np.ndarray, labels_at: LabelsAt, above: float) -> tuple[Integers, float]:
    """Return the labels of a cluster's rows at the greatest cut below `above` that makes two of it, and the cut."""
    rows = np.flatnonzero(of_N)
    own = similarity[rows][:, rows]
    cut, labels = above - STEP, np.zeros(len(rows), dtype=np.int64)
    while cut >= SMALLEST_CUT - 1e-9:
        labels = labels_at(own, cut)
        if labels.max() > 0:
            break
        cut -= STEP
    return labels, cut


def _with_parts(labels: Integers, cluster: int, parts: Integers) -> Integers | None:
    """Return the labels with a cluster in parts, None where there are not two."""
    if parts.max() < 1:
        return None
    divided = labels.copy()
    divided[labels == cluster] = np.where(parts > 0, labels.max() + parts, np.where(parts == 0, cluster, -1))
    return divided


def _better(similarity: sparse.csr_array, before: Integers, after: Integers, of_N: np.ndarray) -> bool:
    """Return whether a cluster's rows have a greater mean silhouette in parts."""
    means = (graph_silhouette(similarity, labels)[of_N].mean() for labels in (before, after))
    whole, divided = means
    return bool(divided > whole)
