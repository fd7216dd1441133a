"""The camera-preferring PK sampler."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reid_pipeline.images.samplers import camera_preferring_batches


def batches_of(labels, camids=None, *, batch_size, instances, iterations, seed=0):
    return list(
        camera_preferring_batches(
            np.asarray(labels),
            None if camids is None else np.asarray(camids),
            batch_size=batch_size,
            instances=instances,
            iterations=iterations,
            generator=np.random.default_rng(seed),
        )
    )


def groups_of(batches, instances):
    return [group for batch in batches for group in batch.reshape(-1, instances)]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_composition(data):
    """Whatever the labels and cameras: sizes, one label per group, cameras and repeats."""
    labels = np.array(data.draw(st.lists(st.integers(-1, 5), min_size=1, max_size=40)))
    if (labels < 0).all():
        labels[0] = 0
    camids = np.array(data.draw(st.lists(st.integers(0, 3), min_size=len(labels), max_size=len(labels))))
    instances = data.draw(st.integers(2, 6))
    batches = batches_of(
        labels,
        camids,
        batch_size=3 * instances,
        instances=instances,
        iterations=4,
        seed=data.draw(st.integers(0, 9)),
    )
    assert [len(batch) for batch in batches] == [3 * instances] * 4
    for group in groups_of(batches, instances):
        anchor, others = group[0], group[1:]
        (label,) = set(labels[group])
        assert label >= 0, "noise is never drawn"
        same = set(np.flatnonzero(labels == label)) - {anchor}
        elsewhere = {row for row in same if camids[row] != camids[anchor]}
        allowed = elsewhere or same or {anchor}
        assert set(others) <= allowed
        assert len(set(others)) == len(others) or len(allowed) < len(others), "repeats only where too few"


def test_every_identity_comes_once_before_any_comes_again():
    labels = np.repeat(np.arange(12), 4)
    groups = groups_of(batches_of(labels, batch_size=16, instances=4, iterations=9, seed=1), 4)
    drawn = [int(labels[group[0]]) for group in groups]
    for start in range(0, len(drawn), 12):
        assert sorted(drawn[start : start + 12]) == list(range(12))
    assert drawn[:12] != drawn[12:24], "every round is shuffled anew"


def test_a_batch_that_straddles_two_rounds_goes_on():
    labels = np.repeat(np.arange(5), 4)
    batches = batches_of(labels, batch_size=12, instances=4, iterations=5)
    counts = Counter(int(labels[group[0]]) for group in groups_of(batches, 4))
    assert counts == dict.fromkeys(range(5), 3)


def test_fewer_identities_than_places_repeat_within_the_batch():
    labels = np.repeat([0, 1], 10)
    (batch,) = batches_of(labels, batch_size=24, instances=4, iterations=1)
    assert Counter(labels[batch].tolist()) == {0: 12, 1: 12}


def test_enough_images_are_not_repeated():
    labels = np.zeros(8, dtype=int)
    for seed in range(20):
        (batch,) = batches_of(labels, batch_size=8, instances=8, iterations=1, seed=seed)
        assert sorted(batch) == list(range(8))


def test_other_cameras_are_preferred_even_where_few():
    # One image in camera 1, nine in camera 0: an anchor of camera 0 is followed by that one alone.
    labels, camids = np.zeros(10, dtype=int), np.array([1] + [0] * 9)
    for group in groups_of(batches_of(labels, camids, batch_size=8, instances=4, iterations=20), 4):
        if group[0] == 0:
            assert 0 not in group[1:]
            assert len(set(group)) == 4
        else:
            assert group[1:].tolist() == [0, 0, 0]


def test_one_camera_only_is_drawn_from_itself():
    labels, camids = np.repeat([0, 1], 5), np.zeros(10, dtype=int)
    for group in groups_of(batches_of(labels, camids, batch_size=8, instances=4, iterations=6), 4):
        assert len(set(group)) == 4


def test_a_single_image_fills_its_group():
    (batch,) = batches_of([7, -1, 3], batch_size=4, instances=2, iterations=1)
    assert sorted(batch.tolist()) == [0, 0, 2, 2]


def test_anchors_are_uniform_over_the_images():
    labels = np.zeros(6, dtype=int)
    anchors = [g[0] for g in groups_of(batches_of(labels, batch_size=20, instances=2, iterations=300), 2)]
    counts = np.bincount(anchors, minlength=6)
    assert abs(counts - 500).max() < 4.5 * np.sqrt(500 * 5 / 6)


@pytest.mark.parametrize("camids", [None, [0, 1] * 12])
def test_the_generator_decides(camids):
    labels = np.repeat(np.arange(6), 4)

    def flat(seed):
        return np.concatenate(
            batches_of(labels, camids, batch_size=8, instances=4, iterations=5, seed=seed)
        ).tolist()

    assert flat(3) == flat(3)
    assert flat(3) != flat(4)


def test_labels_need_not_be_contiguous_nor_sorted():
    labels = np.array([900, 5, 900, 5, -1, 31, 31])
    batches = batches_of(labels, batch_size=6, instances=2, iterations=3)
    assert all(Counter(labels[batch].tolist()) == {900: 2, 5: 2, 31: 2} for batch in batches)


def test_nothing_but_noise_is_an_error():
    with pytest.raises(ValueError, match="no row has a label"):
        batches_of([-1, -1], batch_size=4, instances=2, iterations=1)
