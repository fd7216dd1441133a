"""From features to clusters: the released recipe bit for bit, the cut that finds itself, too large clusters."""

import numpy as np
import pytest
from pydantic import ValidationError
from scipy import sparse
from test_kinds import partition, symmetric

from reid_pipeline.clustering import (
    ClusteringSettings,
    cluster_features,
    cluster_pseudo_labels,
    cluster_similarity,
    graph_silhouette,
    largest_share,
    pseudo_label_quality,
)
from reid_pipeline.clustering.cut import CANDIDATES, found_cut
from reid_pipeline.clustering.kinds import kind_names
from reid_pipeline.clustering.large import split_large
from reid_pipeline.geometry import jaccard_distance


def drawn(identities, images, *, scatter, seed=0, width=32):
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(identities, width))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    pids = rng.permutation(np.repeat(np.arange(identities), images))
    rows = centres[pids] + scatter * rng.normal(size=(len(pids), width)) / np.sqrt(width)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), pids


@pytest.mark.parametrize("eps", [0.4, 0.55, 0.7, 0.97, 1.0])
def test_the_released_recipe_is_that_of_the_pairs_within_eps(eps):
    features, _ = drawn(20, 10, scatter=0.9)
    found = cluster_features(features, ClusteringSettings(k1=15, eps=eps))
    expected = cluster_pseudo_labels(features, k1=15, k2=6, eps=eps, min_samples=4)
    np.testing.assert_array_equal(found.labels, expected)
    assert (found.eps, found.split, found.scores) == (eps, 0, ())
    whole = jaccard_distance(features, k1=15, k2=6)
    stored = found.similarity.toarray() > 0
    least = np.float32(min(0.05, max(0, 1 - eps - 1e-5)))
    np.testing.assert_array_equal(stored, (whole.toarray() > 0) & (whole.toarray() >= least))
    np.testing.assert_array_equal(found.similarity.toarray()[stored], whole.toarray()[stored])
    assert found.silhouette == pytest.approx(graph_silhouette(whole, expected).mean(), abs=0.005)


@pytest.mark.parametrize("kind", kind_names())
@pytest.mark.parametrize(("images", "scatter", "k1"), [(10, 0.6, 15), (10, 1.0, 15), (4, 0.6, 15), (30, 0.8, 15)])
def test_auto_is_nearly_the_best_candidate(kind, images, scatter, k1):
    features, pids = drawn(480 // images // 2, images, scatter=scatter)
    settings = ClusteringSettings(kind=kind, k1=k1, eps="auto")
    found = cluster_features(features, settings)
    labels = found.labels
    at = [cluster_similarity(found.similarity, settings.model_copy(update={"eps": eps})) for eps in CANDIDATES]
    ari = [pseudo_label_quality(each.labels, pids).ari for each in at]
    assert [eps for eps, _ in found.scores] == list(CANDIDATES)
    assert [score for _, score in found.scores] == [each.silhouette for each in at]
    near = [each.eps for each in at if each.silhouette >= 0.95 * max(each.silhouette for each in at)]
    assert found.eps == max(near)
    np.testing.assert_array_equal(labels, at[CANDIDATES.index(found.eps)].labels)
    assert pseudo_label_quality(labels, pids).ari > max(ari) - 0.08


def test_both_trivial_partitions_lose():
    # Nothing but noise up to 0.4, one cluster from 0.6 on, and between the two the planted groups, poorly.
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(4), 6)
    same = groups[:, None] == groups
    similarity = symmetric(np.where(same, 0.5, 0.42) * rng.uniform(0.98, 1, same.shape))

    def labels_at(_, eps):
        return np.full(24, -1) if eps < 0.45 else np.zeros(24, int) if eps > 0.55 else groups

    eps, labels, scores = found_cut(similarity, labels_at)
    assert eps == 0.55  # of equal scores the greatest cut
    assert partition(labels) == partition(groups)
    assert {score for cut, score in scores if not 0.45 <= cut <= 0.55} == {0.0}
    assert min(score for cut, score in scores if 0.45 <= cut <= 0.55) > 0


def test_a_tiny_cut_loses_though_its_few_clusters_are_perfect():
    # In each group of 10 three rows are nearly the same; the whole groups are looser.
    groups = np.repeat(np.arange(5), 10)
    dense = np.where(groups[:, None] == groups, 0.5, 0.0)
    for first in range(0, 50, 10):
        dense[first : first + 3, first : first + 3] = 0.95
    found = cluster_similarity(symmetric(dense), ClusteringSettings(eps="auto", min_samples=3))
    assert partition(found.labels) == partition(groups)
    strict = cluster_similarity(symmetric(dense), ClusteringSettings(eps=0.1, min_samples=3))
    assert graph_silhouette(strict.similarity, strict.labels)[strict.labels >= 0].mean() > 0.4
    assert found.silhouette > strict.silhouette


def chained():
    """Four groups of 10, of which three are joined by links that a smaller cut takes away, and rows of noise."""
    groups = np.repeat([0, 1, 2, 3], 10)
    dense = np.where(groups[:, None] == groups, 0.8, 0.0)
    for row in (9, 19):
        dense[row - 3 : row + 1, row + 1 : row + 5] = 0.45
    return symmetric(np.pad(dense, ((0, 4), (0, 4)))), np.append(groups, [-1] * 4)


@pytest.mark.parametrize("kind", kind_names())
def test_a_cluster_that_is_too_large_is_split(kind):
    similarity, groups = chained()
    options = {"kind": kind, "eps": 0.6, "resolution": 1e-3}
    whole = cluster_similarity(similarity, ClusteringSettings(**options))
    assert sorted(np.bincount(whole.labels + 1)) == [4, 10, 30]
    assert whole.split == 0
    parts = cluster_similarity(similarity, ClusteringSettings(**options, largest_share=0.5))
    assert partition(parts.labels) == partition(groups)
    assert parts.split == 1
    assert (parts.labels >= 0).sum() == (whole.labels >= 0).sum()
    assert largest_share(parts.labels) <= 0.5
    same = cluster_similarity(similarity, ClusteringSettings(**options, largest_share=0.7))
    np.testing.assert_array_equal(same.labels, whole.labels)


@pytest.mark.parametrize("kind", kind_names())
@pytest.mark.parametrize(("images", "k1"), [(12, 6), (40, 15), (40, 30)])
@pytest.mark.parametrize("eps", [0.6, "auto"])
def test_two_animals_are_left_whole(kind, images, k1, eps):
    features, pids = drawn(2, images, scatter=0.6, seed=images)
    found = cluster_features(features, ClusteringSettings(kind=kind, k1=k1, eps=eps, largest_share=0.2))
    assert found.labels.max() + 1 == 2
    assert pseudo_label_quality(found.labels, pids).ari > 0.8


def test_splitting_ends_where_every_cut_makes_parts():
    def halves(pairs, _):
        return np.arange(pairs.shape[0]) * 2 // pairs.shape[0]

    whole = np.zeros(64, np.int64)
    alike = symmetric(np.full((64, 64), 0.9))
    labels, split = split_large(alike, whole, halves, eps=0.75, largest_share=0.01)
    assert split == 0  # of rows that are all alike no part is better
    assert labels.tolist() == [0] * 64
    apart = sparse.csr_array(sparse.block_diag([np.full((4, 4), 0.9, np.float32)] * 16))
    labels, split = split_large(apart, whole, halves, eps=0.8, largest_share=0.01)
    assert split == 15  # to the groups of four, and no further
    assert np.bincount(labels).tolist() == [4] * 16
    few, split = split_large(apart, whole, halves, eps=0.4, largest_share=0.01)
    assert split == 3  # by the cuts 0.35 and 0.3; then there is none left
    assert np.bincount(few).tolist() == [16] * 4


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"eps": "atuo"}, r"eps is 'atuo'; a Jaccard distance in \(0, 1\], or auto, is needed. Did you mean 'auto'\?"),
        ({"eps": 0}, r"eps is 0; a Jaccard distance in \(0, 1\], or auto, is needed"),
        ({"eps": 1.5}, r"eps is 1\.5"),
        ({"eps": float("nan")}, r"finite number|eps is nan"),
        ({"eps": None}, r"eps is None"),
        ({"largest_share": 0}, r"greater than 0"),
        ({"resolution": -1}, r"greater than 0"),
    ],
)
def test_bad_settings_get_an_answer(given, message):
    with pytest.raises(ValidationError, match=message):
        ClusteringSettings(**given)


def test_text_from_the_command_line_is_a_number():
    assert ClusteringSettings(eps="0.45").eps == 0.45
    assert ClusteringSettings(eps=1).eps == 1.0
    assert ClusteringSettings(eps="auto").eps == "auto"
