"""Clusters that hold too large a share of the images, split by smaller cuts."""

from collections import deque

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from reid_pipeline.clustering.cut import CANDIDATES, LabelsAt, found_cut
from reid_pipeline.clustering.measures import graph_silhouette
from reid_pipeline.clustering.quality import Integers


def split_large(
    similarity: sparse.csr_array, labels: Integers, labels_at: LabelsAt, *, eps: float, largest_share: float
) -> tuple[Integers, int]:
    """Split clusters with more than `largest_share` of all rows by smaller cuts, where that fits the graph better.

    A cluster that is too large is clustered alone, by the cut below the one that made it which `found_cut` finds. The
    parts are taken if the mean silhouette of its rows, noise 0, is greater than before in the whole graph: an animal
    that has half of the images stays one. A part that is still too large is split in turn, by cuts below its own, so
    that no row is clustered more often than there are candidates.

    Returns:
        Labels, in which the first part has the number of the whole and the others come after all, and how many
        clusters were split.
    """
    found, split = labels.copy(), 0
    waiting = deque((cluster, eps) for cluster in _too_large(found, largest_share))
    while waiting:
        cluster, above = waiting.popleft()
        of_N = found == cluster
        smaller = [eps for eps in CANDIDATES if eps < above]
        if not smaller:
            continue
        rows = np.flatnonzero(of_N)
        below, parts, _ = found_cut(similarity[rows][:, rows].tocsr(), labels_at, smaller)
        divided = _with_parts(found, of_N, parts)
        if parts.max() < 1 or _fit(similarity, divided, of_N) <= _fit(similarity, found, of_N):
            continue
        new = {cluster, *range(int(found.max()) + 1, int(divided.max()) + 1)}
        found, split = divided, split + 1
        waiting.extend((part, below) for part in _too_large(found, largest_share) if part in new)
    return found, split


def _too_large(labels: Integers, largest_share: float) -> list[int]:
    sizes = np.bincount(labels[labels >= 0])
    return [int(cluster) for cluster in np.flatnonzero(sizes > largest_share * len(labels))]


def _with_parts(labels: Integers, of_N: NDArray[np.bool_], parts: Integers) -> Integers:
    """Return the labels with the rows `of_N` of one cluster in parts, numbered from 0; -1 is noise."""
    divided = labels.copy()
    divided[of_N] = np.where(parts > 0, labels.max() + parts, np.where(parts == 0, labels[of_N], -1))
    return divided


def _fit(similarity: sparse.csr_array, labels: Integers, of_N: NDArray[np.bool_]) -> float:
    return float(graph_silhouette(similarity, labels)[of_N].mean())
