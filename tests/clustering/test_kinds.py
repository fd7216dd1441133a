"""What holds of every kind of clustering. A new module in clustering/kinds needs no line here."""

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse import csgraph

from reid_pipeline.clustering import ClusteringSettings, cluster_pseudo_labels
from reid_pipeline.clustering.kinds import find_kind, kind_names
from reid_pipeline.schema.errors import UserError

KINDS = kind_names()
every_kind = pytest.mark.parametrize("name", KINDS)


def labels_of(name, similarity, eps=0.5, min_samples=3, resolution=1.0):
    return find_kind(name).labels(similarity, eps=eps, min_samples=min_samples, resolution=resolution)


def symmetric(dense):
    dense = np.triu(dense, 1)
    dense = (dense + dense.T).astype(np.float32)
    np.fill_diagonal(dense, 1)
    return sparse.csr_array(dense)


def planted(seed, groups=6, size=9, between=0.05, isolated=3):
    """Groups of similar rows with some links between them, and rows that are like no other, in a random order."""
    rng = np.random.default_rng(seed)
    rows = groups * size + isolated
    group_N = np.repeat(np.arange(groups), size)
    inside = np.zeros((rows, rows), bool)
    inside[: len(group_N), : len(group_N)] = group_N[:, None] == group_N
    linked = np.zeros((rows, rows), bool)
    linked[: len(group_N), : len(group_N)] = ~inside[: len(group_N), : len(group_N)]
    values = rng.uniform(0.3, 0.9, (rows, rows))
    dense = values * (inside * (rng.random((rows, rows)) < 0.8) + linked * (rng.random((rows, rows)) < between))
    whole = symmetric(dense).toarray()
    order = rng.permutation(rows)
    return sparse.csr_array(whole[order][:, order]), np.append(group_N, [-1] * isolated)[order]


def partition(labels):
    """The clusters as sets of rows, whatever their numbers."""
    return {frozenset(np.flatnonzero(labels == label).tolist()) for label in np.unique(labels[labels >= 0])}


def test_the_kinds_are_found():
    assert {"communities", "dbscan"} <= set(KINDS)
    with pytest.raises(UserError, match=r"no clustering 'comunities'\. Did you mean 'communities'\? Kinds are: .*dbsc"):
        find_kind("comunities")
    with pytest.raises(ValueError, match=r"no clustering 'DBScan'\. Did you mean 'dbscan'\?"):
        ClusteringSettings(kind="DBScan")


@every_kind
def test_it_describes_itself(name):
    kind = find_kind(name)
    assert kind.name == name
    assert kind.description.endswith(".")
    assert len(kind.description) < 120


@every_kind
@pytest.mark.parametrize("seed", range(3))
def test_labels_are_numbers_without_gaps_and_the_same_every_time(name, seed):
    similarity, _ = planted(seed)
    labels = labels_of(name, similarity, eps=0.6)
    assert labels.dtype == np.int64
    assert labels.shape == (similarity.shape[0],)
    assert np.unique(labels[labels >= 0]).tolist() == list(range(labels.max() + 1))
    assert labels.min() >= -1
    np.random.seed(seed + 1)  # noqa: NPY002 - the hidden state that a library could read
    np.testing.assert_array_equal(labels_of(name, similarity.copy(), eps=0.6), labels)


@every_kind
@pytest.mark.parametrize("seed", range(4))
def test_the_order_of_rows_decides_nothing_but_border_rows(name, seed):
    """Of DBSCAN a row that is not core may lie between two clusters, and goes to the lower number."""
    similarity, _ = planted(seed, between=0.02)
    order = np.random.default_rng(seed).permutation(similarity.shape[0])
    straight = labels_of(name, similarity, eps=0.6)
    back = np.empty_like(straight)
    back[order] = labels_of(name, sparse.csr_array(similarity[order][:, order]), eps=0.6)
    sure = np.ones(len(straight), bool)
    if name == "dbscan":
        near = (similarity.toarray() >= np.float32(0.4)) & ~np.eye(len(straight), dtype=bool)
        sure = near.sum(axis=1) + 1 >= 3
    np.testing.assert_array_equal(straight == -1, back == -1)
    assert partition(np.where(sure, straight, -1)) == partition(np.where(sure, back, -1))


@every_kind
@pytest.mark.parametrize("eps", [0.3, 0.5, 0.7])
def test_groups_without_a_link_are_never_joined_and_rows_without_one_are_noise(name, eps):
    similarity, _ = planted(1, groups=8, between=0.01)
    dense = similarity.toarray()
    within = (np.float32(1) - dense <= np.float32(eps)) & (dense > 0)
    pieces = csgraph.connected_components(sparse.csr_array(within), directed=False)[1]
    labels = labels_of(name, similarity, eps=eps)
    for cluster in partition(labels):
        assert len(set(pieces[list(cluster)].tolist())) == 1
    alone = within.sum(axis=1) == 1
    assert alone.sum() >= 3
    assert (labels[alone] == -1).all()


@every_kind
def test_two_groups_apart_are_two_clusters(name):
    similarity, groups = planted(2, groups=2, between=0.0)
    assert partition(labels_of(name, similarity, eps=0.7)) == partition(groups)


@every_kind
def test_no_cluster_is_smaller_than_min_samples(name):
    """Of DBSCAN a cluster can be: another one, of a lower number, may have taken its border rows."""
    for seed in range(3):
        similarity, _ = planted(seed)
        for min_samples in (2, 4, 10):
            labels = labels_of(name, similarity, eps=0.5, min_samples=min_samples)
            sizes = np.bincount(labels[labels >= 0], minlength=1)
            assert name == "dbscan" or labels.max() < 0 or sizes.min() >= min_samples
    assert labels_of(name, similarity, eps=0.5, min_samples=100).max() == -1


@every_kind
def test_nothing_is_noise_and_all_alike_is_one(name):
    assert labels_of(name, sparse.csr_array(np.eye(5, dtype=np.float32))).tolist() == [-1] * 5
    assert labels_of(name, symmetric(np.full((5, 5), 0.9))).tolist() == [0] * 5
    assert labels_of(name, sparse.csr_array(np.eye(1, dtype=np.float32))).tolist() == [-1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"eps": 0}, r"eps is 0; it is a Jaccard distance and must lie in \(0, 1\] \(usual: 0\.4 to 0\.7"),
        ({"eps": 1.01}, r"eps is 1\.01; it is a Jaccard distance"),
        ({"eps": float("nan")}, r"eps is nan; it is a Jaccard distance"),
        ({"min_samples": 0}, r"min_samples is 0; a whole number of at least 1 is needed \(usual: 4\)"),
        ({"min_samples": 2.5}, r"min_samples is 2\.5; a whole number"),
        ({"resolution": 0}, r"resolution is 0; a number above 0 is needed"),
    ],
)
@every_kind
def test_bad_options_get_the_same_sentence(name, options, message):
    with pytest.raises(UserError, match=message):
        labels_of(name, symmetric(np.full((5, 5), 0.9)), **options)


@every_kind
def test_a_square_matrix_is_needed(name):
    with pytest.raises(UserError, match=r"shape \[2, 3\]; a square matrix"):
        labels_of(name, sparse.csr_array((2, 3)))


@every_kind
def test_features_reach_every_kind(name):
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(4), 8)
    features = np.eye(4)[groups] + 0.05 * rng.normal(size=(32, 4))
    found = cluster_pseudo_labels(features, k1=6, k2=2, eps=0.6, kind=name)
    assert partition(found) == partition(groups)
