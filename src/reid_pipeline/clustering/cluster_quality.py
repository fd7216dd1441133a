"""How well embeddings fall into clusters, by clusters that no training made: the measure of `keep: best`."""

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from reid_pipeline.clustering.clustering import WEAKEST, Clustering, cluster_features, cluster_similarity
from reid_pipeline.clustering.measures import graph_modularity
from reid_pipeline.clustering.settings import ClusteringSettings


def reference(rows: int) -> ClusteringSettings:
    """Return the clustering by which embeddings of so many images are judged, however they were trained.

    Neighbours are a tenth of the images, 4 at least and 30 at most.
    """
    k1 = min(30, max(4, rows // 10))
    return ClusteringSettings(kind="communities", k1=k1, k2=min(6, k1), eps=0.5, join_within=0.7, largest_share=0.1)


def cluster_quality(features: ArrayLike, settings: ClusteringSettings, found: Clustering) -> float:
    """Return how well embeddings fall into clusters, in (-1, 1); larger is better, and identities play no part.

    It is the mean silhouette of the reference clusters, noise 0, times their modularity. The reference is the same for
    every training: labels that training makes and is then judged by look better the more it follows them, right or
    wrong. Vectors without structure have some silhouette and hardly any modularity. All noise and one cluster have 0
    or less.

    Args:
        features: `[N, D]` floats, usually unit rows.
        settings: those of `found`.
        found: clusters of the same features; its graph serves where `k1` and `k2` are the reference's, else the
            Jaccard similarity is computed anew.

    Raises:
        UserError: unusable features.
    """
    judge = reference(len(found.labels))
    if (settings.k1, settings.k2) == (judge.k1, judge.k2):
        judged = cluster_similarity(_without_weak(found.similarity), judge)
    else:
        judged = cluster_features(features, judge)
    return judged.silhouette * graph_modularity(judged.similarity, judged.labels)


def _without_weak(similarity: sparse.csr_array) -> sparse.csr_array:
    """Return the pairs that every graph has: a cut near 1 has weaker ones."""
    if similarity.data.min(initial=1.0) >= np.float32(WEAKEST):
        return similarity
    strong = similarity.copy()
    strong.data[strong.data < np.float32(WEAKEST)] = 0.0
    strong.eliminate_zeros()
    return strong
