"""From embeddings to clusters by any kind, at a given or a found cut; small ones are joined, too large ones split."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from reid_pipeline.clustering.cut import found_cut
from reid_pipeline.clustering.joined import joined_clusters
from reid_pipeline.clustering.kinds import find_kind
from reid_pipeline.clustering.large import split_large
from reid_pipeline.clustering.measures import graph_silhouette
from reid_pipeline.clustering.pseudo_labels import SLACK
from reid_pipeline.clustering.quality import Integers
from reid_pipeline.clustering.settings import ClusteringSettings
from reid_pipeline.geometry.jaccard import jaccard_similarity
from reid_pipeline.geometry.watch import Watch

WEAKEST = 0.05
"""Pairs below this similarity are not stored. With them memory would grow as the square of the rows (275 MiB instead of
2 at 5,000 random rows), and the mean silhouette of real collections changes by less than 0.005."""


@dataclass(frozen=True)
class Clustering:
    """Clusters, and the graph on which they were found.

    Attributes:
        labels: int64 `[N]`, clusters from 0, noise -1.
        similarity: CSR `[N, N]`, the Jaccard similarity of all pairs of at least 0.05, and of all within eps or
            `join_within`.
        eps: the cut in force.
        split: clusters that were split because they were too large.
        scores: of `eps: auto`, each cut that was tried and its score; else empty.
    """

    labels: Integers
    similarity: sparse.csr_array
    eps: float
    split: int = 0
    scores: tuple[tuple[float, float], ...] = ()

    @cached_property
    def silhouettes(self) -> NDArray[np.float64]:
        """The silhouette of each row on the graph, noise 0: float64 `[N]`, in [-1, 1]."""
        return graph_silhouette(self.similarity, self.labels)

    @property
    def silhouette(self) -> float:
        """Their mean."""
        return float(np.mean(self.silhouettes))


def cluster_features(features: ArrayLike, settings: ClusteringSettings, watch: Watch | None = None) -> Clustering:
    """Cluster `[N, D]` floats, usually unit rows, by their k-reciprocal Jaccard distance.

    The similarity is computed once, for the pairs of at least 0.05; each cut that is tried reads the same one. With
    `kind: dbscan`, a number as eps, `join_within: 0`, and `largest_share: 1` the labels are those of
    `cluster_pseudo_labels`. `watch` follows how far it is; with a folder, a search that was killed goes on from there.

    Raises:
        UserError: unusable features, an option outside its range, or more similar pairs than `most_pairs`.
    """
    greatest = settings.join_within if settings.eps == "auto" else max(settings.eps, settings.join_within)
    minimum = min(WEAKEST, max(0.0, 1.0 - greatest - SLACK))
    similarity = jaccard_similarity(
        features, k1=settings.k1, k2=settings.k2, minimum=minimum, watch=watch, most_pairs=settings.most_pairs
    )
    return cluster_similarity(similarity, settings)


def cluster_similarity(similarity: sparse.csr_array, settings: ClusteringSettings) -> Clustering:
    """Cluster the rows of a similarity, CSR `[N, N]`, symmetric, values in (0, 1]; see `cluster_features`."""
    kind = find_kind(settings.kind)

    def labels_at(pairs: sparse.csr_array, eps: float) -> Integers:
        return kind.labels(pairs, eps=eps, min_samples=settings.min_samples, resolution=settings.resolution)

    if settings.eps == "auto":
        eps, labels, scores = found_cut(similarity, labels_at)
    else:
        eps, labels, scores = settings.eps, labels_at(similarity, settings.eps), ()
    within = max(eps, settings.join_within)
    if within > eps:
        labels = joined_clusters(
            similarity, labels, within=within, min_samples=settings.min_samples, resolution=settings.resolution
        )
    labels, split = split_large(similarity, labels, labels_at, eps=within, largest_share=settings.largest_share)
    return Clustering(labels, similarity, eps, split, scores)
