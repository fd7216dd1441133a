"""The matrix of embedders and test splits: variants apart, and why a cell is empty."""

import csv
from typing import Any

from test_dataset_page import assert_self_contained
from test_report_page import HOSTILE, Page

from reid_pipeline.reporting.cross_benchmark import cross_csv, cross_markdown, render_cross_page
from reid_pipeline.schema.comparison import CrossBenchmark

FIGURES = {"mAP": 0.5, "mINP": 0.25, "rank1": 0.75, "rank5": 0.8, "rank10": 0.9, "num_queries": 29}


def crossed(*results: dict[str, Any]) -> CrossBenchmark:
    head = {"trained_on": "a", "method": "pcl", "seed": 0}
    return CrossBenchmark.model_validate(
        {"benchmarks": ["a", "b"], "results": [{**head, **result} for result in results]}
    )


def test_a_row_for_each_embedder_and_its_own_benchmark_marked() -> None:
    matrix = crossed(
        {"tested_on": "a", **FIGURES},
        {"tested_on": "b", **FIGURES, "mAP": 0.4},
        {"tested_on": "a", **FIGURES, "mAP": 0.3, "variant": "small"},
    )
    text = cross_markdown(matrix)
    assert "| a | pcl | 0 | 50.0 / 75.0 * | 40.0 / 75.0 |" in text
    assert "| a | pcl+small | 0 | 30.0 / 75.0 * | — |" in text
    assert "Protocol: splits test, camera_filter None, flip_averaging False" in text
    rows = list(csv.DictReader(cross_csv(matrix).splitlines()))
    assert [(row["variant"], row["tested_on"], row["mAP"]) for row in rows] == [
        ("", "a", "0.5"),
        ("", "b", "0.4"),
        ("small", "a", "0.3"),
    ]


def test_why_there_are_no_figures_is_said() -> None:
    matrix = crossed({"tested_on": "a", "why_not": "cameras are unknown: | <b>"}, {"tested_on": "b", **FIGURES})
    said = "pcl of a, seed 0, on a: cameras are unknown: | <b>"
    assert f"- {said}\n" in cross_markdown(matrix)
    page = Page(render_cross_page(matrix))
    assert said in page.texts["p"]
    assert page.texts["td"][-2:] == ["—", "50.0 / 75.0"]
    assert next(csv.DictReader(cross_csv(matrix).splitlines()))["why_not"].startswith("cameras are unknown")
    nothing = crossed({"tested_on": "a", "why_not": "no"})
    assert "Protocol" not in cross_markdown(nothing)


def test_the_page_loads_nothing_and_escapes() -> None:
    matrix = crossed({"tested_on": "a", **FIGURES, "method": HOSTILE})
    page = Page(render_cross_page(matrix))
    assert_self_contained(page)
    assert page.tags["script"] == 0
