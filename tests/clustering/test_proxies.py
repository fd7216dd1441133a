"""Clusters split by camera: against a dictionary of pairs, by hand, and what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reid_pipeline.clustering import check_known_cameras, split_by_camera
from reid_pipeline.schema.errors import UserError


@settings(deadline=None, max_examples=150)
@given(st.lists(st.tuples(st.integers(-1, 6), st.integers(0, 9)), min_size=1, max_size=40))
def test_equals_a_dictionary_of_pairs(rows):
    pairs = sorted({pair for pair in rows if pair[0] >= 0})
    number = {pair: place for place, pair in enumerate(pairs)}
    proxies = split_by_camera([label for label, _ in rows], [camid for _, camid in rows])
    assert proxies.labels.tolist() == [number.get(pair, -1) for pair in rows]
    assert list(zip(proxies.clusters.tolist(), proxies.camids.tolist(), strict=True)) == pairs
    assert {values.dtype for values in vars(proxies).values()} == {np.dtype(np.int64)}


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_order_of_rows_does_not_count(seed):
    rng = np.random.default_rng(seed)
    labels, camids, order = rng.integers(-1, 8, 60), rng.integers(0, 5, 60), rng.permutation(60)
    straight, permuted = split_by_camera(labels, camids), split_by_camera(labels[order], camids[order])
    np.testing.assert_array_equal(straight.labels[order], permuted.labels)
    np.testing.assert_array_equal(straight.clusters, permuted.clusters)
    np.testing.assert_array_equal(straight.camids, permuted.camids)


def test_by_hand():
    # Cluster 1 is seen by cameras 0 and 5, cluster 0 by camera 5 alone; one row is noise.
    proxies = split_by_camera([1, 0, -1, 1, 1], [5, 5, 2, 0, 5])
    assert proxies.labels.tolist() == [2, 0, -1, 1, 2]
    assert proxies.clusters.tolist() == [0, 1, 1]
    assert proxies.camids.tolist() == [5, 0, 5]


def test_noise_alone_has_no_proxies():
    proxies = split_by_camera([-1, -1], [0, 1])
    assert proxies.labels.tolist() == [-1, -1]
    assert len(proxies.clusters) == len(proxies.camids) == 0


@pytest.mark.parametrize(
    ("labels", "camids", "message"),
    [
        ([0, 1], [0, 1, 2], r"2 pseudo labels and 3 camids were given; one camid per row is needed"),
        ([0, 1], [0.0, 1.0], r"camids has shape \[2\] and dtype float64"),
        ([], [], r"pseudo_labels has shape \[0\]"),
        (
            [0] * 8,
            [-1] * 7 + [0],
            r"camera of 7 of 8 images is not known .*rows 0, 1, 2, 3, 4 and 2 more\).*Complete the camids",
        ),
        ([0, -1], [0, -1], r"camera of 1 of 2 images is not known \(camid below 0 in rows 1\)"),
    ],
)
def test_bad_input_gets_an_answer(labels, camids, message):
    with pytest.raises(UserError, match=message):
        split_by_camera(labels, camids)


def test_known_cameras_pass():
    check_known_cameras(np.array([3, 0, 0]))
