"""`kedro run --pipeline=report` over runs that real sessions of one process made."""

import csv
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from console_blocks import documented
from kedro.framework.project import configure_project
from kedro.framework.project import pipelines as registered
from kedro.framework.startup import bootstrap_project
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import node, pipeline
from kedro.runner import SequentialRunner
from made_records import make_run_card
from small_project import LEAST_BACKBONE, LEAST_PEOPLE, Project, make_project, run_documented, run_session

from reid_pipeline.methods import method_names
from reid_pipeline.pipelines import report
from reid_pipeline.schema.records import RunCard
from reid_pipeline.user_errors import user_error_text


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project in which zero_shot has run with two seeds, and with another input size as a third."""
    made = make_project(tmp_path_factory.mktemp("compared") / "project")
    bootstrap_project(made.root)
    for seed, size in ((0, [32, 16]), (1, [32, 16]), (2, [48, 24])):
        made.configure(backbone={**LEAST_BACKBONE, "image_size": size}, synthetic=LEAST_PEOPLE)
        run_session(made, "zero_shot", seed=seed, to_nodes=("zero_shot.run_card",))
    yield made
    configure_project("reid_pipeline")


def compared(project: Project, name: str, benchmark: str = "synthetic") -> Path:
    return project.root / "data/08_reporting" / benchmark / "comparison" / f"comparison.{name}"


def test_runs_on_disk_become_a_table(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    run_documented(project, documented("docs/first_run.md", "kedro run --pipeline=report"))
    printed = capsys.readouterr().out
    card = json.loads((project.root / "data/08_reporting/synthetic/zero_shot/seed_0/run_card.json").read_text())
    assert card["num_trainable_parameters"] == 0 < card["num_parameters"]
    lines = compared(project, "csv").read_text().splitlines()
    rows = list(csv.DictReader(lines))
    floors = [row for row in rows if row["method"] == "zero_shot"]
    assert [(row["n"], row["seeds"]) for row in floors] == [("2", "0 1"), ("1", "2")]
    assert ["[48, 24]" in row["apart_by"] for row in floors] == [False, True]
    stored = [json.loads(project.result("zero_shot", "metrics.json", seed=seed).read_text())["mAP"] for seed in (0, 1)]
    assert float(floors[0]["measured_mAP_mean"]) == pytest.approx(sum(stored) / 2, abs=1e-12)
    assert {row["method"] for row in rows} == set(method_names())
    assert rows[0]["method"] == "zero_shot"
    assert not any(row["measured_mAP_mean"] for row in rows if row["method"] != "zero_shot")
    assert "Methods on synthetic" in printed
    assert f"{100 * sum(stored) / 2:.1f} ± " in printed
    assert "\nreport  " in printed
    assert "comparison/comparison.html\n" in printed
    assert "| zero_shot |" in compared(project, "md").read_text()
    assert "<h1>Methods <span>on synthetic</span></h1>" in compared(project, "html").read_text()


def test_published_figures_stand_beside_a_real_benchmark(project: Project) -> None:
    folder = project.root / "data/08_reporting/veri776/zero_shot/seed_0"
    shutil.copytree(project.result("zero_shot", "metrics.json").parent, folder)
    for file in (folder / f"{name}.json" for name in ("metrics", "run_card", "breakdown")):
        renamed = json.loads(file.read_text().replace('"synthetic"', '"veri776"'))
        if isinstance(renamed, dict):
            renamed.pop("origin", None)  # which would say that the file was changed
        file.write_text(json.dumps(renamed))
    run_session(project, "report", environment="veri776")
    table = compared(project, "md", "veri776").read_text()
    assert "| 83.3 | 97.4 | q | ViT CLIP-ReID |" in table


def test_nothing_to_compare_names_the_command(project: Project) -> None:
    with pytest.raises(Exception, match="no results of dukemtmc") as caught:
        run_session(project, "report", environment="dukemtmc")
    told = user_error_text(caught.value)
    assert told is not None
    assert told.endswith("kedro run --pipeline=zero_shot, with --env and --params as here.")


def test_the_default_compares_after_every_method(project: Project) -> None:
    before = registered["__default__"].to_nodes("compare").nodes
    assert {f"{name}.run_card" for name in method_names()} <= {node.name for node in before}
    assert not any("finish" in node.name for node in registered["zero_shot"].nodes)
    assert {node.name for node in registered["report"].nodes} == {"compare", "render_comparison"}


def test_results_are_looked_for_when_the_methods_have_finished() -> None:
    order: list[str] = []

    class Results(MemoryDataset):
        def load(self) -> list[object]:
            order.append("looked")
            return []

    def train() -> RunCard:
        order.append("trained")
        return make_run_card()

    trained = pipeline([node(train, None, "run_card", name="train")], namespace="pcl")
    catalog = DataCatalog({"run_results": Results(), "params:benchmark": MemoryDataset("synthetic")})
    SequentialRunner().run(report.create_pipeline(after=["pcl"]) + trained, catalog)
    assert order == ["trained", "looked"]
