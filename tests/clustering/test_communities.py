"""Communities: their bound, compared with the modularity of every partition, and copies of a graph."""

import numpy as np
import pytest
from scipy import sparse
from test_kinds import partition, planted, symmetric

from reid_pipeline.clustering.kinds.communities import communities_labels
from reid_pipeline.clustering.modularity import ROWS_OF_RESOLUTION_ONE


def partitions(rows):
    """Yield the labels of every partition of a few rows."""
    if rows == 0:
        yield []
        return
    for rest in partitions(rows - 1):
        for label in range(max(rest, default=-1) + 2):
            yield [*rest, label]


def modularity(dense, labels, resolution):
    """Newman's formula, pair by pair."""
    weights = dense.astype(np.float64) - np.diag(np.diag(dense))
    total, strength = weights.sum(), weights.sum(axis=1)
    pairs = [(i, j) for i in range(len(labels)) for j in range(len(labels)) if labels[i] == labels[j]]
    return sum(weights[i, j] / total - resolution * strength[i] * strength[j] / total**2 for i, j in pairs)


@pytest.mark.parametrize("seed", range(5))
def test_the_modularity_is_nearly_the_greatest_of_all_partitions(seed):
    rng = np.random.default_rng(seed)
    dense = symmetric(rng.uniform(0.4, 1, (7, 7)) * (rng.random((7, 7)) < 0.45)).toarray()
    linked = int(((dense > 0).sum(axis=1) > 1).sum())
    labels = communities_labels(
        sparse.csr_array(dense), eps=0.7, min_samples=1, resolution=ROWS_OF_RESOLUTION_ONE / linked
    )
    best = max(modularity(dense, each, 1.0) for each in partitions(7))
    assert modularity(dense, labels, 1.0) > 0.9 * best


def test_only_pairs_within_eps_count():
    # Two pairs of 0.8, joined by 0.5: at eps 0.5 float32 decides that the link is in, at 0.45 it is out.
    dense = np.eye(4, dtype=np.float32)
    for i, j, value in ((0, 1, 0.8), (2, 3, 0.8), (1, 2, 0.5)):
        dense[i, j] = dense[j, i] = value
    low = {"min_samples": 2, "resolution": 1e-3}
    assert communities_labels(sparse.csr_array(dense), eps=0.5, **low).tolist() == [0, 0, 0, 0]
    assert communities_labels(sparse.csr_array(dense), eps=0.45, **low).tolist() == [0, 0, 1, 1]


def test_clusters_are_numbered_by_their_smallest_rows():
    for seed in range(3):
        labels = communities_labels(planted(seed)[0], eps=0.6, min_samples=2)
        firsts = [int(np.flatnonzero(labels == label)[0]) for label in range(labels.max() + 1)]
        assert firsts == sorted(firsts)


def test_copies_beside_each_other_have_the_communities_of_one():
    similarity, _ = planted(3, groups=8, between=0.15, isolated=0)
    one = communities_labels(similarity, eps=0.7, min_samples=2, resolution=28)
    assert 2 <= one.max() + 1 <= 16
    for copies in (4, 16):
        many = communities_labels(
            sparse.csr_array(sparse.block_diag([similarity] * copies)), eps=0.7, min_samples=2, resolution=28
        )
        for copy in np.split(many, copies):
            assert partition(copy) == partition(one)


def test_more_resolution_finds_more():
    similarity, _ = planted(4, groups=8, between=0.3, isolated=0)
    counts = [
        communities_labels(similarity, eps=0.7, min_samples=1, resolution=r).max() + 1 for r in (0.1, 8, 28, 3000)
    ]
    assert counts == sorted(counts)
    assert counts[0] < counts[-1] == similarity.shape[0]


def test_a_chain_does_not_join_groups():
    # Two groups of 8, and a chain of four rows between them: by single linkage all is one cluster.
    rows = 20
    dense = np.zeros((rows, rows))
    dense[:8, :8] = dense[12:, 12:] = 0.8
    for row in range(7, 12):
        dense[row, row + 1] = 0.6
    labels = communities_labels(symmetric(dense), eps=0.6, min_samples=4, resolution=28)
    assert labels[0] != labels[-1]
    assert (labels[:7] == labels[0]).all()
    assert (labels[13:] == labels[-1]).all()
