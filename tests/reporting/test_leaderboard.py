"""All benchmarks in one place: what is averaged, what is said to differ, and where a figure came from."""

import csv
import json
from typing import Any

from test_comparison import METHODS, make_run
from test_dataset_page import assert_self_contained
from test_report_page import HOSTILE, Page

from reid_pipeline.reporting.before_after import changes_markdown
from reid_pipeline.reporting.comparison import comparison_csv, comparison_text
from reid_pipeline.reporting.leaderboard import leaderboard_markdown, make_leaderboard, render_leaderboard_page
from reid_pipeline.reporting.page import ROOT
from reid_pipeline.schema.comparison import DifferenceToBest, Leaderboard
from reid_pipeline.schema.records import Run

Record = dict[str, Any]
CARD = {
    "git_commit": "0123456789" * 4,
    "git_dirty": True,
    "device": "cpu",
    "precision": "float32",
    "wall_seconds": 75.0,
    "started": "2024-02-29T12:00:00Z",
}
DIFFERENCES = [DifferenceToBest.model_validate(content) for content in (
    {
        "best": {"method": "pcl", "apart": [], "seeds": [0]},
        "other": {"method": "clip_reid", "apart": [], "seeds": [0, 1]},
        "difference": 0.034, "low": 0.021, "high": 0.049, "p_value": 0.002, "num_queries": 3368, "note": "",
    },
    {
        "best": {"method": "pcl", "apart": [], "seeds": [0]},
        "other": {"method": "baseline", "apart": [], "seeds": [0]},
        "difference": 0.001, "low": -0.004, "high": 0.006, "p_value": 0.7, "num_queries": 3368, "note": "",
    },
    {
        "best": {"method": "pcl", "apart": [], "seeds": [0]},
        "other": {"method": "zero_shot", "apart": [], "seeds": [0]},
        "why_not": "no AP is stored",
    },
)]  # fmt: skip


def make(differences: list[DifferenceToBest] | None = None, **benchmarks: list[Run]) -> Leaderboard:
    return make_leaderboard(
        benchmarks,
        methods=METHODS,
        differences={name: (differences or []) if name == "market1501" else [] for name in benchmarks},
    )


def csv_of(leaderboard: Leaderboard) -> str:
    """As `pipelines.leaderboard` writes it."""
    return comparison_csv(*leaderboard.benchmarks)


def text_of(leaderboard: Leaderboard) -> str:
    """As the summary of a run shows it."""
    return "\n\n".join(map(comparison_text, leaderboard.benchmarks))


def market_runs() -> list[Run]:
    return [
        make_run(0, card=CARD),
        make_run(1, card=CARD),
        *(make_run(0, method=name, card=CARD) for name in ("zero_shot", "baseline", "pcl")),
    ]


def section_of(text: str, heading: str) -> str:
    """Return what stands below a heading of a Markdown text, up to the next one."""
    return text.split(f"{heading}\n", 1)[1].split("\n#", 1)[0]


def test_every_benchmark_and_every_method_that_was_run() -> None:
    drawn = [make_run(seed, benchmark="synthetic", method="svll_reid") for seed in (0, 1)]
    leaderboard = make(market1501=market_runs(), synthetic=drawn)
    assert leaderboard == Leaderboard.model_validate(json.loads(json.dumps(leaderboard.content())))
    rows = list(csv.DictReader(csv_of(leaderboard).splitlines()))
    measured = [(row["benchmark"], row["method"], row["n"]) for row in rows if row["n"] != "0"]
    assert set(measured) == {
        ("market1501", "zero_shot", "1"), ("market1501", "baseline", "1"),
        ("market1501", "clip_reid", "2"), ("market1501", "pcl", "1"), ("synthetic", "svll_reid", "2"),
    }  # fmt: skip
    # What was run nowhere has a row only where somebody published a figure of it.
    assert {row["method"] for row in rows if row["benchmark"] == "synthetic"} == {"svll_reid"}
    assert all(row["published_mark"] for row in rows if row["n"] == "0")
    text = leaderboard_markdown(leaderboard)
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        "## Methods on market1501",
        "## Methods on synthetic",
    ]
    assert "| 89.6 | 95.5 | q | ViT CLIP-ReID |" in text
    assert text_of(leaderboard).count("Methods on ") == 2


def test_runs_that_differ_are_not_averaged_and_it_says_in_what() -> None:
    changes: dict[str, tuple[Record, str]] = {
        "data": ({"card": {**CARD, "data_hash": "fedcba9876543210" * 4}}, "data_hash fedcba98"),
        "recipe": ({"recipe": "corrected"}, "recipe corrected"),
        "protocol": ({"metrics": {"camera_filter": False}}, "protocol.camera_filter false"),
    }
    for change, said in changes.values():
        runs = [make_run(0, benchmark="synthetic"), make_run(1, benchmark="synthetic", **change)]
        rows = list(csv.DictReader(csv_of(make(synthetic=runs)).splitlines()))
        assert [(row["n"], row["seeds"]) for row in rows] == [("1", "0"), ("1", "1")]
        assert rows[1]["apart_by"] == said
        assert said in leaderboard_markdown(make(synthetic=runs))
        assert said in text_of(make(synthetic=runs))


def test_whether_two_methods_differ() -> None:
    leaderboard = make(DIFFERENCES, market1501=market_runs())
    text = leaderboard_markdown(leaderboard)
    lines = [line for line in section_of(text, "### Best less other").splitlines() if "| pcl, seeds 0 |" in line]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells == [
        ["pcl, seeds 0", "clip_reid, seeds 0, 1", "+3.4", "+2.1 to +4.9", "0.002", "3,368", "yes", ""],
        ["pcl, seeds 0", "baseline, seeds 0", "+0.1", "−0.4 to +0.6", "0.700", "3,368", "no", ""],  # noqa: RUF001
        ["pcl, seeds 0", "zero_shot, seeds 0", "", "", "", "", "", "no AP is stored"],
    ]
    assert "paired bootstrap over queries" in text
    rows = {row["method"]: row for row in csv.DictReader(csv_of(leaderboard).splitlines()) if row["n"] != "0"}
    assert rows["clip_reid"]["behind_best_mAP_difference_points"] == "3.4"
    assert rows["baseline"]["behind_best_mAP_low_points"] == "-0.4"
    assert rows["pcl"]["behind_best_mAP_high_points"] == rows["zero_shot"]["behind_best_mAP_low_points"] == ""


def test_rows_whose_interval_holds_0_are_grey() -> None:
    leaderboard = make(DIFFERENCES, market1501=market_runs())
    rows = [line for line in render_leaderboard_page(leaderboard).splitlines() if line.startswith("<tr")]
    (grey,) = [row for row in rows if row.startswith('<tr class="uncertain">')]
    assert "<td>+0.1</td><td>−0.4 to +0.6</td>" in grey  # noqa: RUF001
    assert "where it lies inside the row is grey" in leaderboard_markdown(leaderboard)
    lines = text_of(leaderboard).splitlines()
    assert lines[-3:] == [
        "Best less other, mAP in points and its 95 % interval:",
        "  pcl, seeds 0 less clip_reid, seeds 0, 1: +3.4 (+2.1 to +4.9)",
        "  pcl, seeds 0 less baseline, seeds 0: +0.1 (−0.4 to +0.6), 0 inside: may be chance",  # noqa: RUF001
    ]


def test_few_queries_are_said_with_their_benchmark() -> None:
    few = [make_run(0, benchmark="synthetic", metrics={"num_queries": 29, "num_valid_queries": 19})]
    leaderboard = make(market1501=market_runs(), synthetic=few)
    said = "Only 19 queries of synthetic were scored"
    for text in (text_of, leaderboard_markdown, render_leaderboard_page):
        assert text(leaderboard).count(said) == 1
        assert "queries of market1501" not in text(leaderboard)


def test_each_run_has_its_card() -> None:
    leaderboard = make(market1501=market_runs())
    cards = section_of(leaderboard_markdown(leaderboard), "### Run cards")
    assert (
        "| clip_reid | 1 | 90.0 | 95.0 | released | not recorded | 01234567, with changes | 01234567 | cpu"
        " | float32 | 1 min 15 s | 2024-02-29T12:00:00Z |" in cards
    )
    page = Page(render_leaderboard_page(leaderboard))
    assert page.tags["details"] == 5
    assert "parameters.clip_reid.plan.epochs" in page.texts["th"]


def test_the_page_loads_nothing_and_escapes() -> None:
    run = make_run(method=HOSTILE, benchmark=HOSTILE, card={**CARD, "started": HOSTILE}, note=HOSTILE)
    page = Page(render_leaderboard_page(make_leaderboard({HOSTILE: [run]}, methods=[], differences={HOSTILE: []})))
    assert_self_contained(page)
    assert (page.tags["script"], page.tags["img"]) == (0, 0)


def test_runs_lead_to_their_reports_whatever_they_are_called() -> None:
    run = make_run(1, metrics={"variant": "My #2 50%25"}, card={"variant": "My #2 50%25"})
    page = Page(
        render_leaderboard_page(make_leaderboard({"market1501": [run]}, methods=[], differences={"market1501": []}))
    )
    hrefs = [value for tag, name, value in page.attributes if (tag, name) == ("a", "href")]
    assert hrefs == [f"{ROOT}index.html", f"{ROOT}market1501/clip_reid+My%20%232%2050%2525/report_seed_1.html"]


def test_what_has_changed_between_two_runs() -> None:
    packages = {"packages": {"torch": "2.6", "numpy": "2.1"}}
    earlier = make_run(0, card={**CARD, **packages}, metrics={"mAP": 0.8})
    card = {**CARD, "git_dirty": False, "packages": {"torch": "2.7", "numpy": "2.1"}}
    present = make_run(0, card=card, plan={"epochs": 12})
    text = changes_markdown(earlier, present)
    assert "| clip_reid, earlier | 80.0 |" in text
    assert "Interval not known." in text
    assert "| difference, points | +10.0 |" in text
    facts = [line for line in text.split("What differs:")[1].splitlines() if line.startswith("| ")]
    assert set(facts[3:]) == {
        "| clip_reid.plan.epochs | 60 | 12 |",
        "| git_dirty | True | False |",
        "| packages.torch | 2.6 | 2.7 |",
    }
    assert "Nothing else differs." in changes_markdown(earlier, earlier)
