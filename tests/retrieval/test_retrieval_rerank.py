"""Re-ranking against the dense algorithm in float64; query expansion against its formula."""

from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from k_reciprocal_oracle import dense_rerank

from reid_pipeline.retrieval import RERANK_PRESETS, average_query_expansion, rerank_k_reciprocal, reranked_blocks
from reid_pipeline.schema.errors import UserError


def sides(rng, queries, gallery, *, groups=0, width=12, noise=0.4):
    """Random rows of both sides, around ``groups`` centres, or without any."""
    rows = rng.normal(size=(queries + gallery, width))
    if groups:
        rows = rng.normal(size=(groups, width))[rng.integers(groups, size=len(rows))] + noise * rows
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows[:queries].astype(np.float32), rows[queries:].astype(np.float32)


@pytest.mark.parametrize("groups", [0, 12])
@pytest.mark.parametrize(
    ("k1", "k2", "lambda_value"), [(20, 6, 0.3), (50, 15, 0.3), (20, 1, 0.3), (1, 1, 0.5), (7, 9, 0.0), (6, 3, 1.0)]
)
def test_equals_the_dense_algorithm(groups, k1, k2, lambda_value):
    query, gallery = sides(np.random.default_rng(k1 + groups), 25, 110, groups=groups)
    gallery[40:46] = query[3]
    ours = rerank_k_reciprocal(query, gallery, k1=k1, k2=k2, lambda_value=lambda_value)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, dense_rerank(query, gallery, k1, k2, lambda_value), atol=1e-5)


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 2**32 - 1),
    queries=st.integers(1, 12),
    gallery=st.integers(1, 30),
    k1=st.integers(1, 45),
    k2=st.integers(1, 8),
    offset=st.sampled_from([0.0, 30.0]),
    double=st.booleans(),
)
def test_equals_the_dense_algorithm_anywhere(seed, queries, gallery, k1, k2, offset, double):
    rng = np.random.default_rng(seed)
    kind = np.float64 if double else np.float32
    left, right = (side.astype(kind) + kind(offset) for side in sides(rng, queries, gallery, groups=3, width=5))
    right[rng.integers(gallery, size=gallery // 4)] = left[0]
    ours = rerank_k_reciprocal(left, right, k1=k1, k2=k2)
    np.testing.assert_allclose(ours, dense_rerank(left, right, k1, k2, 0.3), atol=1e-5)


def test_hand_computed():
    # A query at 0; gallery at 1 and 3. With k1 = 1 lists are {q, a}, {a, q}, {b, a}: b is in nobody's list.
    # Greatest squared distances: 9, 4, 9. Half lists have 0 + 1 columns. V_q = (1, e^-1/9) / sum over (q, a),
    # V_a = (e^-1/4, 1) / sum, V_b = 1 at b.
    query, gallery = np.array([[0.0]]), np.array([[1.0], [3.0]])
    q = np.array([1, np.exp(-1 / 9)]) / (1 + np.exp(-1 / 9))
    a = np.array([np.exp(-1 / 4), 1]) / (1 + np.exp(-1 / 4))
    shared = np.minimum(q, a).sum()
    expected = [[0.7 * (1 - shared / (2 - shared)) + 0.3 / 9, 0.7 + 0.3]]
    ours = rerank_k_reciprocal(query, gallery, k1=1, k2=1, lambda_value=0.3)
    np.testing.assert_allclose(ours, expected, atol=1e-6)


def test_the_presets_are_the_published_options():
    query, gallery = sides(np.random.default_rng(0), 10, 100, groups=9)
    explicit = {"k_reciprocal": (20, 6, 0.3), "clip_reid": (50, 15, 0.3)}
    assert set(RERANK_PRESETS) == set(explicit)
    for name, (k1, k2, lambda_value) in explicit.items():
        expected = rerank_k_reciprocal(query, gallery, k1=k1, k2=k2, lambda_value=lambda_value)
        ours = rerank_k_reciprocal(query, gallery, **asdict(RERANK_PRESETS[name]))
        np.testing.assert_array_equal(ours, expected)


def test_blocks_cover_the_queries_in_order_and_change_nothing():
    query, gallery = sides(np.random.default_rng(1), 90, 2500, groups=300)
    whole = rerank_k_reciprocal(query, gallery)
    blocks = list(reranked_blocks(query, gallery, memory_limit=1 << 20))
    assert len(blocks) == 2
    assert [start for start, _ in blocks] == [0, len(blocks[0][1])]
    np.testing.assert_allclose(np.concatenate([block for _, block in blocks]), whole, atol=1e-6)


@settings(deadline=None, max_examples=8)
@given(seed=st.integers(0, 2**32 - 1))
def test_permutation_equivariance(seed):
    rng = np.random.default_rng(seed)
    query, gallery = sides(rng, 12, 60, groups=6)
    rows, columns = rng.permutation(12), rng.permutation(60)
    straight = rerank_k_reciprocal(query, gallery, k1=8, k2=3)[np.ix_(rows, columns)]
    permuted = rerank_k_reciprocal(query[rows], gallery[columns], k1=8, k2=3)
    np.testing.assert_allclose(permuted, straight, atol=1e-5)


def test_rows_that_are_all_the_same_have_no_greatest_distance():
    ours = rerank_k_reciprocal(np.ones((2, 3)), np.ones((4, 3)), k1=9, k2=2)
    np.testing.assert_allclose(ours, np.zeros((2, 4)), atol=1e-6)


@pytest.mark.parametrize("alpha", [0.0, 3.0])
def test_query_expansion_by_its_formula(alpha, monkeypatch):
    monkeypatch.setattr("reid_pipeline.retrieval.rerank._BLOCK_ENTRIES", 100)
    query, gallery = sides(np.random.default_rng(4), 9, 40, groups=5)
    ours = average_query_expansion(2.5 * query, gallery, k=4, alpha=alpha)
    assert [side.shape for side in ours] == [query.shape, gallery.shape]
    x = np.concatenate((query, gallery)).astype(np.float64)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    for row, mine in enumerate(np.concatenate(ours)):
        cosines = x @ x[row]
        others = sorted((j for j in range(len(x)) if j != row), key=lambda j, c=cosines: -c[j])[:4]
        expected = x[row] + sum(max(0.0, cosines[j]) ** alpha * x[j] for j in others)
        np.testing.assert_allclose(mine, expected / np.linalg.norm(expected), atol=1e-6)


GOOD = np.ones((3, 2))
NAN = np.array([[1.0, 1.0], [np.nan, 1.0], [1.0, np.inf]])


@pytest.mark.parametrize(
    ("query", "gallery", "options", "message"),
    [
        (NAN, GOOD, {}, r"query features has NaN or infinite values in 2 of 3 rows \(rows 1, 2\)"),
        (GOOD, NAN, {}, r"gallery features has NaN or infinite values in 2 of 3"),
        (GOOD, np.ones((3, 5)), {}, r"query features are 2 wide and gallery features 5"),
        (GOOD, GOOD, {"k1": 0}, r"k1 is 0; a whole number of at least 1"),
        (GOOD, GOOD, {"k2": 1.5}, r"k2 is 1\.5"),
        (GOOD, GOOD, {"lambda_value": 1.2}, r"lambda_value is 1\.2; .* \[0, 1\]"),
        (GOOD, GOOD, {"lambda_value": float("nan")}, r"lambda_value is nan"),
    ],
)
def test_bad_input_gets_an_answer(query, gallery, options, message):
    with pytest.raises(UserError, match=message) as raised:
        rerank_k_reciprocal(query, gallery, **options)
    assert isinstance(raised.value, ValueError)


def test_a_block_needs_room():
    with pytest.raises(UserError, match=r"memory_limit is 1000 bytes; at least 1048576"):
        next(reranked_blocks(GOOD, GOOD, memory_limit=1000))


@pytest.mark.parametrize(
    ("query", "options", "message"),
    [
        (np.array([[1.0, 0], [0, 0], [0, 0]]), {}, r"query features are zero in 2 of 3 rows \(rows 1, 2\).*no cosine"),
        (GOOD, {"k": 0}, r"k is 0; a whole number of at least 1"),
        (GOOD, {"alpha": -1}, r"alpha is -1; a finite number of at least 0"),
        (GOOD, {"alpha": float("nan")}, r"alpha is nan"),
        (np.ones((3, 4)), {}, r"query features are 4 wide and gallery features 2"),
    ],
)
def test_bad_input_to_query_expansion_gets_an_answer(query, options, message):
    with pytest.raises(UserError, match=message):
        average_query_expansion(query, GOOD, **options)
