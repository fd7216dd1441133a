"""Clusters of a small cut are joined by weaker pairs: by hand, against a search of all groupings, and as properties."""

import numpy as np
import pytest
from scipy import sparse
from test_communities import modularity, partitions
from test_kinds import partition, planted, symmetric

from reid_pipeline.clustering import ClusteringSettings, cluster_similarity
from reid_pipeline.clustering.joined import joined_clusters
from reid_pipeline.clustering.kinds import kind_names
from reid_pipeline.clustering.modularity import ROWS_OF_RESOLUTION_ONE

every_kind = pytest.mark.parametrize("kind", kind_names())


def sides():
    """Two individuals of two sides of 6 rows each, 0.7 within a side, 0.4 between sides; and two rows that strayed.

    The first strayed row is like the first individual alone, by 0.35, the second like nothing above 0.1.
    """
    side = np.repeat(np.arange(4), 6)
    dense = np.where(side[:, None] == side, 0.7, np.where(side[:, None] // 2 == side // 2, 0.4, 0.12))
    dense = np.pad(dense, ((0, 2), (0, 2)), constant_values=0.1)
    dense[24, :12] = dense[:12, 24] = 0.35
    return symmetric(dense), np.append(side, [-1, -1])


def joined(similarity, labels, within=0.7, min_samples=3, resolution=28.0):
    options = {"within": within, "min_samples": min_samples, "resolution": resolution}
    return joined_clusters(similarity, np.asarray(labels), **options)


def test_sides_of_an_individual_join_and_strays_with_them():
    similarity, labels = sides()
    found = joined(similarity, labels)
    assert found.tolist() == [0] * 12 + [1] * 12 + [0, -1]
    # 0.35 is a distance of 0.65, 0.4 one of 0.6: float32 decides that the bound itself is in.
    assert joined(similarity, labels, within=0.62).tolist() == [0] * 12 + [1] * 12 + [-1, -1]
    assert joined(similarity, labels, within=0.5).tolist() == labels.tolist()


@every_kind
def test_the_setting_does_it_after_the_cut(kind):
    similarity, labels = sides()
    options = {"kind": kind, "eps": 0.4, "min_samples": 3, "resolution": 28.0}
    apart = cluster_similarity(similarity, ClusteringSettings(**options))
    assert partition(apart.labels) == partition(labels)
    together = cluster_similarity(similarity, ClusteringSettings(**options, join_within=0.7))
    assert together.labels.tolist() == [0] * 12 + [1] * 12 + [0, -1]
    assert together.eps == 0.4
    for nothing in (0.0, 0.3, 0.4):  # at or below the cut there is no weaker pair
        same = cluster_similarity(similarity, ClusteringSettings(**options, join_within=nothing))
        assert same.labels.tolist() == apart.labels.tolist()


@pytest.mark.parametrize("seed", range(5))
def test_the_modularity_is_nearly_the_greatest_of_all_groupings(seed):
    rng = np.random.default_rng(seed)
    labels = np.append(np.repeat(np.arange(5), 3), [-1, -1])
    node_N = np.append(labels[:15], [5, 6])
    same = labels[:, None] == labels
    dense = symmetric(np.where(same, 0.9, rng.uniform(0.3, 0.5, (17, 17)) * (rng.random((17, 17)) < 0.3))).toarray()
    linked = int(((dense >= 0.3).sum(axis=1) > 1).sum())
    found = joined(sparse.csr_array(dense), labels, min_samples=1, resolution=1.5 * ROWS_OF_RESOLUTION_ONE / linked)
    groupings = [modularity(dense, np.asarray(each)[node_N], 1.5) for each in partitions(7)]
    got = modularity(dense, found, 1.5)
    assert got > modularity(dense, node_N, 1.5)
    assert got > max(groupings) - 0.05 * (max(groupings) - min(groupings))


@pytest.mark.parametrize("seed", range(4))
def test_no_cluster_is_torn_and_noise_becomes_less(seed):
    similarity, _ = planted(seed, groups=8, between=0.15)
    fine = cluster_similarity(similarity, ClusteringSettings(kind="communities", eps=0.15, min_samples=2)).labels
    for within in (0.2, 0.35, 0.5):
        found = joined(similarity, fine, within=within, min_samples=2)
        for cluster in range(fine.max() + 1):
            assert len(set(found[fine == cluster].tolist())) == 1
        assert ((found >= 0) | (fine < 0)).all()
        assert (found < 0).sum() < (fine < 0).sum()


def test_the_order_of_rows_decides_nothing():
    similarity, _ = planted(1, groups=8, between=0.15)
    fine = cluster_similarity(similarity, ClusteringSettings(kind="communities", eps=0.4, min_samples=2)).labels
    order = np.random.default_rng(0).permutation(len(fine))
    shuffled = joined(sparse.csr_array(similarity[order][:, order]), fine[order])
    assert partition(shuffled) == partition(joined(similarity, fine)[order])


def test_nothing_to_join():
    alone = sparse.csr_array(np.eye(5, dtype=np.float32))
    assert joined(alone, [-1] * 5).tolist() == [-1] * 5
    assert joined(alone, [0, 0, 0, -1, -1]).tolist() == [0, 0, 0, -1, -1]
