"""Known identities and tracklets hold over whatever labels come in; hand-made cases say which image goes where."""

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from reid_pipeline.clustering import constrained_labels, tracklets_of
from reid_pipeline.clustering.constraints import spread_over_tracklets
from reid_pipeline.schema.errors import UserError


def table(count: int, pairs: dict[tuple[int, int], float]) -> csr_matrix:
    """A symmetric similarity from its pairs."""
    dense = np.eye(count, dtype=np.float32)
    for (row, column), value in pairs.items():
        dense[row, column] = dense[column, row] = value
    return csr_matrix(dense)


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[int], csr_matrix, list[int], list[int]]:
    """Labels, a sparse similarity, known identities and tracklets that do not contradict these."""
    count = draw(st.integers(1, 14))
    labels = draw(st.lists(st.integers(-2, 5), min_size=count, max_size=count))
    tracklets = draw(st.lists(st.integers(-1, 4), min_size=count, max_size=count))
    of_tracklet = draw(st.lists(st.integers(-1, 3), min_size=5, max_size=5))
    alone = draw(st.lists(st.integers(-1, 3), min_size=count, max_size=count))
    shown = draw(st.lists(st.booleans(), min_size=count, max_size=count))
    known = [
        (of_tracklet[track] if track >= 0 else pid) if seen else -1
        for track, pid, seen in zip(tracklets, alone, shown, strict=True)
    ]
    values = draw(st.lists(st.sampled_from([0.0, 0.0, 0.25, 0.5, 0.75]), min_size=count**2, max_size=count**2))
    dense = np.maximum(np.reshape(values, (count, count)), np.reshape(values, (count, count)).T)
    return labels, csr_matrix(dense), known, tracklets


@settings(deadline=None, max_examples=50)
@given(cases())
def test_constraints_hold_whatever_labels_come_in(case: tuple[list[int], csr_matrix, list[int], list[int]]) -> None:
    labels, similarity, known, tracklets = case
    found = constrained_labels(labels, similarity, known=known, tracklets=tracklets)
    assert sorted(set(found.tolist()) - {-1}) == list(range(found.max() + 1)), "clusters from 0 without gaps"
    for pid in set(known) - {-1}:
        assert len({found[row] for row, other in enumerate(known) if other == pid}) == 1
        assert found[known.index(pid)] >= 0, "a known identity is no noise"
    for label in set(found.tolist()) - {-1}:
        assert len({pid for pid, other in zip(known, found, strict=True) if other == label} - {-1}) <= 1
    for track in set(tracklets) - {-1}:
        assert len({found[row] for row, other in enumerate(tracklets) if other == track}) == 1
    again = constrained_labels(found, similarity, known=known, tracklets=tracklets)
    assert again.tolist() == found.tolist(), "laid over its own result it changes nothing"


@settings(deadline=None, max_examples=20)
@given(cases(), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(
    case: tuple[list[int], csr_matrix, list[int], list[int]], random: Random
) -> None:
    labels, similarity, known, tracklets = case
    order = list(range(len(labels)))
    random.shuffle(order)
    found = constrained_labels(labels, similarity, known=known, tracklets=tracklets)
    moved = constrained_labels(
        [labels[row] for row in order],
        similarity[order][:, order],
        known=[known[row] for row in order],
        tracklets=[tracklets[row] for row in order],
    )
    assert moved.tolist() == [found[row] for row in order]


def test_where_nothing_is_known_nothing_changes() -> None:
    labels = [2, 0, -1, 2, 1]
    nothing = table(5, {})
    assert constrained_labels(labels, nothing).tolist() == labels
    assert constrained_labels(labels, nothing, known=[-1] * 5, tracklets=[-1] * 5).tolist() == labels


def test_unlabelled_images_join_the_known_identity_of_their_cluster() -> None:
    """Clusters 0 and 1 both hold identity 0, and become one; cluster 2 holds nobody known; noise of a known joins."""
    labels = [0, 0, 1, 1, 2, 2, -1, -1]
    known = [0, -1, 0, -1, -1, -1, 0, -1]
    found = constrained_labels(labels, table(8, {}), known=known)
    assert found.tolist() == [1, 1, 1, 1, 0, 0, 1, -1]


def test_a_cluster_of_two_known_identities_is_split_by_the_mean_similarity() -> None:
    """Row 4 is alike to both rows of 0 by 0.4 and 0.4, to the one of 1 by 0.5: a sum would give it to 0, a mean to 1.

    Row 5 is alike to 0 alone, row 6 to nobody who is known, in this cluster: row 7 is in another.
    """
    labels = [0, 0, 0, 0, 0, 0, 0, 1]
    known = [0, 0, 1, -1, -1, -1, -1, 1]
    pairs = {(3, 2): 0.3, (4, 0): 0.4, (4, 1): 0.4, (4, 2): 0.5, (5, 0): 0.1, (6, 7): 0.9}
    found = constrained_labels(labels, table(8, pairs), known=known)
    assert found.tolist() == [0, 0, 1, 1, 1, 0, -1, 1]


def test_a_tracklet_moves_as_a_whole_where_a_cluster_is_split() -> None:
    """Row 2 alone would go to identity 0 and row 3 to 1; by the mean of both (0.45 against 0.35) both go to 1."""
    pairs = {(2, 0): 0.7, (2, 1): 0.3, (3, 1): 0.6}
    found = constrained_labels([0, 0, 0, 0], table(4, pairs), known=[0, 1, -1, -1], tracklets=[-1, -1, 7, 7])
    assert found.tolist() == [0, 1, 1, 1]
    alone = constrained_labels([0, 0, 0, 0], table(4, pairs), known=[0, 1, -1, -1])
    assert alone.tolist() == [0, 1, 0, 1]


def test_a_tracklet_has_the_label_of_most_of_its_images_then_of_the_most_similar_cluster() -> None:
    """Tracklet 0: two of three in cluster 1. Tracklet 1: one each, and cluster 1 is nearer. Tracklet 2 is noise."""
    labels = [0, 1, 1, 0, 1, -1, -1, -1, 0, 1]
    tracklets = [0, 0, 0, 1, 1, 1, 2, 2, -1, -1]
    found = constrained_labels(labels, table(10, {(3, 8): 0.2, (5, 9): 0.9}), tracklets=tracklets)
    assert found.tolist() == [1, 1, 1, 1, 1, 1, -1, -1, 0, 1]
    nearer = constrained_labels(labels, table(10, {(3, 8): 0.9, (5, 9): 0.2}), tracklets=tracklets)
    # Cluster 0 has one other image (mean 0.9), cluster 1 three (mean below): tracklet 1 goes to 0.
    assert nearer.tolist() == [1, 1, 1, 0, 0, 0, -1, -1, 0, 1]


def test_similarity_within_the_tracklet_does_not_count() -> None:
    labels = [0, 1, 0, 1]
    found = constrained_labels(labels, table(4, {(0, 1): 0.9, (1, 2): 0.1, (0, 3): 0.3}), tracklets=[5, 5, -1, -1])
    assert found.tolist() == [1, 1, 0, 1]


def test_an_image_has_the_identity_of_its_tracklet() -> None:
    found = constrained_labels([0, -1, 1, 1], table(4, {}), known=[0, -1, 1, -1], tracklets=[3, 3, -1, -1])
    assert found.tolist() == [0, 0, 1, 1]


def test_a_tracklet_of_two_known_identities_is_refused_by_their_names() -> None:
    with pytest.raises(UserError, match=r"1 tracklets hold images of more than one known identity") as caught:
        constrained_labels([0, 0, 0], table(3, {}), known=[0, 1, 1], tracklets=[4, 4, -1], names=("fox-7", "fox-9"))
    assert "'fox-7' (row 0) and 'fox-9' (row 1)" in str(caught.value)
    assert "correct pid or trackid" in str(caught.value)


def test_a_tracklet_is_of_one_camera() -> None:
    assert tracklets_of(None, [0, 1]) is None
    assert tracklets_of([-1, -1], [0, 1]) is None
    assert tracklets_of([5, 5, -1, 5, 6], [0, 1, 1, 0, 1]).tolist() == [0, 1, -1, 0, 2]
    assert tracklets_of([5, 5, -1], None).tolist() == [0, 0, -1]


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(UserError, match="2 pseudo labels and a similarity of shape"):
        constrained_labels([0, 1], table(3, {}))
    with pytest.raises(UserError, match="one tracklet per row is needed"):
        constrained_labels([0, 1], table(2, {}), tracklets=[1])
    assert spread_over_tracklets([-1, 2, -1], [8, 8, -1]).tolist() == [2, 2, -1]
