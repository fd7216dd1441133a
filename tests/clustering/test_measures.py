"""Measures of pseudo labels that need no identity, against dense and hand-computed references."""

import networkx
import numpy as np
import pytest
from scipy import sparse
from sklearn.metrics import silhouette_samples

from reid_pipeline.clustering import (
    camera_balance,
    graph_modularity,
    graph_silhouette,
    label_measures,
    label_stability,
    largest_share,
)
from reid_pipeline.schema.errors import UserError


def drawn_similarity(rows: int, seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    similarity = generator.random((rows, rows)) * (generator.random((rows, rows)) < 0.3)
    similarity = np.maximum(similarity, similarity.T)
    np.fill_diagonal(similarity, 1.0)
    return similarity


@pytest.mark.parametrize("seed", range(5))
def test_the_silhouette_is_that_of_scikit_learn_on_the_dense_distance(seed):
    similarity = drawn_similarity(40, seed)
    labels = np.random.default_rng(seed).integers(0, 6, size=40)
    labels[0] = 6  # alone
    distance = 1.0 - similarity
    expected = silhouette_samples(distance, labels, metric="precomputed")
    assert graph_silhouette(sparse.csr_array(similarity), labels) == pytest.approx(expected, abs=1e-12)


def test_noise_scores_nothing_and_is_no_neighbour():
    similarity = drawn_similarity(40, 7)
    labels = np.random.default_rng(7).integers(-1, 5, size=40)
    clustered = labels >= 0
    expected = np.zeros(40)
    expected[clustered] = silhouette_samples(
        1.0 - similarity[np.ix_(clustered, clustered)], labels[clustered], metric="precomputed"
    )
    assert graph_silhouette(sparse.csr_array(similarity), labels) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("labels", [np.full(12, -1), np.zeros(12, dtype=int), np.arange(12)])
def test_trivial_partitions_score_nothing(labels):
    assert not graph_silhouette(sparse.csr_array(drawn_similarity(12, 0)), labels).any()


def test_labels_of_other_rows_are_refused():
    with pytest.raises(UserError, match=r"shape \[12, 12\], and 11 pseudo labels"):
        graph_silhouette(sparse.csr_array(drawn_similarity(12, 0)), np.zeros(11, dtype=int))


def test_stability_of_labels():
    labels = np.array([0, 0, 0, 1, 1, 1, -1, -1])
    assert label_stability(labels, labels[::-1].copy()[::-1]) == 1.0
    assert label_stability(labels, np.array([5, 5, 5, 2, 2, 2, -1, -1])) == 1.0, "numbers are names"
    # Pairs: 6 before, 15 + 0 after, 6 in both, of 28: (6 - 6*15/28) / ((6 + 15) / 2 - 6*15/28).
    merged = np.array([0, 0, 0, 0, 0, 0, -1, -1])
    assert label_stability(labels, merged) == pytest.approx((6 - 90 / 28) / (10.5 - 90 / 28))


def test_camera_balance():
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1, -1])
    assert camera_balance(labels, np.array([0, 0, 1, 1, 0, 0, 1, 1, 5])) == pytest.approx(1.0)
    assert camera_balance(labels, np.array([0, 0, 0, 0, 1, 1, 1, 1, 5])) == 0.0
    # Half of the rows are mixed as the whole, half not at all.
    one = camera_balance(np.array([0, 0, 1, 1, 2, 2, 2, 2]), np.array([0, 0, 1, 1, 0, 0, 1, 1]))
    assert one == pytest.approx(0.5)
    assert camera_balance(labels, None) is None
    assert camera_balance(labels, np.zeros(9, dtype=int)) is None
    assert camera_balance(np.full(9, -1), np.arange(9)) is None


def test_largest_share():
    assert largest_share([0, 0, 0, 1, -1, -1]) == 0.5
    assert largest_share([-1, -1]) == 0.0


@pytest.mark.parametrize("seed", range(3))
def test_modularity_is_that_of_another_library(seed):
    dense = drawn_similarity(30, seed)
    labels = np.random.default_rng(seed).integers(-1, 4, 30)
    graph = networkx.from_numpy_array(dense - np.diag(np.diag(dense)))
    groups = [set(np.flatnonzero(labels == label).tolist()) for label in range(4)]
    groups += [{row} for row in np.flatnonzero(labels < 0).tolist()]
    expected = networkx.community.modularity(graph, [group for group in groups if group], weight="weight")
    assert graph_modularity(sparse.csr_array(dense), labels) == pytest.approx(expected, abs=1e-6)


def test_trivial_partitions_have_no_modularity():
    whole = sparse.csr_array(drawn_similarity(12, 0))
    assert graph_modularity(whole, np.zeros(12, dtype=int)) == pytest.approx(0)
    assert graph_modularity(whole, np.full(12, -1)) < 0
    assert graph_modularity(sparse.csr_array(np.eye(4)), [0, 0, 1, 1]) == 0.0  # no pair
    # Two triangles joined by one edge: 7 edges; within 3 of 7 each, half of the ends each.
    dense = np.kron(np.eye(2), np.ones((3, 3)))
    dense[2, 3] = dense[3, 2] = 1.0
    assert graph_modularity(sparse.csr_array(dense), [0, 0, 0, 1, 1, 1]) == pytest.approx(6 / 7 - 0.5)
    two = sparse.csr_array(np.kron(np.eye(2), np.ones((3, 3))))
    assert graph_modularity(two, [0, 0, 0, 1, 1, 1]) == pytest.approx(0.5)  # 2 (1/2 - 1/4)


def test_what_cannot_be_measured_is_left_out():
    true = np.repeat(np.arange(4), 10)
    rows = graph_silhouette(sparse.csr_array(np.where(true[:, None] == true, 0.7, 0.0)), true)
    names = {"silhouette", "largest_cluster"}
    assert label_measures(rows, true, camids=None).keys() == names
    found = label_measures(rows, true, before=true, camids=np.arange(40) % 2)
    assert found.keys() == names | {"stability", "camera_balance"}
    assert (found["stability"], found["largest_cluster"]) == (1.0, 0.25)
    assert found["camera_balance"] == pytest.approx(1.0)
