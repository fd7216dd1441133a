"""Intervals over queries and the paired comparison: against loops, and against what must hold."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reid_pipeline.retrieval import bootstrap, evaluate_retrieval, paired_bootstrap
from reid_pipeline.retrieval.bootstrap import bootstrap_intervals
from reid_pipeline.schema.errors import UserError


@pytest.fixture(scope="module")
def result():
    rng = np.random.default_rng(3)
    query, gallery = rng.normal(size=(60, 4)), rng.normal(size=(90, 4))
    return evaluate_retrieval(query, gallery, np.arange(60) % 12, np.arange(90) % 11)


def test_intervals_are_the_quantiles_of_resampled_means(result):
    valid = np.flatnonzero(result.first_match_rank)
    assert len(valid) == 55  # pid 11 is not in the gallery
    rng = np.random.default_rng(5)
    means = []
    for _ in range(300):
        drawn = [valid[rng.integers(55)] for _ in range(55)]
        means.append([result.average_precision[drawn].mean(), (result.first_match_rank[drawn] == 1).mean()])
    found = bootstrap_intervals(result, resamples=4000, seed=1)
    for name, column in (("mAP", 0), ("rank1", 1)):
        expected = np.quantile(np.array(means)[:, column], [0.025, 0.975])
        np.testing.assert_allclose(found[name], expected, atol=0.03)  # 300 draws: the tails are that rough
    assert found["mAP"][0] < result.mean_ap < found["mAP"][1]
    assert found["mINP"][0] < result.mean_inp < found["mINP"][1]


def test_the_memory_step_changes_nothing(result, monkeypatch):
    whole = bootstrap_intervals(result, resamples=50)
    assert whole == bootstrap_intervals(result, resamples=50)
    assert whole != bootstrap_intervals(result, resamples=50, seed=1)
    monkeypatch.setattr(bootstrap, "_SAMPLED_BYTES", 7 * 55 * 8)
    assert bootstrap_intervals(result, resamples=50) == whole


@pytest.mark.parametrize("level", [0.5, 0.95])
def test_intervals_cover_as_often_as_they_say(level):
    # AP drawn from a known mean: of 300 intervals about `level` hold it (3 standard errors, and the
    # percentile interval's known shortfall at 40 queries).
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(300):
        found = paired_bootstrap(np.zeros(40), rng.uniform(0, 1, 40), resamples=400, seed=trial, level=level)
        covered += found.low <= 0.5 <= found.high
    assert covered / 300 == pytest.approx(level, abs=3 * (level * (1 - level) / 300) ** 0.5 + 0.02)


def test_the_paired_comparison_by_hand():
    found = paired_bootstrap([0.5, np.nan, 0.1, 0.2], [0.6, 0.9, 0.2, np.nan], resamples=99)
    assert found.num_queries == 2
    assert (found.difference, found.low, found.high) == pytest.approx((0.1, 0.1, 0.1))
    assert found.p_value == pytest.approx(2 * 1 / 100)  # no resample falls on the other side of 0
    same = paired_bootstrap([0.5, 0.1], [0.5, 0.1])
    assert (same.difference, same.low, same.high, same.p_value) == (0, 0, 0, 1)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**32 - 1))
def test_swapping_the_methods_turns_the_difference_around(seed):
    first, second = np.random.default_rng(seed).uniform(size=(2, 30))
    there, back = paired_bootstrap(first, second), paired_bootstrap(second, first)
    assert (back.difference, back.low, back.high) == pytest.approx(
        (-there.difference, -there.high, -there.low), abs=1e-12
    )
    assert back.p_value == there.p_value


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (([1.0], [1.0, 2.0]), {}, r"first_ap has shape \[1\] and second_ap \[2\]"),
        (([np.nan, 1.0], [0.5, np.nan]), {}, r"None of the 2 queries is valid for both methods"),
        (([1.0], [1.0]), {"resamples": 0}, r"resamples is 0; a whole number of at least 1"),
        (([1.0], [1.0]), {"level": 1.0}, r"level is 1.0; a share above 0 and below 1"),
        (([1.0], [1.0]), {"level": 0.0}, r"level is 0.0; a share above 0 and below 1"),
    ],
)
def test_bad_input_gets_an_answer(arguments, options, message):
    with pytest.raises(UserError, match=message):
        paired_bootstrap(*arguments, **options)
