"""Files that the first version of this project wrote are read; what they did not note is unknown."""

import json
import shutil
from pathlib import Path

import pytest

from reid_pipeline.evaluation.paired_differences import difference_to_zero_shot, differences_to_best
from reid_pipeline.io.records import RecordDataset
from reid_pipeline.io.results import RunResultsDataset
from reid_pipeline.reporting.before_after import text_table
from reid_pipeline.reporting.comparison import compare_methods, comparison_markdown
from reid_pipeline.reporting.dataset_page import dataset_text
from reid_pipeline.reporting.report import ReportContent, render_report
from reid_pipeline.schema.records import Run

STORED = Path(__file__).parents[1] / "first_version/synthetic"
METHOD = "unsupervised_pcl"


def stored(record: str, *path: str, many: bool = False) -> RecordDataset:
    return RecordDataset(filepath=str(STORED.joinpath(*path)), record=record, many=many)


@pytest.fixture(scope="module")
def runs() -> dict[str, Run]:
    return {run.method: run for run in RunResultsDataset(filepath=str(STORED)).load()}


def test_runs_hold_what_the_files_hold(runs: dict[str, Run]) -> None:
    assert list(runs) == [METHOD, "zero_shot"]
    for method, run in runs.items():
        for name in ("metrics", "run_card", "breakdown"):
            content = json.loads((STORED / method / f"seed_0/{name}.json").read_text())
            assert getattr(run, name).content() == {"version": 1, **content}
        assert (run.variant, run.metrics.label_use, run.run_card.label_use) == ("", None, None)
        assert (run.metrics.origin, run.run_card.weights, run.run_card.zero_shot) == (None, None, None)


def test_history_and_summary_and_comparison(runs: dict[str, Run]) -> None:
    history = stored("EpochRecord", METHOD, "seed_0", "history.json", many=True).load()
    assert [record.epoch for record in history] == [1, 2]
    assert history[0].cluster_sizes.histogram[2].clusters == 31
    assert stored("EpochRecord", "zero_shot", "seed_0", "history.json", many=True).load() == []
    summary = stored("DatasetSummary", "dataset", "summary.json").load()
    assert summary.record_version == 1
    assert "263 images, 20 identities, 6 cameras" in dataset_text(summary)
    comparison = stored("Comparison", "comparison", "comparison.json").load()
    assert comparison.version == 1
    assert [row.method for row in comparison.rows] == ["zero_shot", "pcl", METHOD]


def test_they_are_compared_and_reported(runs: dict[str, Run]) -> None:
    comparison = compare_methods(
        list(runs.values()),
        benchmark="synthetic",
        methods=["zero_shot", METHOD],
        differences=differences_to_best(list(runs.values())),
    )
    text = comparison_markdown(comparison)
    assert "not recorded" in text
    assert "Only 29 queries of synthetic were scored" in text
    own, zero_shot = runs[METHOD], runs["zero_shot"]
    assert own.breakdown is not None
    assert zero_shot.breakdown is not None
    found = difference_to_zero_shot(
        own.metrics, own.breakdown, zero_shot.metrics, zero_shot.breakdown, other="synthetic/zero_shot/seed_0"
    )
    (difference,) = comparison.differences
    assert list(found.figures) == ["mAP"]
    assert found.figures["mAP"].difference == pytest.approx(-difference.difference)
    assert found.figures["mAP"].low == pytest.approx(-difference.high)
    metrics = [zero_shot.metrics, own.metrics]
    printed = text_table(metrics, [found])
    assert "No interval is known of mINP, Rank-1, Rank-5, Rank-10." in printed
    assert "0 lies inside the interval of mAP: this difference may be chance." in printed
    page = render_report(
        ReportContent(
            "synthetic",
            METHOD,
            0,
            metrics,
            own.run_card,
            stored("EpochRecord", METHOD, "seed_0", "history.json", many=True).load(),
            own.breakdown,
            found,
        )
    )
    assert "This run did not record whether training used identity labels." in page
    assert '<span class="gain uncertain">−0.7 (' in page  # noqa: RUF001


def test_a_folder_of_a_variant_is_not_of_the_first_version(tmp_path: Path) -> None:
    target = tmp_path / "synthetic" / f"{METHOD}+small"
    shutil.copytree(STORED / METHOD, target)
    with pytest.raises(Exception, match="says that it is of synthetic/unsupervised_pcl/seed_0, and lies in"):
        RunResultsDataset(filepath=str(target.parent)).load()
