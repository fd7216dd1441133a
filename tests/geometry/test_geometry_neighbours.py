"""Exact neighbours: against a full float64 sort, by both backends, with ties."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reid_pipeline.geometry import nearest_neighbours
from reid_pipeline.geometry.candidates import faiss_candidates, tile_candidates, torch_candidates
from reid_pipeline.geometry.distances import expansion_tolerance, pair_squared_distances, squared_norms
from reid_pipeline.geometry.neighbours import exact_neighbours, neighbours_and_furthest
from reid_pipeline.schema.errors import UserError


def by_full_sort(queries, features, k, own):
    """Sort every row of the full distance matrix by (not itself, distance, index)."""
    squared = ((queries.astype(np.float64)[:, None] - features.astype(np.float64)[None]) ** 2).sum(-1)
    squared = squared.astype(np.float32)
    distances, indices = [], []
    for row, values in enumerate(squared):
        order = sorted(range(len(features)), key=lambda j: (not (own and j == row), values[j], j))[:k]
        indices.append(order)
        distances.append(values[order])
    return np.array(distances), np.array(indices)


def with_copies(rng, rows, width, dtype=np.float32):
    """Random rows of which many are copies of others, and many lie on a coarse grid so that distances tie."""
    base = np.round(rng.normal(size=(max(1, rows // 3), width)) * 2) / 2
    return base[rng.integers(len(base), size=rows)].astype(dtype)


@pytest.mark.parametrize(
    ("backend", "own"),
    [
        (faiss_candidates, False),
        (torch_candidates, False),
        (faiss_candidates, True),
        (torch_candidates, True),
        (tile_candidates, True),
    ],
)
@pytest.mark.parametrize("copies", [False, True])
def test_equals_a_full_sort(backend, copies, own):
    rng = np.random.default_rng(3)
    make = with_copies if copies else (lambda r, n, d: r.normal(size=(n, d)).astype(np.float32))
    features = make(rng, 230, 5)
    queries = features if own else make(rng, 70, 5)
    distances, indices = exact_neighbours(features, 9, None if own else queries, backend)
    expected_distances, expected_indices = by_full_sort(queries, features, 9, own)
    np.testing.assert_array_equal(indices, expected_indices)
    np.testing.assert_array_equal(distances, expected_distances)
    assert distances.dtype == np.float32
    assert indices.dtype == np.int32


@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_backends_agree_to_the_bit(offset):
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(60, 64))
    features = (centres[rng.integers(60, size=1500)] + 0.1 * rng.normal(size=(1500, 64)) + offset).astype(np.float32)
    features[100:140] = features[7]
    by_tiles = exact_neighbours(features, 30, None, tile_candidates)
    for backend in (faiss_candidates, torch_candidates):
        other = exact_neighbours(features, 30, None, backend)
        np.testing.assert_array_equal(by_tiles[1], other[1])
        np.testing.assert_array_equal(by_tiles[0], other[0])


def test_where_faiss_is_not_installed_the_neighbours_are_the_same(monkeypatch):
    rng = np.random.default_rng(4)
    features, queries = with_copies(rng, 90, 4), with_copies(rng, 30, 4)
    monkeypatch.setitem(sys.modules, "faiss", None)
    found = nearest_neighbours(features, 6, queries=queries)
    for have, want in zip(found, by_full_sort(queries, features, 6, False), strict=True):
        np.testing.assert_array_equal(have, want)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 60), width=st.integers(1, 5), copies=st.booleans())
def test_the_furthest_is_that_of_the_whole_matrix(seed, rows, width, copies):
    rng = np.random.default_rng(seed)
    make = with_copies if copies else (lambda r, n, d: r.normal(size=(n, d)).astype(np.float32))
    features = make(rng, rows, width)
    distances, indices, furthest = neighbours_and_furthest(features, 5)
    whole = ((features.astype(np.float64)[:, None] - features.astype(np.float64)[None]) ** 2).sum(-1)
    np.testing.assert_allclose(furthest, whole.max(axis=1), rtol=1e-14)
    expected = nearest_neighbours(features, 5)
    np.testing.assert_array_equal(distances, expected[0])
    np.testing.assert_array_equal(indices, expected[1])


def test_the_furthest_where_float32_cannot_tell():
    # Norms of 640,000 and distances below 2: the product alone is off by a tenth, so every row is looked up.
    rng = np.random.default_rng(2)
    features = (100 + 0.1 * rng.normal(size=(300, 64))).astype(np.float32)
    whole = ((features.astype(np.float64)[:, None] - features.astype(np.float64)[None]) ** 2).sum(-1)
    np.testing.assert_allclose(neighbours_and_furthest(features, 3)[2], whole.max(axis=1), rtol=1e-14)


def test_a_row_is_first_in_its_own_list_among_many_copies():
    features = np.tile(np.float32([[1, 2, 3]]), (100, 1))
    distances, indices = nearest_neighbours(features, 4)
    np.testing.assert_array_equal(indices[:, 0], np.arange(100))
    np.testing.assert_array_equal(indices[50, 1:], [0, 1, 2])
    assert not distances.any()


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 40), k=st.integers(1, 50), width=st.integers(1, 4))
def test_sorted_and_complete(seed, rows, k, width):
    features = with_copies(np.random.default_rng(seed), rows, width, np.float64)
    distances, indices = nearest_neighbours(features, k)
    expected_distances, expected_indices = by_full_sort(features, features, k, own=True)
    assert distances.shape == (rows, min(k, rows))
    np.testing.assert_array_equal(indices, expected_indices)
    np.testing.assert_array_equal(distances, expected_distances)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), width=st.sampled_from([1, 2, 3, 7, 16, 33, 129]))
def test_a_pair_has_one_distance_wherever_it_stands(seed, width):
    rng = np.random.default_rng(seed)
    left, right = (rng.normal(size=(50, width)).astype(np.float32) for _ in range(2))
    rows, columns = rng.integers(50, size=60), rng.integers(50, size=60)
    together = pair_squared_distances(left, right, rows, columns)
    alone = [pair_squared_distances(left, right, rows[i : i + 1], columns[i : i + 1])[0] for i in range(60)]
    np.testing.assert_array_equal(together, alone)
    mirrored = pair_squared_distances(right, left, columns, rows)
    np.testing.assert_array_equal(together, mirrored)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_tolerance_covers_the_error_of_the_product(dtype, shift):
    rng = np.random.default_rng(1)
    x = (rng.normal(size=(300, 1280)) + shift).astype(dtype)
    norms = squared_norms(x)
    product = norms[:, None] + norms[None] - 2 * (x @ x.T)
    high = x.astype(np.longdouble if dtype == np.float64 else np.float64)
    exact = np.stack([((high - row) ** 2).sum(1) for row in high])
    error = np.abs(product - exact).max(axis=1)
    tolerance = expansion_tolerance(norms, float(norms.max()), width=1280, dtype=dtype)
    assert (error < tolerance / 4).all()


@pytest.mark.parametrize(
    ("features", "k", "queries", "message"),
    [
        (np.ones((3, 2)), 0, None, r"k is 0; a whole number of at least 1"),
        (np.ones((3, 2)), 2.5, None, r"k is 2\.5"),
        (np.ones(3), 1, None, r"features has shape \[3\]; a matrix \[rows, width\]"),
        (np.ones((3, 0)), 1, None, r"shape \[3, 0\]"),
        (np.ones((3, 2)), 1, np.ones((1, 5)), r"queries are 5 wide and features 2"),
        (np.array([[1.0], [np.nan], [np.inf]]), 1, None, r"NaN or infinite values in 2 of 3 rows \(rows 1, 2\)"),
        (np.full((2, 2), 1e-25, np.float32), 1, None, r"squared norms of 0 at most; .* scale the features up"),
        (np.full((2, 2), 1e-100), 1, None, r"squared norms of 2e-200 at most; .* scale the features up"),
        (np.full((2, 2), 1e30, np.float32), 1, None, r"squares overflow in 2 of 2 rows .* scale the features down"),
        (np.array([["a"]]), 1, None, r"dtype <U1; real numbers"),
        (np.full((2, 2), 1e25), 1, None, r"squared norms up to 2e\+50; at most 8e\+37 .* scale the features"),
    ],
)
def test_bad_input_gets_an_answer(features, k, queries, message):
    with pytest.raises(UserError, match=message):
        nearest_neighbours(features, k, queries=queries)


@pytest.mark.slow
@pytest.mark.parametrize("room", ["geometry", "clustering", "retrieval"])
def test_importing_a_room_imports_no_heavy_package(room):
    heavy = {"torch", "faiss", "sklearn", "numba"}
    code = f"import sys, reid_pipeline.{room}\nprint(sorted({heavy} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
