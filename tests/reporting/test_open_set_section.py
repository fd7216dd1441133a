"""The report's section on known and new: what the table says, and the scores with their thresholds."""

import json

import pytest
from made_records import make_breakdown, make_metrics, make_run_card

from reid_pipeline.reporting.open_set_section import figures_table, open_set_section, score_bars, scores_in_words
from reid_pipeline.reporting.report import ReportContent, render_report
from reid_pipeline.schema.open_set import ScoreHistogram

AT = {
    "DIR": 0.8, "DIR_std": 0.0125, "threshold": 0.75, "DIR_at_threshold": 0.7, "DIR_at_threshold_std": 0.02,
    "false_alarms": 0.09, "false_alarms_std": 0.03, "probe_false_alarms": 0.04,
}  # fmt: skip
FIGURES = {
    "draws": 20, "enrolled": 60, "newcomers": 61, "known_probes": 300, "new_probes": 310, "AUROC": 0.9, "EER": 0.1,
    "at": {"10 %": AT, "1 %": {"DIR": None, "DIR_std": None}, "0.1 %": {"DIR": None}},
}  # fmt: skip
SCORES = {"low": 0.25, "high": 0.75, "known": [1, 3], "new": [8, 2], "thresholds": {"10 %": 0.625}}


def test_a_row_for_each_rate_of_each_result_that_has_figures():
    metrics = [make_metrics("zero_shot"), make_metrics("pcl", open_set=FIGURES)]
    rows = figures_table(metrics).rows
    assert rows == [
        ["pcl", "90.0", "10.0", "10 %", "80.0 ± 1.2", "0.750", "70.0 ± 2.0", "9.0 ± 3.0", "4.0"],
        ["pcl", "", "", "1 %", "—", "—", "—", "—", "—"],
        ["pcl", "", "", "0.1 %", "—", "—", "—", "—", "—"],
    ]


def test_bars_are_shares_of_each_kind_and_lines_the_thresholds():
    figure = score_bars(ScoreHistogram.model_validate(SCORES))
    assert [list(trace.x) for trace in figure.data] == [[0.375, 0.625]] * 2
    assert [list(trace.y) for trace in figure.data] == [[0.25, 0.75], [0.8, 0.2]]
    assert [(line.x0, line.x1) for line in figure.layout.shapes] == [(0.625, 0.625)]
    assert figure.layout.annotations[0].text == "10 % promised"


def test_the_histogram_in_words_by_hand():
    """Two bins from 0.25 to 0.75: of 4 known 1 and 3, of 10 new 8 and 2."""
    assert scores_in_words(ScoreHistogram.model_validate(SCORES)) == (
        "Genuine scores are those of known probes, impostor scores those of new ones. Half lie above about 0.58 of the"
        " genuine ones and 0.41 of the impostor ones. Above 0.625, which promises 10 %, lie about 37.5 % of the genuine"
        " and 10.0 % of the impostor scores."
    )
    bare = ScoreHistogram.model_validate({**SCORES, "new": [0, 0], "thresholds": {}})
    assert scores_in_words(bare).endswith("Half lie above about 0.58 of the genuine ones.")


@pytest.mark.parametrize("scores", [SCORES, None])
def test_the_page_has_the_section_where_there_are_figures(scores):
    breakdown = make_breakdown("pcl", open_set=scores) if scores else None
    content = ReportContent(
        "synthetic", "pcl", 0, [make_metrics("pcl", open_set=FIGURES)], make_run_card("pcl"), breakdown=breakdown
    )
    page = render_report(content)
    assert "<h2 id=\"open-set\">Known, or new?</h2>" in page  # fmt: skip
    assert "In 20 seeded draws 61 of 121 individuals were left out" in page
    assert "60 enrolled individuals are too few to promise a false-alarm rate of 1 % or 0.1 %." in page
    assert ('id="open-set-scores"' in page) == (scores is not None)
    without = render_report(ReportContent("synthetic", "pcl", 0, [make_metrics("pcl")], make_run_card("pcl")))
    assert 'id="open-set"' not in without


def test_nothing_where_this_run_has_no_figures():
    assert open_set_section([make_metrics("zero_shot", open_set=FIGURES), make_metrics("pcl")], None) is None
    found = open_set_section([make_metrics("pcl", open_set=FIGURES)], ScoreHistogram.model_validate(SCORES))
    assert json.dumps(found["charts"])
