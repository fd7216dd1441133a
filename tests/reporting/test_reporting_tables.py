# ruff: noqa: RUF001
from typing import Any

import numpy as np
import pytest

from reid_pipeline.reporting import comparison_rows, markdown_table, text_table
from reid_pipeline.reporting.records import number
from reid_pipeline.reporting.tables import percent, points

Results = list[dict[str, Any]]


def test_rows_against_hand_computed_numbers(results: Results) -> None:
    before, after, difference = comparison_rows(results)
    assert before.cells == ("27.1", "12.5", "50.0", "75.0", "87.5")
    assert after.cells == ("61.2", "—", "80.0", "75.0", "87.5")
    assert difference.cells == ("+34.1", "—", "+30.0", "0.0", "0.0")
    assert (before.valid_queries, before.gallery) == ("616 of 620", "2,060")
    assert difference.is_difference
    assert difference.label == "difference, points"


def test_difference_is_taken_before_rounding(results: Results) -> None:
    results[0]["mAP"], results[1]["mAP"] = 0.1004, 0.2006
    assert comparison_rows(results)[2].cells[0] == "+10.0"
    results[0]["mAP"], results[1]["mAP"] = 0.1004, 0.1996
    assert comparison_rows(results)[2].cells[0] == "+9.9"


@pytest.mark.parametrize(
    ("value", "text"), [(None, "—"), (0.0, "0.0"), (1.0, "100.0"), (0.00049, "0.0"), (0.4567, "45.7")]
)
def test_percent(value: float | None, text: str) -> None:
    assert percent(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(None, "—"), (-0.0004, "0.0"), (0.2011, "+20.1"), (-0.031, "−3.1"), (0.0, "0.0")]
)
def test_points(value: float | None, text: str) -> None:
    assert points(value) == text


def test_missing_none_and_nan_are_dashes_but_zero_is_zero(results: Results) -> None:
    results[0]["mAP"] = float("nan")
    del results[0]["rank1"], results[0]["num_gallery"]
    results[0]["rank5"] = 0.0
    row, _, difference = comparison_rows(results)
    assert row.cells == ("—", "12.5", "—", "0.0", "87.5")
    assert row.gallery == "—"
    assert difference.cells[0] == "—"


def test_a_third_method_is_compared_with_the_first(results: Results) -> None:
    rows = comparison_rows([*results, {**results[0], "method": "baseline", "mAP": 0.2}])
    assert [row.label for row in rows] == [
        "zero_shot",
        "unsupervised_pcl",
        "baseline",
        "unsupervised_pcl − zero_shot",
        "baseline − zero_shot",
    ]
    assert rows[-1].cells[0] == "−7.1"


def test_other_seeds_are_not_subtracted(results: Results) -> None:
    results[1]["seed"] = 3
    assert [row.label for row in comparison_rows(results)] == [
        "zero_shot, seed 0",
        "unsupervised_pcl, seed 3",
    ]


def test_repeated_galleries_show_their_deviation_and_test_sets_a_row_each(results: Results) -> None:
    for result, score in zip(results, (0.5, 0.75), strict=True):
        small = {**result, "mAP": score, "mAP_std": 0.0123, "num_gallery": 800}
        large = {**result, "mAP": score / 2, "mAP_std": 0.004, "num_gallery": 1600}
        result.update(small, test_set="800", test_sets={"800": small, "1600": large})
    rows = comparison_rows(results)
    assert [(row.label, row.cells[0]) for row in rows] == [
        ("zero_shot, test set 800", "50.0 ± 1.2"),
        ("zero_shot, test set 1600", "25.0 ± 0.4"),
        ("unsupervised_pcl, test set 800", "75.0 ± 1.2"),
        ("unsupervised_pcl, test set 1600", "37.5 ± 0.4"),
        ("unsupervised_pcl, test set 800 − zero_shot, test set 800", "+25.0"),
        ("unsupervised_pcl, test set 1600 − zero_shot, test set 1600", "+12.5"),
    ]
    assert [row.gallery for row in rows[:2]] == ["800", "1,600"]


def test_text_table(results: Results) -> None:
    assert text_table(results).splitlines() == [
        "synthetic, seed 0: % of valid queries, measured in this run",
        "Method                mAP  mINP  Rank-1  Rank-5  Rank-10  Valid queries  Gallery",
        "──────────────────  ─────  ────  ──────  ──────  ───────  ─────────────  ───────",
        "zero_shot            27.1  12.5    50.0    75.0     87.5     616 of 620    2,060",
        "unsupervised_pcl     61.2     —    80.0    75.0     87.5     616 of 620    2,060",
        "──────────────────  ─────  ────  ──────  ──────  ───────  ─────────────  ───────",
        "difference, points  +34.1     —   +30.0     0.0      0.0",
    ]
    assert len(text_table(results[:1]).splitlines()) == 4


def test_markdown_table(results: Results) -> None:
    results[0]["method"] = "a|b"
    lines = markdown_table(results).splitlines()
    assert lines[1] == "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    assert lines[2] == "| a\\|b | 27.1 | 12.5 | 50.0 | 75.0 | 87.5 | 616 of 620 | 2,060 |"


def test_nothing_measured() -> None:
    assert comparison_rows([]) == []
    assert text_table([]) == markdown_table([]) == "(nothing measured)"


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), "0.5", True, np.array([1.0]), [1]])
def test_what_is_no_finite_number(value: object) -> None:
    assert number(value) is None


def test_numpy_numbers_become_python_numbers() -> None:
    assert type(number(np.float32(0.5))) is float
    assert type(number(np.int64(3))) is int
