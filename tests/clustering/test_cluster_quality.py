"""How well embeddings fall into clusters: by other libraries, of no structure, and whatever they were trained by."""

import networkx
import numpy as np
import pytest
from sklearn.metrics import silhouette_samples
from test_cluster_features import drawn

from reid_pipeline.clustering import ClusteringSettings, cluster_features, cluster_quality
from reid_pipeline.clustering.cluster_quality import reference


def quality(features, **options):
    settings = ClusteringSettings(**options)
    return cluster_quality(features, settings, cluster_features(features, settings))


def test_it_is_silhouette_times_modularity_of_the_reference():
    features, _ = drawn(12, 20, scatter=0.9)
    found = cluster_features(features, reference(240))
    similarity, labels = found.similarity.toarray().astype(np.float64), found.labels
    inside = labels >= 0
    distance = 1 - similarity[inside][:, inside]
    np.fill_diagonal(distance, 0)
    silhouette = silhouette_samples(distance, labels[inside], metric="precomputed").sum() / len(labels)
    graph = networkx.from_numpy_array(similarity - np.diag(np.diag(similarity)))
    groups = [set(np.flatnonzero(labels == label).tolist()) for label in range(labels.max() + 1)]
    groups += [{row} for row in np.flatnonzero(~inside).tolist()]
    modularity = networkx.community.modularity(graph, groups, weight="weight")
    assert quality(features) == pytest.approx(silhouette * modularity, abs=1e-6)
    assert quality(features) > 0.2


@pytest.mark.parametrize(
    "options",
    [{"k1": 24}, {"k1": 24, "eps": 0.97}, {"eps": 0.7}, {"kind": "communities", "eps": "auto", "join_within": 0.99}],
)
def test_it_is_the_same_whatever_clustering_training_has(options):
    features, _ = drawn(12, 20, scatter=1.2)
    assert quality(features, **options) == pytest.approx(quality(features), abs=1e-9)


@pytest.mark.parametrize("rows", [40, 200, 1000])
@pytest.mark.parametrize("width", [16, 128])
def test_vectors_without_structure_have_none(rows, width):
    features = np.random.default_rng(rows).normal(size=(rows, width)).astype(np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    assert -0.02 < quality(features) < (0.1 if rows == 40 else 0.03)
    few, _ = drawn(rows // 10, 10, scatter=0.9)
    assert quality(few) > 0.15


def test_it_falls_as_groups_run_into_each_other():
    found = [quality(drawn(12, 20, scatter=scatter)[0]) for scatter in (0.3, 0.9, 1.5, 3.0)]
    assert found == sorted(found, reverse=True)
    assert found[0] > 2 * found[-1]


@pytest.mark.parametrize("rows", [2, 5, 20])
def test_few_images(rows):
    features, _ = drawn(rows, 1, scatter=0.5)
    assert -0.5 <= quality(features, k1=2, k2=1) < 1
