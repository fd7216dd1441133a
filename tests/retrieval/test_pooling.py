"""Tracklets pooled: by hand, against a loop, and what weights are for."""

import numpy as np
import pytest

from reid_pipeline.retrieval.pooling import agreement, pooled, tracklet_groups
from reid_pipeline.schema.errors import UserError


def units(rng, count, width=6):
    vectors = rng.normal(size=(count, width)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_groups_stand_in_the_order_of_their_first_images():
    assert tracklet_groups([7, -1, 3, 7, -1, 3, 0]).tolist() == [0, 1, 2, 0, 3, 2, 4]
    assert tracklet_groups([-1, -1]).tolist() == [0, 1]
    assert tracklet_groups([1, 1]).tolist() == [0, 0]  # and the number of an image is no tracklet's
    assert tracklet_groups([1, -1, 1]).tolist() == [0, 1, 0]


def test_pooled_vectors_are_the_weighted_means_of_a_loop():
    rng = np.random.default_rng(0)
    vectors, groups, weights = units(rng, 30), rng.choice([2, 5, 9], 30), rng.uniform(size=30)
    for given in (None, weights):
        found = pooled(vectors, groups, given)
        for place, group in enumerate([2, 5, 9]):
            mean = sum(
                vectors[row].astype(float) * (1 if given is None else given[row])
                for row in range(30)
                if groups[row] == group
            )
            assert found[place] == pytest.approx(mean / np.linalg.norm(mean), abs=1e-6)
    assert found.dtype == np.float32


def test_what_is_alone_stays_to_the_bit_and_zeros_have_an_answer():
    rng = np.random.default_rng(1)
    vectors = units(rng, 5)
    assert (pooled(vectors, np.arange(5), rng.uniform(size=5)) == vectors).all()
    opposite = np.array([[1, 0], [-1, 0], [0, 1], [1, 0]], np.float32)
    assert pooled(opposite, [0, 0, 1, 1]).tolist() == [[1, 0], pytest.approx([0.5**0.5, 0.5**0.5])]
    assert pooled(opposite, [0, 1, 2, 2], [1, 1, 0, 0])[2] == pytest.approx([0.5**0.5, 0.5**0.5])


def test_agreement_is_the_mean_cosine_to_the_others():
    rng = np.random.default_rng(2)
    vectors, groups = units(rng, 12), np.array([0] * 4 + [1] * 7 + [2])
    found = agreement(vectors, groups)
    for row in range(12):
        others = [other for other in range(12) if groups[other] == groups[row] and other != row]
        mean = np.mean([vectors[row] @ vectors[other] for other in others]) if others else 1
        assert found[row] == pytest.approx(max(0, mean), abs=1e-6)


def test_an_image_of_something_else_weighs_less_than_those_that_agree():
    rng = np.random.default_rng(3)
    truth = units(rng, 1, 64)[0]
    gains = []
    for _ in range(50):
        views = truth + 0.08 * rng.normal(size=(6, 64))
        views[5] = rng.normal(size=64)  # somebody walked by
        views = (views / np.linalg.norm(views, axis=1, keepdims=True)).astype(np.float32)
        group = np.zeros(6, np.int64)
        plain, weighted = pooled(views, group)[0], pooled(views, group, agreement(views, group))[0]
        gains.append(weighted @ truth - plain @ truth)
    assert min(gains) > 0


def test_bad_weights_and_lengths_are_refused():
    vectors = np.eye(3, dtype=np.float32)
    with pytest.raises(UserError, match=r"weights are below 0, NaN or infinite in 1 of 3 rows \(rows 1\)"):
        pooled(vectors, [0, 0, 1], [1, -1, 1])
    with pytest.raises(UserError, match="one each is needed"):
        pooled(vectors, [0, 0, 1], [1, 1])
    with pytest.raises(UserError, match="groups have shape"):
        pooled(vectors, [0, 0])
