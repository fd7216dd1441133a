"""Pseudo labels: the labels of scikit-learn on the dense distance, and the guard."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.cluster import DBSCAN
from sklearn.metrics import adjusted_rand_score

from reid_pipeline.clustering import ClusteringCollapse, ClusteringSettings, check_collapse, cluster_pseudo_labels
from reid_pipeline.clustering.kinds.dbscan import dbscan_labels
from reid_pipeline.geometry import jaccard_distance
from reid_pipeline.schema.errors import UserError


def by_scikit_learn(dense_similarity, eps, min_samples):
    distance = np.float32(1) - dense_similarity.astype(np.float32)
    return DBSCAN(eps=eps, min_samples=min_samples, metric="precomputed").fit(distance).labels_


def clustered(rng, rows, noise, width=16):
    features = rng.normal(size=(max(1, rows // 12), width))
    features = features[rng.integers(len(features), size=rows)] + noise * rng.normal(size=(rows, width))
    return (features / np.linalg.norm(features, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("eps", [0.2, 0.4, 0.5, 0.6, 0.7, 0.95, 1.0])
@pytest.mark.parametrize("min_samples", [1, 4, 9])
def test_equals_scikit_learn_on_features(eps, min_samples):
    rng = np.random.default_rng(int(eps * 100) + min_samples)
    for noise in (0.2, 0.5, 0.9):
        features = clustered(rng, 250, noise)
        features[100:110] = features[0]
        expected = by_scikit_learn(jaccard_distance(features, k1=15, k2=4).toarray(), eps, min_samples)
        labels = cluster_pseudo_labels(features, k1=15, k2=4, eps=eps, min_samples=min_samples)
        np.testing.assert_array_equal(labels, expected)
        assert labels.dtype == np.int64


@settings(deadline=None, max_examples=150)
@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(1, 40),
    eps=st.sampled_from([0.1, 0.25, 0.3, 0.5, 0.6, 0.7, 0.9, 1.0]),
    min_samples=st.integers(1, 6),
    density=st.floats(0, 0.4),
)
def test_equals_scikit_learn_on_any_graph(seed, rows, eps, min_samples, density):
    # Few distinct values, and exactly 1 - eps among them, so that many pairs lie on the threshold itself.
    rng = np.random.default_rng(seed)
    levels = np.array([0.05, 0.3, 1 - eps, np.nextafter(np.float32(1 - eps), np.float32(0)), 0.6, 0.95], np.float32)
    dense = rng.choice(levels, size=(rows, rows)) * (rng.random((rows, rows)) < density)
    dense = np.maximum(np.triu(dense, 1), np.triu(dense, 1).T).astype(np.float32)
    np.fill_diagonal(dense, 1)
    labels = dbscan_labels(sparse.csr_array(dense), eps=eps, min_samples=min_samples)
    np.testing.assert_array_equal(labels, by_scikit_learn(dense, eps, min_samples))


@pytest.mark.parametrize("eps", [0.1, 0.3, 0.4, 0.5, 0.55, 0.6, 0.7])
def test_the_threshold_is_decided_in_float32(eps):
    # The float32 similarities around 1 - eps: two rows are one cluster just where 1 - s <= eps in float32.
    centre = np.float32(1) - np.float32(eps)
    for value in (np.nextafter(centre, np.float32(0)), centre, np.nextafter(centre, np.float32(1))):
        dense = np.array([[1, value], [value, 1]], np.float32)
        labels = dbscan_labels(sparse.csr_array(dense), eps=eps, min_samples=2)
        np.testing.assert_array_equal(labels, by_scikit_learn(dense, eps, 2))


def test_a_border_row_joins_the_lowest_cluster():
    # Rows 0-3 and 5-8 are cliques; row 4 touches a core row of each and is not core (3 of 4 neighbours).
    dense = np.eye(9, dtype=np.float32)
    dense[:4, :4] = dense[5:, 5:] = 1
    dense[4, 8] = dense[8, 4] = dense[4, 3] = dense[3, 4] = 1
    labels = dbscan_labels(sparse.csr_array(dense), eps=0.5, min_samples=4)
    assert labels.tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 1]


def test_permutation_only_renumbers():
    rng = np.random.default_rng(4)
    features, order = clustered(rng, 200, 0.4), rng.permutation(200)
    straight = cluster_pseudo_labels(features, k1=15, eps=0.5)[order]
    permuted = cluster_pseudo_labels(features[order], k1=15, eps=0.5)
    np.testing.assert_array_equal(straight == -1, permuted == -1)
    assert adjusted_rand_score(straight, permuted) == pytest.approx(1)


def test_small_inputs():
    assert cluster_pseudo_labels(np.ones((1, 3))).tolist() == [-1]
    assert cluster_pseudo_labels(np.ones((4, 3))).tolist() == [0, 0, 0, 0]
    assert cluster_pseudo_labels(np.ones((3, 3)), eps=1.0).tolist() == [-1, -1, -1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"eps": 0}, r"eps is 0; it is a Jaccard distance and must lie in \(0, 1\] \(usual: 0\.4 to 0\.7"),
        ({"eps": 1.2}, r"eps is 1\.2"),
        ({"eps": float("nan")}, r"eps is nan"),
        ({"min_samples": 0}, r"min_samples is 0; a whole number of at least 1"),
        ({"k1": 0}, r"k1 is 0"),
    ],
)
def test_bad_options_get_an_answer(options, message):
    with pytest.raises(UserError, match=message):
        cluster_pseudo_labels(np.ones((5, 2)), **options)


def test_dbscan_wants_a_square_matrix():
    with pytest.raises(UserError, match=r"shape \[2, 3\]; a square matrix"):
        dbscan_labels(sparse.csr_array((2, 3)), eps=0.5, min_samples=1)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([-1] * 8, r"no cluster was found \(0 clusters, 100\.0% noise of 8 .*eps 0\.3.*\)\. Raise eps \(0\.3\)"),
        ([0] * 8, r"one cluster \(1 clusters, 0\.0% noise of 8 .*k1 20, .*\)\. Lower eps \(0\.3\).*learning rate"),
        ([-1] * 95 + [0] * 5, r"one cluster \(1 clusters, 95\.0% noise of 100"),
        ([-1] * 97 + [0, 1, 1], r"nearly all images are noise \(2 clusters, 97\.0% noise of 100.*at most 95% noise"),
    ],
)
def test_a_collapse_is_explained(labels, message):
    with pytest.raises(ClusteringCollapse, match=message):
        check_collapse(np.array(labels), settings=ClusteringSettings(k1=20, eps=0.3))
    with pytest.raises(UserError, match="Clustering collapsed"):
        check_collapse(np.array(labels))


def test_a_usable_clustering_passes():
    check_collapse([0, 0, 1, 1, -1])
    check_collapse([-1] * 97 + [0, 1, 1], max_noise_share=0.98)
    check_collapse([-1] * 95 + [0, 0, 0, 1, 1])  # just the share that is allowed
