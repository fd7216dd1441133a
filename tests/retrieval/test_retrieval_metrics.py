"""mAP, mINP and CMC: worked by hand, against a full sort in float64, and their properties."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reid_pipeline.retrieval import evaluate_distances, evaluate_retrieval, ranked_lists, ranks
from reid_pipeline.schema.errors import UserError


def by_full_sort(queries, gallery, query_pids, gallery_pids, query_camids=None, gallery_camids=None):
    """AP, INP and the first rank of every query, from a sorted list of Python tuples in float64."""
    answers = []
    for q, pid in enumerate(query_pids):
        ranking = []
        for g, other in enumerate(gallery_pids):
            own_camera = query_camids is not None and query_camids[q] == gallery_camids[g]
            if other != -1 and not (other == pid and own_camera):
                difference = gallery[g].astype(np.float64) - queries[q].astype(np.float64)
                ranking.append((float((difference * difference).sum()), g, other == pid))
        found = [place + 1 for place, (_, _, match) in enumerate(sorted(ranking)) if match]
        if found:
            precision = [(i + 1) / rank for i, rank in enumerate(found)]
            answers.append((sum(precision) / len(precision), len(found) / found[-1], found[0]))
        else:
            answers.append((np.nan, np.nan, 0))
    return (np.array(column) for column in zip(*answers, strict=True))


def check_against_full_sort(arguments, **options):
    check_figures(evaluate_retrieval(*arguments, **options), arguments)


def check_figures(result, arguments):
    precision, penalty, first = by_full_sort(*arguments)
    valid = first > 0
    np.testing.assert_allclose(result.average_precision, precision, rtol=0, atol=1e-12)
    np.testing.assert_allclose(result.inverse_negative_penalty, penalty, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(result.first_match_rank, first)
    assert result.mean_ap == pytest.approx(precision[valid].mean(), abs=1e-12)
    assert result.mean_inp == pytest.approx(penalty[valid].mean(), abs=1e-12)
    expected = [(first[valid] <= rank).mean() for rank in range(1, len(result.cmc) + 1)]
    np.testing.assert_allclose(result.cmc, expected, atol=1e-12)
    assert result.num_valid_queries == valid.sum()


def random_case(seed, *, width=8, dtype=np.float32, queries=25, gallery=120, cameras=True):
    """Clustered features with many exact copies across the gallery, junk and distractors."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(12, width))
    query_pids, gallery_pids = rng.integers(1, 12, size=queries), rng.integers(-1, 12, size=gallery)
    query_features = (centres[query_pids] + rng.normal(size=(queries, width))).astype(dtype)
    gallery_features = (centres[gallery_pids] + rng.normal(size=(gallery, width))).astype(dtype)
    copies = rng.integers(gallery, size=(2, gallery // 2))
    gallery_features[copies[0]] = gallery_features[copies[1]]
    sides = (query_features, gallery_features, query_pids, gallery_pids)
    return (*sides, rng.integers(4, size=queries), rng.integers(4, size=gallery)) if cameras else sides


def test_worked_by_hand():
    # Query 0 at 0 (pid 1, camera 0). Gallery by distance, removed rows in brackets:
    #   1: pid 2 | [2: pid 1, camera 0, own camera] | 3: pid 1 | [4: junk] | 5: pid 0 | 6: pid 1
    # Ranks of the positives 2 and 4: AP = (1/2 + 2/4) / 2 = 0.5, INP = 2/4, first match at rank 2.
    # Query 1 at 6 (pid 2, camera 0): distances 5 (pid 2), 4, 3, (2 junk), 1, 0: rank 5. AP = INP = 1/5.
    # Query 2 has a pid that is not there; query 3 (pid 3) only a match in its own camera: neither counts.
    result = evaluate_retrieval(
        np.array([[0.0], [6.0], [1.0], [1.0]]),
        np.array([[1.0], [2.0], [3.0], [4.0], [5.0], [6.0], [100.0]]),
        [1, 2, 9, 3],
        [2, 1, 1, -1, 0, 1, 3],
        [0, 0, 0, 5],
        [1, 0, 1, 1, 1, 2, 5],
        max_rank=8,
    )
    np.testing.assert_allclose(result.average_precision, [0.5, 0.2, np.nan, np.nan])
    np.testing.assert_allclose(result.inverse_negative_penalty, [0.5, 0.2, np.nan, np.nan])
    np.testing.assert_allclose(result.cmc, [0, 0.5, 0.5, 0.5, 1, 1, 1, 1])
    assert result.cmc.dtype == np.float64
    assert result.metrics() == {
        "mAP": pytest.approx(0.35),
        "mINP": pytest.approx(0.35),
        "rank1": 0.0,
        "rank5": 1.0,
        "rank10": 1.0,
        "num_queries": 4,
        "num_valid_queries": 2,
        "num_gallery": 6,
    }


def test_ties_are_ordered_by_gallery_row():
    # All three gallery rows are 1 away; the match is the second: rank 2.
    result = evaluate_retrieval(np.zeros((1, 2)), np.array([[0.0, 1], [1, 0], [-1, 0]]), [7], [1, 7, 2])
    assert result.average_precision[0] == 0.5
    assert result.rank(1) == 0
    assert result.rank(2) == 1


def test_copies_tie_exactly_in_float32_wherever_they_lie():
    # The rows that match and those that do not are copies of the same 40 points, scattered over many
    # blocks: the true rank follows from the index alone, and any rounding difference moves it.
    rng = np.random.default_rng(0)
    points = rng.normal(size=(40, 200)).astype(np.float32)
    gallery = points[rng.integers(40, size=900)]
    queries = rng.normal(size=(12, 200)).astype(np.float32)
    arguments = (queries, gallery, rng.integers(3, size=12), rng.integers(3, size=900))
    check_against_full_sort(arguments)
    check_against_full_sort(arguments, memory_limit=1 << 20)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize("cameras", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_equals_a_full_sort(dtype, cameras, seed):
    check_against_full_sort(random_case(seed, dtype=dtype, cameras=cameras))


def test_near_ties_far_from_the_origin():
    query, gallery, *ids = random_case(5)
    check_against_full_sort((query + np.float32(300), gallery + np.float32(300), *ids))


@pytest.mark.parametrize("shape", [(1, 7), (3, 50), (4, 1), (64, 1000)])
def test_the_blocks_change_nothing(monkeypatch, shape):
    arguments = random_case(2)
    whole = evaluate_retrieval(*arguments)
    monkeypatch.setattr(ranks, "_block_shape", lambda *_: shape)
    parts = evaluate_retrieval(*arguments)
    np.testing.assert_array_equal(whole.average_precision, parts.average_precision)
    np.testing.assert_array_equal(whole.cmc, parts.cmc)


# Another name of the CPU: the way by torch, which a CUDA device takes.
BY_TORCH = {"device": "cpu:0"}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("cameras", [True, False])
def test_by_torch_equals_a_full_sort(dtype, cameras):
    check_against_full_sort(random_case(3, dtype=dtype, cameras=cameras), **BY_TORCH)


def test_by_torch_copies_tie_exactly_in_every_block(monkeypatch):
    arguments = random_case(4, width=200, queries=40, gallery=300)
    whole = evaluate_retrieval(*arguments)
    monkeypatch.setattr(ranks, "_DEVICE_ENTRY_BYTES", (1 << 20) // (40 * 7))  # 7 gallery rows at once
    parts = evaluate_retrieval(*arguments, **BY_TORCH, memory_limit=1 << 20)
    np.testing.assert_array_equal(whole.average_precision, parts.average_precision)
    np.testing.assert_array_equal(whole.first_match_rank, parts.first_match_rank)


@pytest.mark.parametrize("width", [2, 64])
def test_many_positives_among_many_copies(width):
    # Half of the gallery matches, and rows lie on few points: nearly every entry is settled exactly.
    rng = np.random.default_rng(width)
    points = rng.integers(-1, 2, size=(9, width)).astype(np.float32)
    gallery, queries = points[rng.integers(9, size=400)], points[rng.integers(9, size=30)]
    check_against_full_sort((queries, gallery, rng.integers(2, size=30), rng.integers(2, size=400)))


def test_few_positives_in_one_group(monkeypatch):
    arguments = random_case(6)
    monkeypatch.setattr(ranks, "_POSITIVE_BYTES", 1 << 27)  # room for none: queries go one by one
    check_against_full_sort(arguments)


class TestGivenDistances:
    def distances(self, arguments):
        query, gallery = (side.astype(np.float64) for side in arguments[:2])
        return ((query[:, None] - gallery[None]) ** 2).sum(-1)

    @pytest.mark.parametrize("cameras", [True, False])
    @pytest.mark.parametrize("rows", [1, 4, 25])
    def test_equal_a_full_sort(self, cameras, rows):
        arguments = random_case(8, cameras=cameras)
        distances = self.distances(arguments)
        kept = distances.copy()
        blocks = ((start, distances[start : start + rows]) for start in range(0, 25, rows))
        check_figures(evaluate_distances(blocks, *arguments[2:]), arguments)
        np.testing.assert_array_equal(distances, kept)

    def test_ties_are_ordered_by_gallery_row(self):
        # Float32 zeros everywhere: the order is that of the rows, and the matches stand at 2 and 4.
        result = evaluate_distances([(0, np.zeros((1, 4), np.float32))], [7], [1, 7, 2, 7])
        assert result.average_precision[0] == 0.5
        assert result.inverse_negative_penalty[0] == 0.5

    @settings(deadline=None, max_examples=25)
    @given(seed=st.integers(0, 2**32 - 1))
    def test_an_increasing_transform_changes_nothing(self, seed):
        arguments = random_case(seed, cameras=False)
        ids = arguments[2], np.arange(120) % 12
        distances = self.distances(arguments)
        result = evaluate_distances([(0, distances)], *ids)
        for transform in (np.sqrt, np.log1p, lambda values: values**3 - 5):
            other = evaluate_distances([(0, transform(distances))], *ids)
            np.testing.assert_array_equal(other.average_precision, result.average_precision)
            np.testing.assert_array_equal(other.first_match_rank, result.first_match_rank)

    @pytest.mark.parametrize(
        ("blocks", "message"),
        [
            ([(0, np.zeros((1, 2)))], r"end at query 1 of 2; each must be there once"),
            ([(1, np.zeros((1, 2)))], r"starts at query 1 and has shape \[1, 2\]; the next must start at 0"),
            ([(0, np.zeros((2, 3)))], r"shape \[2, 3\].*up to 2 rows of 2 gallery distances"),
            ([(0, np.zeros((3, 2)))], r"shape \[3, 2\]"),
            ([(0, np.array([[0, 1], [np.nan, 1]]))], r"NaN or infinite values in 1 of 2 rows \(rows 1\)"),
            ([(0, np.zeros((2, 2), bool))], r"distances have dtype bool; real numbers are needed"),
        ],
    )
    def test_bad_blocks_get_an_answer(self, blocks, message):
        with pytest.raises(UserError, match=message):
            evaluate_distances(blocks, [1, 1], [1, 2])


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 2**32 - 1))
def test_inp_is_the_precision_at_the_last_match(seed):
    arguments = random_case(seed, queries=8, gallery=60)
    result = evaluate_retrieval(*arguments)
    for row, listed in enumerate(ranked_lists(*arguments, query_rows=np.arange(8), top=60).matches):
        if listed.any():
            last = np.flatnonzero(listed)[-1] + 1
            assert result.inverse_negative_penalty[row] == pytest.approx(listed[:last].mean())


@pytest.mark.parametrize("limit", [1 << 20, 1 << 24, 1 << 28, 1 << 34])
@pytest.mark.parametrize("rows", [1, 1000, 82161, 10**7])
@pytest.mark.parametrize("itemsize", [4, 8])
@pytest.mark.parametrize("cores", [1, 2, 64])
def test_a_block_keeps_within_the_limit(limit, rows, itemsize, cores):
    height, width = ranks._block_shape(rows, itemsize, limit, cores)
    assert height >= 1
    assert 1 <= width <= rows
    assert height * width * itemsize <= limit / 2


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), queries=st.integers(1, 12), gallery=st.integers(20, 60))
def test_properties(seed, queries, gallery):
    arguments = random_case(seed, queries=queries, gallery=gallery, cameras=False, dtype=np.float64)
    query_features, gallery_features, query_pids, gallery_pids = arguments
    gallery_features = np.random.default_rng(seed).normal(size=gallery_features.shape)  # distinct distances
    gallery_pids = np.where(np.arange(gallery) < 12, np.arange(gallery), gallery_pids)  # every query is valid
    result = evaluate_retrieval(query_features, gallery_features, query_pids, gallery_pids)
    assert (np.diff(result.cmc) >= 0).all()
    assert result.cmc[-1] <= 1
    assert (result.average_precision <= 1).all()
    assert (result.inverse_negative_penalty <= 1).all()
    order = np.random.default_rng(seed).permutation(gallery)
    for other in (
        evaluate_retrieval(query_features, gallery_features[order], query_pids, gallery_pids[order]),
        evaluate_retrieval(query_features * 3, gallery_features * 3, query_pids, gallery_pids),
        evaluate_retrieval(
            query_features, gallery_features, query_pids * 7 + 5, np.where(gallery_pids < 0, -1, gallery_pids * 7 + 5)
        ),
    ):
        np.testing.assert_allclose(other.average_precision, result.average_precision, atol=1e-12)
        np.testing.assert_array_equal(other.cmc, result.cmc)


def test_a_short_gallery_repeats_the_last_value():
    result = evaluate_retrieval(np.zeros((1, 1)), np.array([[2.0], [1.0]]), [1], [1, 2], max_rank=6)
    np.testing.assert_array_equal(result.cmc, [0, 1, 1, 1, 1, 1])


def test_rank_10_does_not_depend_on_max_rank():
    result = evaluate_retrieval(np.zeros((1, 1)), np.arange(9.0)[:, None], [1], [0] * 6 + [1] * 3, max_rank=1)
    assert result.metrics()["rank10"] == 1.0
    assert result.cmc.tolist() == [0.0]


def test_a_first_match_at_max_rank_counts():
    # Matches at rank 1 and at rank 3, the last that the CMC holds.
    gallery = np.array([[1.0], [2.0], [3.0]])
    result = evaluate_retrieval(np.array([[0.0], [0.0]]), gallery, [1, 2], [1, 0, 2], max_rank=3)
    np.testing.assert_array_equal(result.cmc, [0.5, 0.5, 1])


def test_a_junk_query_is_not_valid():
    result = evaluate_retrieval(np.zeros((2, 1)), np.ones((2, 1)), [-1, 1], [-1, 1])
    assert np.isnan(result.average_precision[0])
    assert (result.num_valid_queries, result.num_gallery) == (1, 1)


def test_only_pid_minus_1_is_junk():
    # Nearest first: junk, pid -2 (unlabelled), the match. Junk has no rank.
    result = evaluate_retrieval(np.zeros((1, 1)), np.array([[1.0], [2.0], [3.0]]), [5], [-1, -2, 5])
    assert (result.first_match_rank.tolist(), result.num_gallery) == ([2], 2)


ONES = np.ones((2, 3), np.float32)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((ONES, np.ones((2, 4)), [1, 2], [1, 2]), {}, r"query features are 3 wide and gallery features 4"),
        ((ONES, ONES, [1, 2, 3], [1, 2]), {}, r"query_pids have shape \[3\] for 2 rows"),
        ((ONES, ONES, [1.5, 2], [1, 2]), {}, r"query_pids have dtype float64; whole numbers"),
        ((ONES, ONES * np.nan, [1, 2], [1, 2]), {}, r"gallery features has NaN .* 2 of 2 rows \(rows 0, 1\)"),
        ((ONES, ONES, [1, 2], [1, 2], [0, 0], None), {}, r"query_camids were given and gallery_camids were not"),
        ((ONES, ONES, [1, 2], [1, 2], None, [0, 0]), {}, r"gallery_camids were given and query_camids were not"),
        ((ONES, ONES[:0], [1, 2], []), {}, r"gallery features has shape \[0, 3\]"),
        ((ONES, ONES.astype(str), [1, 2], [1, 2]), {}, r"gallery features has dtype"),
        ((ONES * np.inf, ONES, [1, 2], [1, 2]), {}, r"query features has NaN or infinite .* 2 of 2 rows"),
        ((ONES, ONES, [1, 2], [1, 2], [0], [0, 0]), {}, r"query_camids have shape \[1\] for 2 rows"),
        ((ONES, ONES, [-1, -1], [1, 2]), {}, r"None of the 2 queries .*: .* 2 are junk"),
        ((ONES, ONES, [1, 2], [1, 2]), {"max_rank": True}, r"max_rank is True"),
        ((ONES, ONES, [1, 2], [-1, -1]), {}, r"all 2 gallery rows have pid -1"),
        ((ONES, ONES, [1, 2], [1, 2]), {"max_rank": 0}, r"max_rank is 0"),
        ((ONES, ONES, [1, 2], [1, 2]), {"memory_limit": 10}, r"memory_limit is 10 bytes; at least 1048576"),
        (
            (ONES, ONES, [1, 9], [1, 2], [0, 0], [0, 0]),
            {},
            r"None of the 2 queries .*: 1 have a pid that the gallery does not hold, 1 match in their own",
        ),
    ],
)
def test_bad_input_gets_an_answer(arguments, options, message):
    with pytest.raises(UserError, match=message):
        evaluate_retrieval(*arguments, **options)


def test_ranked_lists_show_what_is_scored():
    arguments = random_case(9)
    listed = ranked_lists(*arguments, query_rows=[3, 0], top=200)
    result = evaluate_retrieval(*arguments)
    np.testing.assert_array_equal(listed.query_rows, [3, 0])
    for place, row in enumerate(listed.query_rows):
        present = listed.gallery_rows[place] >= 0
        assert (np.diff(listed.distances[place][present]) >= 0).all()
        assert np.isinf(listed.distances[place][~present]).all()
        places = np.flatnonzero(listed.matches[place]) + 1
        assert np.mean(np.arange(1, len(places) + 1) / places) == pytest.approx(result.average_precision[row])
        shown = listed.gallery_rows[place][present]
        assert not ((arguments[3][shown] == arguments[2][row]) & (arguments[5][shown] == arguments[4][row])).any()
        assert (arguments[3][shown] != -1).all()


def test_ranked_lists_by_hand_and_their_errors():
    sides = (np.zeros((2, 1)), np.array([[4.0], [3.0], [3.0]]), [1, 2], [1, 2, 1])
    listed = ranked_lists(*sides, query_rows=[0], top=2)
    assert listed.gallery_rows.tolist() == [[1, 2]]
    assert listed.distances.tolist() == [[3, 3]]
    assert listed.matches.tolist() == [[False, True]]
    with pytest.raises(UserError, match=r"query_rows hold 5 and top is 2; rows from 0 to 1"):
        ranked_lists(*sides, query_rows=[0, 5], top=2)
    with pytest.raises(UserError, match=r"query_rows hold 2 and top is 2"):
        ranked_lists(*sides, query_rows=[2], top=2)
    with pytest.raises(UserError, match=r"hold nothing wrong and top is 0; .* a top of at least 1"):
        ranked_lists(*sides, query_rows=[0], top=0)
