"""What runs leave behind leads back to them: run cards, versions, the leaderboard, the notebooks."""

import csv
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from kedro.framework.project import configure_project
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from nbclient import NotebookClient
from small_project import ROOT, Project, make_project, run_session

from reid_pipeline.user_errors import user_error_text

METHOD = "unsupervised_pcl"
BACKBONE = {"name": "demo-vit", "pretrained": "demo", "image_size": [32, 16]}
PLAN = {"epochs": 2, "iterations_per_epoch": 2, "batch_size": 16, "warmup_epochs": 0, "learning_rate": 1e-05}
SMALL: dict[str, Any] = {
    "backbone": BACKBONE,
    METHOD: {"plan": PLAN, "augmentation": {"flip": 0.25}},
    "evaluation": {"query_expansion": 2},
}
# The run card brings back what conf/ had before it was edited; that run lies apart from those of conf/.
AGAIN = "evaluation.query_expansion=2"
FOLDER = f"{METHOD}+{AGAIN},plan.learning_rate=1e-05"
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project in which the main job has run, then from its run card, then zero_shot in another size."""
    made = make_project(tmp_path_factory.mktemp("recorded") / "project")
    bootstrap_project(made.root)
    made.configure(**SMALL)
    run_session(made, METHOD, seed=1)
    first = made.root / "first"
    shutil.copytree(made.root / "data/08_reporting", first)
    made.configure(**{METHOD: {"plan": {"learning_rate": 2e-05}}, "evaluation": {"query_expansion": 0}})
    run_session(made, METHOD, overlay=str(first / f"synthetic/{METHOD}/seed_1/run_card.json"))
    made.configure(**SMALL | {"backbone": {"image_size": [48, 24]}})
    run_session(made, "zero_shot", from_nodes=("zero_shot.build",), seed=1)
    made.configure(**SMALL)
    yield made
    configure_project("reid_pipeline")


def records(project: Project, method: str, name: str) -> list[Path]:
    """Return the versions of a record, the earliest first."""
    return sorted((project.root / "data/09_records/synthetic" / method / "seed_1" / name).glob(f"*/{name}"))


def test_a_run_card_makes_the_same_figures(project: Project) -> None:
    first = project.root / f"first/synthetic/{METHOD}/seed_1"
    again = project.result(FOLDER, "metrics.json", seed=1).parent
    for name in ("metrics.json", "breakdown.json"):
        ours, theirs = (json.loads((folder / name).read_text()) for folder in (again, first))
        assert (ours.pop("variant"), theirs.pop("variant")) == (FOLDER.partition("+")[2], "")
        assert ours.pop("origin")["data"] == theirs.pop("origin")["data"]
        assert ours == theirs
    assert (project.root / "data/08_reporting/synthetic" / f"{METHOD}/seed_1/run_card.json").read_bytes() == (
        first / "run_card.json"
    ).read_bytes(), "the cell of conf/ is as it was"
    before, after = (json.loads((folder / "run_card.json").read_text()) for folder in (first, again))
    assert after["parameters"] == before["parameters"]
    assert after["data_hash"] == before["data_hash"]
    # They are not those of conf/, so that the card is what brought them back.
    assert after["parameters"][METHOD]["plan"]["learning_rate"] == 1e-05
    assert after["parameters"]["evaluation"]["query_expansion"] == 2
    losses = [
        [record["loss"] for record in json.loads((folder / "history.json").read_text())] for folder in (first, again)
    ]
    assert losses[0] == losses[1]
    assert {"numba", "optuna", "torchvision", "torch"} <= {
        name for name in after["packages"] if after["packages"][name]
    }


def test_every_run_leaves_a_version_of_its_records(project: Project) -> None:
    for name in ("metrics.json", "history.json", "run_card.json"):
        for folder in (METHOD, FOLDER):
            (recorded,) = records(project, folder, name)
            assert recorded.read_bytes() == project.result(folder, name, seed=1).read_bytes()
        earlier, latest = records(project, "zero_shot", name)
        assert latest.read_bytes() == project.result("zero_shot", name, seed=1).read_bytes()
        before = project.root / "first/synthetic/zero_shot/seed_1" / name
        assert earlier.read_bytes() == before.read_bytes()
    assert len(records(project, f"zero_shot+{AGAIN}", "metrics.json")) == 1


def test_an_earlier_version_is_loaded_by_its_name(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    given = {"seed": 1, "method": "zero_shot"}
    version = records(project, "zero_shot", "metrics.json")[0].parent.name
    versions = {"earlier_metrics": version, "earlier_run_card": version}
    with KedroSession.create(project.root, runtime_params=given) as session:
        session.run(pipeline_names=["changes"], load_versions=versions)
    printed = capsys.readouterr().out
    assert "zero_shot.backbone.image_size | [32, 16] | [48, 24] |" in printed
    earlier = json.loads((project.root / "first/synthetic/zero_shot/seed_1/metrics.json").read_text())
    assert re.search(rf"\| zero_shot, earlier \| {100 * earlier['mAP']:.1f} \|", printed)
    # The last one recorded is what is there now.
    run_session(project, "changes", **given)
    assert "Nothing else differs." in capsys.readouterr().out


@pytest.mark.parametrize("given", [{"method": "pcl"}, {}])
def test_what_was_never_recorded_is_said(project: Project, given: dict[str, str]) -> None:
    with pytest.raises(Exception, match="There is no such version in") as caught:
        run_session(project, "changes", **given)
    assert "there are: none. Give --params method=<name>" in str(user_error_text(caught.value))


def test_results_that_are_gone_are_named(project: Project) -> None:
    metrics = project.result("zero_shot", "metrics.json", seed=1)
    kept = metrics.rename(metrics.with_name("kept"))
    try:
        with pytest.raises(Exception, match="the result that the earlier one is compared with") as caught:
            run_session(project, "changes", method="zero_shot", seed=1)
    finally:  # other tests read it
        kept.rename(metrics)
    assert str(user_error_text(caught.value)).startswith(f"There is no {metrics}")


def test_the_leaderboard_finds_all_benchmarks(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    folder = project.root / "data/08_reporting/veri776/zero_shot/seed_1"
    shutil.copytree(project.root / "first/synthetic/zero_shot/seed_1", folder)
    for file in folder.glob("*.json"):
        renamed = json.loads(file.read_text().replace('"synthetic"', '"veri776"'))
        if isinstance(renamed, dict):
            renamed.pop("origin", None)  # which would say that the file was changed
        file.write_text(json.dumps(renamed))
    run_session(project, "leaderboard")
    written = project.root / "data/08_reporting/leaderboard"
    rows = list(csv.DictReader((written / "leaderboard.csv").read_text().splitlines()))
    found = {(row["benchmark"], row["method"]): row for row in rows if row["n"] != "0"}
    assert set(found) == {("synthetic", "zero_shot"), ("synthetic", METHOD), ("veri776", "zero_shot")}
    text = (written / "leaderboard.md").read_text()
    assert "| 83.3 | 97.4 | q | ViT CLIP-ReID |" in text
    assert "### Best less other" in text
    assert "### Run cards" in text
    assert "<h1>Leaderboard</h1>" in (written / "leaderboard.html").read_text()
    stored = {
        benchmark["benchmark"]: benchmark
        for benchmark in json.loads((written / "leaderboard.json").read_text())["benchmarks"]
    }
    assert {run["method"] for run in stored["synthetic"]["runs"]} == {"zero_shot", METHOD}
    assert stored["synthetic"]["differences"]
    assert "Methods on veri776" in capsys.readouterr().out


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
class TestNotebooks:
    def test_it_holds_no_output(self, notebook: Path) -> None:
        cells = nbformat.read(notebook, as_version=4).cells
        assert [cell.cell_type for cell in cells].count("code") >= 4
        for cell in cells:
            assert not cell.get("outputs")
            assert cell.get("execution_count") is None
            assert not cell.metadata

    def test_it_runs_and_writes_nothing(self, project: Project, notebook: Path) -> None:
        book = nbformat.read(notebook, as_version=4)
        for cell in book.cells:
            cell.source = re.sub(r"^(ENVIRONMENT.*), 0$", r"\1, 1", cell.source, flags=re.MULTILINE)
        before = snapshot(project.root)
        folder = project.root / "notebooks"
        folder.mkdir(exist_ok=True)
        NotebookClient(book, timeout=600, resources={"metadata": {"path": str(folder)}}).execute()
        assert snapshot(project.root) == before
        assert any(cell.get("outputs") for cell in book.cells)


def snapshot(root: Path) -> dict[str, float]:
    """Return when each file of the data was written."""
    files = [Path(folder) / name for folder, _, names in os.walk(root / "data") for name in names]
    return {str(file): file.stat().st_mtime for file in files}
