# ruff: noqa: RUF001
from typing import Any

import pytest

from reid_pipeline.reporting.before_after import comparison_rows, difference_notes, markdown_table, text_table
from reid_pipeline.reporting.formats import percent, points
from reid_pipeline.schema.figures import Figures
from reid_pipeline.schema.records import Differences, Metrics

Results = list[Metrics]


def changed(result: Metrics, **values: Any) -> Metrics:
    return Metrics.model_validate({**result.content(), **values})


def test_rows_against_hand_computed_numbers(results: Results) -> None:
    before, after, difference = comparison_rows(results)
    assert before.cells == ("27.1", "12.5", "50.0", "75.0", "87.5")
    assert after.cells == ("61.2", "—", "80.0", "75.0", "87.5")
    assert difference.cells == ("+34.1", "—", "+30.0", "0.0", "0.0")
    assert (before.valid_queries, before.gallery) == ("616 of 620", "2,060")
    assert difference.is_difference
    assert difference.label == "difference, points"


def test_difference_is_taken_before_rounding(results: Results) -> None:
    for after, shown in ((0.2006, "+10.0"), (0.1996, "+9.9")):
        pair = [changed(results[0], mAP=0.1004), changed(results[1], mAP=after)]
        assert comparison_rows(pair)[2].cells[0] == shown


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


def test_what_was_not_measured_is_a_dash_but_zero_is_zero(results: Results) -> None:
    first = changed(results[0], mAP=None, rank1=None, rank5=0.0, not_evaluated="no query")
    row, _, difference = comparison_rows([first, results[1]])
    assert row.cells == ("—", "12.5", "—", "0.0", "87.5")
    assert difference.cells[0] == "—"


def test_a_third_method_is_compared_with_the_first(results: Results) -> None:
    rows = comparison_rows([*results, changed(results[0], method="baseline", mAP=0.2)])
    assert [row.label for row in rows] == [
        "zero_shot",
        "unsupervised_pcl",
        "baseline",
        "unsupervised_pcl − zero_shot",
        "baseline − zero_shot",
    ]
    assert rows[-1].cells[0] == "−7.1"


def test_other_seeds_are_not_subtracted(results: Results) -> None:
    other = changed(results[1], seed=3)
    assert [row.label for row in comparison_rows([results[0], other])] == [
        "zero_shot, seed 0",
        "unsupervised_pcl, seed 3",
    ]


def test_repeated_galleries_show_their_deviation_and_test_sets_a_row_each(results: Results) -> None:
    several = []
    for result, score in zip(results, (0.5, 0.75), strict=True):
        figures = {name: getattr(result, name) for name in Figures.model_fields}
        small = {**figures, "mAP": score, "mAP_std": 0.0123, "num_gallery": 800}
        large = {**figures, "mAP": score / 2, "mAP_std": 0.004, "num_gallery": 1600}
        sets = {"test_set": "800", "test_sets": {"800": small, "1600": large}}
        several.append(changed(result, **small, **sets))
    rows = comparison_rows(several)
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
        "Interval not known.",
    ]
    assert len(text_table(results[:1]).splitlines()) == 4


def test_markdown_table(results: Results) -> None:
    lines = markdown_table([changed(results[0], method="a|b"), results[1]]).splitlines()
    assert lines[1] == "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    assert lines[2] == "| a\\|b | 27.1 | 12.5 | 50.0 | 75.0 | 87.5 | 616 of 620 | 2,060 |"


def test_nothing_measured() -> None:
    assert comparison_rows([]) == []
    assert text_table([]) == markdown_table([]) == "(nothing measured)"


HEAD = {"benchmark": "synthetic", "method": "unsupervised_pcl", "seed": 0}
OTHER = "synthetic/zero_shot/seed_0"


def differences(**others: Any) -> Differences:
    """mAP is clear, Rank-1 is not, Rank-5 touches 0, and of the others no interval is known."""
    figures = {
        "mAP": {"difference": 0.3411, "low": 0.1, "high": 0.45, "p_value": 0.002},
        "rank1": {"difference": 0.3, "low": -0.008, "high": 0.64, "p_value": 0.08},
        "rank5": {"difference": 0.0, "low": 0.0, "high": 0.0, "p_value": 1.0},
    }
    content = {**HEAD, "other": OTHER, "num_queries": 616, "figures": figures, **others}
    return Differences.model_validate(content)


def test_the_interval_stands_beside_the_difference(results: Results) -> None:
    difference = comparison_rows(results, [differences()])[2]
    assert difference.label == "difference, points"
    assert difference.cells == ("+34.1 (+10.0 to +45.0)", "—", "+30.0 (−0.8 to +64.0)", "0.0 (0.0 to 0.0)", "0.0")
    assert difference.uncertain == (False, False, True, True, False)
    notes = [
        "0 lies inside the interval of Rank-1, Rank-5: these differences may be chance.",
        "No interval is known of Rank-10.",
    ]
    assert difference_notes(results, [differences()]) == notes
    assert text_table(results, [differences()]).splitlines()[-7:] == [
        "difference, points (95 % interval over the same queries)",
        "  mAP      +34.1 (+10.0 to +45.0)",
        "  Rank-1   +30.0 (−0.8 to +64.0)",
        "  Rank-5     0.0 (0.0 to 0.0)",
        "  Rank-10    0.0 (interval not known)",
        *notes,
    ]
    table = markdown_table(results, [differences()])
    assert "| +34.1 (+10.0 to +45.0) | — | +30.0 (−0.8 to +64.0) |" in table
    assert table.endswith(f"\n\n{' '.join(notes)}")


@pytest.mark.parametrize(
    "others",
    [
        {"seed": 1},
        {"method": "pcl"},
        {"variant": "small"},
        {"test_set": "800"},
        {"other": "synthetic/zero_shot+small/seed_0"},
    ],
)
def test_intervals_of_other_runs_are_not_shown(results: Results, others: dict[str, Any]) -> None:
    rows = comparison_rows(results, [differences(**others)])
    assert rows[2].label == "difference, points"
    assert "Interval not known." in difference_notes(results, [differences(**others)])
    assert rows[2].cells == comparison_rows(results)[2].cells


def test_why_there_is_no_interval_is_said(results: Results) -> None:
    none = differences(figures={}, num_queries=0, why_not="the queries are not the same: splits")
    assert difference_notes(results, [none]) == ["Interval not known: the queries are not the same: splits."]
    noted = differences(note="of the first of 10 galleries")
    assert "Intervals are of the first of 10 galleries." in text_table(results, [noted])


@pytest.mark.parametrize(
    ("valid", "said"),
    [
        (50, []),
        (49, ["Only 49 queries were scored: one query more or less moves Rank-1 by 2.0 points, and"]),
        (19, ["Only 19 queries were scored: one query more or less moves Rank-1 by 5.3 points, and"]),
        (1, ["Only 1 query was scored: one query more or less moves Rank-1 by 100.0 points, and"]),
        (0, []),
    ],
)
def test_few_queries_are_said(results: Results, valid: int, said: list[str]) -> None:
    few = [changed(result, num_valid_queries=valid) for result in results]
    found = difference_notes(few)
    assert [sentence.partition(" intervals over so few")[0] for sentence in found[1:]] == said
    assert all(sentence in text_table(few) for sentence in found)
    assert all(sentence in markdown_table(few[:1]) for sentence in found[1:])


def test_a_variant_has_a_name_of_its_own(results: Results) -> None:
    small = changed(results[1], variant="small")
    rows = comparison_rows([*results, small], [differences(), differences(variant="small")])
    assert [row.label for row in rows][2:] == [
        "unsupervised_pcl+small",
        "unsupervised_pcl − zero_shot",
        "unsupervised_pcl+small − zero_shot",
    ]
    assert difference_notes([*results, small], [differences()])[0].startswith("unsupervised_pcl − zero_shot: 0 lies")
