"""The sparse Jaccard similarity against a dense float64 re-derivation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from k_reciprocal_oracle import clustered, dense_jaccard_similarity
from scipy import sparse

from reid_pipeline.geometry import jaccard_distance
from reid_pipeline.geometry.jaccard import jaccard_similarity
from reid_pipeline.schema.errors import UserError


@pytest.mark.slow
@pytest.mark.parametrize(("k1", "k2"), [(30, 6), (20, 6), (6, 1), (5, 3), (1, 1), (2, 2), (4, 9), (150, 6)])
@pytest.mark.parametrize("noise", [0.3, 1.0])
def test_equals_the_dense_algorithm(k1, k2, noise):
    rng = np.random.default_rng(k1 + k2)
    features = clustered(rng, 120, 16, 9, noise)
    features[50:58] = features[3]
    similarity = jaccard_distance(features, k1=k1, k2=k2)
    np.testing.assert_allclose(similarity.toarray(), dense_jaccard_similarity(features, k1, k2), atol=1e-6)


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(1, 40),
    k1=st.integers(1, 45),
    k2=st.integers(1, 8),
    unit=st.booleans(),
    double=st.booleans(),
)
def test_equals_the_dense_algorithm_anywhere(seed, rows, k1, k2, unit, double):
    rng = np.random.default_rng(seed)
    features = clustered(rng, rows, 6, 4, 0.4, unit=unit, dtype=np.float64 if double else np.float32)
    features[rng.integers(rows, size=rows // 4)] = features[0]
    similarity = jaccard_distance(features, k1=k1, k2=k2)
    dense = similarity.toarray()
    np.testing.assert_allclose(dense, dense_jaccard_similarity(features, k1, k2), atol=1e-6)
    assert isinstance(similarity, sparse.csr_array)
    assert similarity.dtype == np.float32
    assert similarity.has_canonical_format
    assert (similarity.data > 0).all()
    assert (similarity.data <= 1).all()
    np.testing.assert_array_equal(dense, dense.T)
    np.testing.assert_array_equal(np.diag(dense), np.ones(rows, np.float32))


def test_hand_computed():
    # On a line at 0, 1 and 10, lists of two: {0, 1}, {1, 0}, {2, 1}. Row 2 is in nobody's list: alone.
    # Half lists have round(2 / 2) + 1 = 2 columns. V_0 = (1, e^-1) / (1 + e^-1) = (p, q), V_1 = (q, p).
    p, q = 1 / (1 + np.exp(-1)), np.exp(-1) / (1 + np.exp(-1))
    shared = 2 * q
    expected = np.eye(3)
    expected[0, 1] = expected[1, 0] = shared / (2 - shared)
    similarity = jaccard_distance(np.array([[0.0], [1.0], [10.0]]), k1=2, k2=1)
    np.testing.assert_allclose(similarity.toarray(), expected, atol=1e-7)
    assert similarity.nnz == 5
    assert p + q == pytest.approx(1)


def test_blocks_and_threads_change_nothing(monkeypatch):
    features = clustered(np.random.default_rng(1), 400, 16, 30, 0.5)
    whole = jaccard_distance(features)
    monkeypatch.setattr("reid_pipeline.geometry.jaccard._BLOCK_ENTRIES", 1000)
    monkeypatch.setattr("reid_pipeline.geometry.candidates._TILE", 67)
    monkeypatch.setattr("reid_pipeline.geometry.compiled.worker_count", lambda: 5)
    parts = jaccard_distance(features)
    for name in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(parts, name))


@pytest.mark.parametrize("minimum", [0.05, 0.4, 0.9])
def test_a_minimum_keeps_exactly_the_pairs_above(minimum):
    features = clustered(np.random.default_rng(1), 400, 16, 30, 0.5)
    whole = jaccard_distance(features).toarray()
    whole[whole < np.float32(minimum)] = 0
    np.testing.assert_array_equal(jaccard_similarity(features, minimum=minimum).toarray(), whole)


@settings(deadline=None, max_examples=8)
@given(seed=st.integers(0, 2**32 - 1))
def test_permutation_equivariance(seed):
    rng = np.random.default_rng(seed)
    features = clustered(rng, 60, 8, 5, 0.6)
    order = rng.permutation(60)
    straight = jaccard_distance(features, k1=10, k2=3).toarray()[np.ix_(order, order)]
    np.testing.assert_allclose(jaccard_distance(features[order], k1=10, k2=3).toarray(), straight, atol=1e-6)


def test_far_apart_rows_do_not_underflow():
    features = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32) * 1000
    np.testing.assert_array_equal(jaccard_distance(features, k1=4, k2=1).toarray(), np.eye(30, dtype=np.float32))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k1": 0}, r"k1 is 0; a whole number of at least 1 is needed \(usual: k1 20 to 30"),
        ({"k2": -3}, r"k2 is -3"),
        ({"k1": 2.5}, r"k1 is 2\.5"),
        ({"k2": True}, r"k2 is True"),
    ],
)
def test_bad_options_get_an_answer(options, message):
    with pytest.raises(UserError, match=message):
        jaccard_distance(np.ones((4, 2)), **options)


def test_bad_rows_are_named():
    features = np.ones((20, 3), np.float32)
    features[4:15, 1] = np.nan
    with pytest.raises(UserError, match=r"11 of 20 rows \(rows 4, 5, 6, 7, 8 and 6 more\)"):
        jaccard_distance(features)
