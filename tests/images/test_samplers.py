"""The PK samplers, camera-preferring and dealt by identity, and random batches."""

from collections import Counter
from functools import cache
from itertools import combinations, permutations, product
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reid_pipeline.images.samplers import batches_per_pass, camera_preferring_batches, identity_batches, random_batches


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
        labels, camids, batch_size=3 * instances, instances=instances, iterations=4, seed=data.draw(st.integers(0, 9))
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
        assert len(set(others)) == len(others) or len(allowed) < instances, "repeats only where too few"


def rounds_broken(identities, places, batches):
    """Follow `batches` of identities through their rounds; say what breaks the rule, or nothing.

    The rule as one would do it by hand: cross off who has been; where those left do not fill a batch, all come back,
    and where all of them do not, they come back within the batch, each time that none is left.
    """
    everyone, left = set(identities), set()
    for number, batch in enumerate(batches):
        if len(batch) != places:
            return f"batch {number} has {len(batch)} places"
        if len(left) < places:
            left = set(everyone)
        for identity in batch:
            if not left:
                left = set(everyone)
            if identity not in left:
                return f"batch {number} has {identity} before all others have come"
            left.remove(identity)
        if len(everyone) < places:
            left = set()
    return ""


@pytest.mark.parametrize(
    ("count", "places", "batches", "holds"),
    [
        (5, 2, [[0, 1], [2, 3], [0, 4]], True),  # 4 was dropped
        (5, 2, [[0, 1], [2, 3], [4, 0], [4, 1]], False),  # a round is not continued into another
        (4, 2, [[0, 1], [0, 2]], False),
        (4, 2, [[0, 0]], False),
        (2, 3, [[0, 1, 1], [0, 1, 0]], True),
        (2, 3, [[0, 0, 1]], False),
        (2, 5, [[0, 1, 1, 0, 1]], True),
        (2, 5, [[0, 1, 1, 1, 0]], False),
    ],
)
def test_the_rule_of_rounds_by_hand(count, places, batches, holds):
    assert (rounds_broken(range(count), places, batches) == "") == holds


@pytest.mark.parametrize("cameras", [None, 1, 3])
@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 5), min_size=1, max_size=15),
    places=st.integers(1, 9),
    instances=st.integers(2, 4),
    seed=st.integers(0, 99),
)
def test_whatever_the_clusters_batches_follow_the_rule_of_rounds(cameras, sizes, places, instances, seed):
    labels = labels_of_sizes(sizes)
    camids = None if cameras is None else np.arange(len(labels)) % cameras
    size = places * instances
    batches = batches_of(labels, camids, batch_size=size, instances=instances, iterations=12, seed=seed)
    identities = [[int(labels[group[0]]) for group in groups_of([batch], instances)] for batch in batches]
    assert rounds_broken(range(len(sizes)), places, identities) == ""
    assert all(len(set(batch)) == min(places, len(sizes)) for batch in identities), "P distinct where there are P"


def test_whom_a_round_drops_is_chance():
    labels = np.repeat(np.arange(5), 4)
    batches = batches_of(labels, batch_size=12, instances=4, iterations=2000, seed=2)
    # Three of five come, anew each time: 1200 of 2000, with a standard deviation of 22.
    counts = Counter(int(labels[group[0]]) for group in groups_of(batches, 4))
    assert all(abs(count - 1200) < 100 for count in counts.values())


def outcomes(rows, camids, instances):
    """The probability of every group, anchor first and the others in order, by going through all choices."""
    shares = Counter()
    for anchor in rows:
        others = [row for row in rows if row != anchor]
        others = [row for row in others if camids[row] != camids[anchor]] or others
        if len(others) >= instances:
            choices = list(permutations(others, instances - 1))
        else:
            choices = list(product(others or [anchor], repeat=instances - 1))
        for choice in choices:
            shares[anchor, *choice] += 1 / len(rows) / len(choices)
    return shares


@pytest.mark.parametrize(
    "camids",
    [
        [0, 1, 1],  # the anchor of camera 0 has K - 1 others elsewhere: with replacement
        [0, 0, 0],  # K - 1 others of its own camera: with replacement
        [0, 0, 0, 0],  # K: without
        [0, 1, 1, 1],
        [0, 1],
        [0],
    ],
)
def test_groups_are_as_likely_as_the_choices_say(camids):
    instances, groups = 3, 6000
    labels = np.zeros(len(camids), dtype=int)
    batches = batches_of(labels, camids, batch_size=instances, instances=instances, iterations=groups, seed=5)
    counts = Counter(tuple(map(int, batch)) for batch in batches)
    expected = outcomes(range(len(camids)), camids, instances)
    assert set(counts) == set(expected)
    for group, share in expected.items():
        assert abs(counts[group] - groups * share) <= 4.5 * np.sqrt(groups * share * (1 - share))


def test_every_identity_comes_once_before_any_comes_again():
    labels = np.repeat(np.arange(12), 4)
    groups = groups_of(batches_of(labels, batch_size=16, instances=4, iterations=9, seed=1), 4)
    drawn = [int(labels[group[0]]) for group in groups]
    for start in range(0, len(drawn), 12):
        assert sorted(drawn[start : start + 12]) == list(range(12))
    assert drawn[:12] != drawn[12:24], "every round is shuffled anew"


def test_fewer_identities_than_places_repeat_within_the_batch():
    labels = np.repeat([0, 1], 10)
    (batch,) = batches_of(labels, batch_size=24, instances=4, iterations=1)
    assert Counter(labels[batch].tolist()) == {0: 12, 1: 12}


def test_enough_images_are_not_repeated():
    labels = np.zeros(9, dtype=int)  # K, beside the anchor
    for seed in range(20):
        (batch,) = batches_of(labels, batch_size=8, instances=8, iterations=1, seed=seed)
        assert len(set(batch)) == 8


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
        return np.concatenate(batches_of(labels, camids, batch_size=8, instances=4, iterations=5, seed=seed)).tolist()

    assert flat(3) == flat(3)
    assert flat(3) != flat(4)


def test_labels_need_not_be_contiguous_nor_sorted():
    labels = np.array([900, 5, 900, 5, -1, 31, 31])
    batches = batches_of(labels, batch_size=6, instances=2, iterations=3)
    assert all(Counter(labels[batch].tolist()) == {900: 2, 5: 2, 31: 2} for batch in batches)


def test_nothing_but_noise_is_an_error():
    with pytest.raises(ValueError, match="no row has a label"):
        batches_of([-1, -1], batch_size=4, instances=2, iterations=1)


def dealt(labels, *, batch_size, instances, seed=0, iterations=None):
    return list(
        identity_batches(
            np.asarray(labels),
            batch_size=batch_size,
            instances=instances,
            generator=np.random.default_rng(seed),
            iterations=iterations,
        )
    )


def labels_of_sizes(sizes):
    return np.repeat(np.arange(len(sizes)), sizes)


class TestIdentityBatches:
    @settings(max_examples=80, deadline=None)
    @given(data=st.data())
    def test_a_pass(self, data):
        """Whatever the labels: P identities x K, nothing twice, and no batch could still be made."""
        sizes = data.draw(st.lists(st.integers(1, 9), min_size=3, max_size=8))
        labels = np.append(labels_of_sizes(sizes), np.full(data.draw(st.integers(0, 3)), -1))
        labels = np.random.default_rng(data.draw(st.integers(0, 9))).permutation(labels)
        instances, places = data.draw(st.integers(2, 4)), data.draw(st.integers(2, 3))
        batches = dealt(labels, batch_size=places * instances, instances=instances, seed=len(sizes))
        left = {label: max(1, size // instances) for label, size in enumerate(sizes)}
        drawn = Counter()
        for batch in batches:
            assert batch.dtype == np.int64
            assert batch.shape == (places * instances,)
            groups = labels[batch].reshape(places, instances)
            assert (groups == groups[:, :1]).all()
            assert len(set(groups[:, 0])) == places, "different identities"
            assert min(groups[:, 0]) >= 0
            left = {label: count - (label in groups[:, 0]) for label, count in left.items()}
            drawn.update(batch.tolist())
        assert min(left.values()) >= 0
        assert sum(count > 0 for count in left.values()) < places, "it went on as long as it could"
        assert all(count == 1 for row, count in drawn.items() if sizes[labels[row]] >= instances)
        assert len(batches) <= batches_per_pass(labels, batch_size=places * instances, instances=instances)

    @pytest.mark.parametrize(("sizes", "places"), [((5, 3, 2, 1, 1, 1), 2), ((4, 4, 2, 2, 1), 3)])
    def test_identities_are_drawn_as_the_rule_says(self, sizes, places):
        """Batches of a pass and groups of each identity against their exact expectations, by recursion."""

        @cache
        def expected(left):
            """Mean batches, then mean groups of each identity, over all equally likely choices."""
            waiting = [identity for identity, count in enumerate(left) if count]
            if len(waiting) < places:
                return (0.0,) * (1 + len(left))
            total = np.zeros(1 + len(left))
            for chosen in combinations(waiting, places):
                rest = tuple(count - (identity in chosen) for identity, count in enumerate(left))
                total += np.array(expected(rest))
                total[[0, *(identity + 1 for identity in chosen)]] += 1
            return tuple(total / comb(len(waiting), places))

        labels = labels_of_sizes([2 * size for size in sizes])
        generator = np.random.default_rng(5)
        passes = 3000
        seen = np.zeros((passes, 1 + len(sizes)))
        for number in range(passes):
            options = {"batch_size": 2 * places, "instances": 2, "generator": generator}
            batches = list(identity_batches(labels, **options))
            groups = labels[np.array(batches)[:, ::2]]
            seen[number] = [len(batches), *np.bincount(groups.ravel(), minlength=len(sizes))]
        error = seen.std(0) / np.sqrt(passes)
        assert (abs(seen.mean(0) - expected(tuple(sizes))) <= 4.5 * error + 1e-12).all()

    def test_every_pair_meets_equally_often(self):
        labels = labels_of_sizes([4] * 5)
        firsts = [dealt(labels, batch_size=8, instances=4, seed=seed)[0] for seed in range(3000)]
        pairs = Counter(tuple(sorted(labels[batch[::4]])) for batch in firsts)
        assert len(pairs) == 10
        assert max(abs(count - 300) for count in pairs.values()) < 4.5 * np.sqrt(270)

    def test_equal_identities_are_used_up(self):
        """Eight identities of six images, P 4 and K 3: each comes at most twice, most images come."""
        labels = labels_of_sizes([6] * 8)
        counts = [len(dealt(labels, batch_size=12, instances=3, seed=seed)) for seed in range(50)]
        assert set(counts) == {3, 4}
        assert batches_per_pass(labels, batch_size=12, instances=3) == 4

    def test_what_is_left_over_is_another_image_each_time(self):
        """Seven images in groups of three: one is left out, each as often."""
        labels = labels_of_sizes([7, 7])
        out = Counter()
        for seed in range(700):
            batches = dealt(labels, batch_size=6, instances=3, seed=seed)
            assert len(batches) == 2
            out.update(set(range(14)) - set(np.concatenate(batches).tolist()))
        assert sum(out.values()) == 1400
        assert max(abs(out[row] - 100) for row in range(14)) < 4.5 * np.sqrt(100 * 6 / 7)

    def test_few_images_are_drawn_with_replacement(self):
        labels = labels_of_sizes([2, 2])
        batches = [dealt(labels, batch_size=8, instances=4, seed=seed) for seed in range(1000)]
        assert {len(made) for made in batches} == {1}
        firsts = np.array([made[0] for made in batches])
        groups = np.sort(firsts.reshape(-1, 4) % 2, axis=1).sum(1)
        # How often the second of the two images comes: binomial, 4 draws.
        counts = np.bincount(groups, minlength=5)
        wanted = 2000 * np.array([1, 4, 6, 4, 1]) / 16
        assert (abs(counts - wanted) < 4.5 * np.sqrt(wanted)).all()

    def test_iterations_go_on_with_another_pass(self):
        labels = labels_of_sizes([4] * 6)
        one = dealt(labels, batch_size=8, instances=2, seed=3)
        assert 2 <= len(one) <= 3
        many = dealt(labels, batch_size=8, instances=2, seed=3, iterations=len(one) + 5)
        assert len(many) == len(one) + 5
        assert np.array_equal(many[: len(one)], one)
        assert not np.array_equal(many[len(one)], one[0]), "shuffled anew"
        (first,) = dealt(labels, batch_size=8, instances=2, seed=3, iterations=1)
        assert np.array_equal(first, one[0])

    def test_fewer_identities_than_places(self):
        """Nothing at all in the released sampler; here every batch has a group of everyone."""
        labels = labels_of_sizes([8, 4, 2])
        batches = dealt(labels, batch_size=32, instances=2)
        # 4 + 2 + 1 groups of 3 identities: two batches.
        assert batches_per_pass(labels, batch_size=32, instances=2) == len(batches) == 2
        for batch in batches:
            assert batch.dtype == np.int64
            assert labels[batch].tolist() == [0, 0, 1, 1, 2, 2]
        rows = np.concatenate(batches)
        assert max(Counter(rows[labels[rows] < 2].tolist()).values()) == 1, "none twice while they last"
        many = dealt(labels, batch_size=32, instances=2, iterations=8)
        assert len(many) == 8
        # Four batches take all of the first identity, four more take it again.
        assert Counter(row for batch in many for row in batch if row < 8) == dict.fromkeys(range(8), 2)

    @pytest.mark.parametrize("sizes", [[5], [1], [1, 1], [3, 100]])
    def test_there_is_always_a_batch(self, sizes):
        batches = dealt(labels_of_sizes(sizes), batch_size=64, instances=4)
        assert len(batches) >= 1
        assert {len(batch) for batch in batches} == {4 * len(sizes)}

    def test_the_generator_decides(self):
        labels = labels_of_sizes([5] * 6)

        def flat(seed):
            return np.concatenate(dealt(labels, batch_size=8, instances=2, seed=seed)).tolist()

        assert flat(3) == flat(3)
        assert flat(3) != flat(4)

    def test_labels_need_not_be_contiguous_nor_sorted(self):
        labels = np.array([900, 5, 900, 5, -1, 31, 31])
        (batch,) = dealt(labels, batch_size=6, instances=2)
        assert Counter(labels[batch].tolist()) == {900: 2, 5: 2, 31: 2}
        assert len(set(batch)) == 6

    def test_nothing_but_noise_is_an_error(self):
        with pytest.raises(ValueError, match="no row has a label among 2"):
            dealt([-1, -1], batch_size=4, instances=2)
        with pytest.raises(ValueError, match="no row has a label among 2"):
            batches_per_pass(np.array([-1, -1]), batch_size=4, instances=2)


@pytest.mark.parametrize(
    ("sizes", "batch_size", "instances", "wanted"),
    [
        ([4, 4], 8, 4, 1),
        ([9, 8, 3, 1], 8, 4, 3),  # 2 + 2 + 1 + 1 groups, two to a batch
        ([9, 8, 3], 8, 4, 2),  # 5 groups: the fifth is half a batch
        ([9, 8, 3, 1], 64, 4, 1),  # 6 groups of 4 identities, fewer than 16
    ],
)
def test_batches_of_a_pass_by_hand(sizes, batch_size, instances, wanted):
    labels = labels_of_sizes(sizes)
    assert batches_per_pass(labels, batch_size=batch_size, instances=instances) == wanted


class TestRandomBatches:
    @settings(max_examples=60, deadline=None)
    @given(count=st.integers(1, 60), batch_size=st.integers(1, 20), seed=st.integers(0, 5))
    def test_a_pass_has_every_row_once(self, count, batch_size, seed):
        batches = list(random_batches(count, batch_size, np.random.default_rng(seed)))
        assert sorted(np.concatenate(batches).tolist()) == list(range(count))
        assert all(batch.dtype == np.int64 for batch in batches)
        assert [len(batch) for batch in batches[:-1]] == [batch_size] * (len(batches) - 1)
        assert 1 <= len(batches[-1]) <= batch_size

    def test_no_empty_batch_where_the_size_divides(self):
        """The released code takes one batch more, of no image."""
        sizes = [len(batch) for batch in random_batches(12, 4, np.random.default_rng(0))]
        assert sizes == [4, 4, 4]
        sizes = [len(batch) for batch in random_batches(13, 4, np.random.default_rng(0))]
        assert sizes == [4, 4, 4, 1]

    def test_iterations_go_on_with_another_pass(self):
        batches = list(random_batches(5, 2, np.random.default_rng(0), iterations=7))
        assert [len(batch) for batch in batches] == [2, 2, 1, 2, 2, 1, 2]
        first, second = np.concatenate(batches[:3]), np.concatenate(batches[3:6])
        assert sorted(first) == sorted(second) == list(range(5))
        assert first.tolist() != second.tolist()
        (only,) = random_batches(5, 2, np.random.default_rng(0), iterations=1)
        assert only.tolist() == batches[0].tolist()

    def test_every_order_is_equally_likely(self):
        generator = np.random.default_rng(2)
        orders = Counter(
            tuple(int(row) for batch in random_batches(3, 2, generator) for row in batch) for _ in range(1800)
        )
        assert len(orders) == 6
        assert max(abs(count - 300) for count in orders.values()) < 4.5 * np.sqrt(250)

    def test_nothing_to_draw_from(self):
        with pytest.raises(ValueError, match="nothing to sample: 0 rows"):
            list(random_batches(0, 4, np.random.default_rng(0)))
