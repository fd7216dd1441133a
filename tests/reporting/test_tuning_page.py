"""The page of a study, its figures, its CSV and what the terminal says: from records written by hand."""

import csv
import html
from typing import Any

import pytest

from reid_pipeline.reporting.parallel_coordinates import MOST
from reid_pipeline.reporting.tuning_page import (
    history_figure,
    render_tuning_page,
    sensitivity_map,
    study_figures,
    trials_csv,
    tuned_command,
    tuning_text,
)
from reid_pipeline.schema.tuning import Study

RANGE = {"type": "float", "low": 0.1, "high": 1.0, "log": False, "step": None}
SPACE = {
    "clustering.eps": RANGE,
    "clustering.k1": {**RANGE, "type": "int"},
    "rate": {**RANGE, "log": True},
    "fill": {"type": "categorical", "choices": ["mean", "<noise>"], "log": False},
}


def trial(number: int, values: tuple[Any, ...], scores: list[float], state: str = "complete") -> dict[str, Any]:
    return {
        "number": number,
        "state": state,
        "value": scores[-1] if state == "complete" else None,
        "params": dict(zip(SPACE, values, strict=False)),
        "scores": [[epoch, score] for epoch, score in enumerate(scores, 1)],
        "seconds": 12.3,
        "worker": "host 1 2",
        "stopped": None,
    }


TRIALS = [
    trial(0, (0.5, 10, 0.01, "mean"), [0.2, 0.4]),
    trial(1, (0.6, 10, 0.1, "<noise>"), [0.3, 0.6]),
    trial(2, (0.6000000000000001, 10, 1.0, "mean"), [0.3, 0.5]),
    trial(3, (0.5, 20, 0.1, "mean"), [0.1], "pruned"),
    {**trial(4, (0.5, 10, 0.1, "mean"), [], "pruned"), "stopped": "one <b>cluster</b>"},
    trial(5, (), [], "fail"),
]


def record(**changed: Any) -> Study:
    given = {
        "benchmark": "synthetic",
        "method": "toy",
        "name": "main",
        "wanted": 5,
        "space": SPACE,
        "facts": {},
        "start_values": dict(zip(SPACE, (0.5, 10, 0.01, "mean"), strict=True)),
        "trials": TRIALS,
        "best": TRIALS[1],
        "start": TRIALS[0],
        "importances": {"rate": 0.75, "fill": 0.25},
    }
    return Study.model_validate({**given, **changed})


NOTHING = record(trials=TRIALS[4:], best=None, start=None, importances={})


def test_the_history_shows_every_score_and_the_best_so_far() -> None:
    ended, given_up, best = history_figure(record().trials).data
    assert (list(ended.x), list(ended.y)) == ([0, 1, 2], [0.4, 0.6, 0.5])
    assert (list(given_up.x), list(given_up.y)) == ([3], [0.1])
    assert (list(best.x), list(best.y)) == ([0, 1, 2], [0.4, 0.6, 0.6])


def test_the_sensitivity_is_the_mean_of_each_cell() -> None:
    """0.6 comes in two forms, which are one cell: (0.6 + 0.5) / 2; a cell that nobody tried is empty."""
    (cells,) = sensitivity_map(record().trials, "clustering.eps", "clustering.k1").data
    assert (list(cells.x), list(cells.y)) == (["0.5", "0.6"], ["10", "20"])
    assert [list(row) for row in cells.z] == [[0.4, 0.55], [None, None]]
    assert [list(row) for row in cells.text] == [["40.0 (1), 1 given up", "55.0 (2)"], ["1 given up", ""]]


def test_many_values_are_put_into_ranges_of_equal_width() -> None:
    trials = [trial(n, (0.1 * n, 10), [n / 100]) for n in range(13)]
    (cells,) = sensitivity_map(record(trials=trials).trials, "clustering.eps", "clustering.k1").data
    assert list(cells.x) == [
        "0 to 0.2", "0.2 to 0.4", "0.4 to 0.6", "0.6 to 0.8", "0.8 to 1", "1 to 1.2",
    ]  # fmt: skip
    inside = [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9], [10, 11, 12]]
    assert list(cells.z[0]) == pytest.approx([sum(few) / len(few) / 100 for few in inside])


def test_the_other_figures_show_what_is_recorded() -> None:
    figures = study_figures(record())
    assert list(figures) == ["history", "importances", "parallel", "sensitivity"]
    bars = figures["importances"].data[0]
    assert (list(bars.y), list(bars.x)) == (["fill", "rate"], [0.25, 0.75])
    without = {name: kind for name, kind in SPACE.items() if name != "clustering.k1"}
    assert "sensitivity" not in study_figures(record(space=without))
    assert study_figures(NOTHING) == {}


def test_lines_go_through_the_values_of_each_trial_to_its_score() -> None:
    """Each axis from its lowest to its highest value, the rate by its logarithm; the best trial is drawn last."""
    figure = study_figures(record())["parallel"]
    assert list(figure.layout.xaxis.ticktext) == [*SPACE, "dev mAP"]
    lines = {line.name: list(line.y) for line in figure.data}
    assert [*lines] == ["trial 0", "trial 2", "trial 1"], "from the worst to the best, of those trained to the end"
    assert lines["trial 0"] == pytest.approx([0, 0.5, 0, 1, 0])
    assert lines["trial 1"] == pytest.approx([1, 0.5, 0.5, 0, 1])
    assert lines["trial 2"] == pytest.approx([1, 0.5, 1, 1, 0.5])
    assert {line.type for line in figure.data} == {"scatter"}, "without WebGL"
    words = [(mark.x, mark.y, mark.text) for mark in figure.layout.annotations]
    assert [text for x, _, text in words if x == 2] == ["0.01", "1"], "the ends of what was tried"
    assert (3, 0, "&lt;noise&gt;") in words, "plotly would read a tag"
    assert (4, 1, "60.0") in words
    many = [trial(number, (0.5, 10, 0.01, "mean"), [number / 1000]) for number in range(MOST + 1)]
    shown = study_figures(record(trials=many))["parallel"]
    assert "trial 0" not in {line.name for line in shown.data}
    assert len(shown.data) == MOST
    assert shown.layout.title.subtitle.text == f"the best {MOST} of {MOST + 1} trials"


def test_the_csv_has_every_trial() -> None:
    rows = list(csv.DictReader(trials_csv(record()).splitlines()))
    assert [row["number"] for row in rows] == ["0", "1", "2", "3", "4", "5"]
    assert rows[1] == {
        "number": "1", "state": "complete", "dev_mAP": "0.6", "seconds": "12.3", "last_epoch": "2",
        "stopped": "", "clustering.eps": "0.6", "clustering.k1": "10", "rate": "0.1", "fill": "<noise>",
    }  # fmt: skip
    assert (rows[3]["dev_mAP"], rows[3]["last_epoch"]) == ("", "1")
    assert rows[4]["stopped"] == "one <b>cluster</b>"
    assert rows[5]["rate"] == ""


def test_the_page_says_it_and_escapes_it() -> None:
    page = render_tuning_page(record())
    assert page == render_tuning_page(record())
    body = page[page.index("<body") : page.index('<script id="plotly-js"')]
    assert "<b>cluster</b>" not in body
    assert "one &lt;b&gt;cluster&lt;/b&gt;" in body
    assert "<td>0.5</td><td>0.6</td>" in body
    assert '<span class="value">60.0</span> <span class="note">+20.0 points from 40.0' in body
    for name in ("history", "importances", "parallel", "sensitivity"):
        assert f'<figure class="chart" id="{name}">' in body
    assert html.escape(tuned_command(record())) in body
    nothing = render_tuning_page(NOTHING)
    assert "No trial was trained to the end." in nothing
    assert "tuned=" not in nothing


def test_the_terminal_gets_it_in_short() -> None:
    text = tuning_text(record())
    assert "toy on synthetic, study main: 6 trials: 3 trained to the end, 2 given up, 1 failed" in text
    assert "Best dev mAP 60.0 % (trial 1), +20.0 points from 40.0 % as configured (trial 0)." in text
    assert text.endswith("kedro run --env=synthetic --pipeline=toy --params tuned=toy")
    assert max(len(line) for line in text.splitlines()) < 120
    assert "as configured were not trained to the end" in tuning_text(record(start=None))
    assert "No trial was trained to the end; the last one: one <b>cluster</b>" in tuning_text(NOTHING)
    assert tuned_command(record(name="short")).endswith("tuned=toy/short")
