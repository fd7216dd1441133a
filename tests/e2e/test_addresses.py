"""Which cell a run writes: real sessions of one process, on the least that zero_shot runs on."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kedro.framework.project import configure_project
from kedro.framework.startup import bootstrap_project
from small_project import LEAST_BACKBONE, LEAST_PEOPLE, Project, make_project, run_session

from reid_pipeline.user_errors import user_error_text

LEARNER = "baseline"
PLAN = {"epochs": 1, "iterations_per_epoch": 1, "batch_size": 4, "instances": 2, "milestones": []}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project in which zero_shot has run with the parameters in conf/."""
    made = make_project(tmp_path_factory.mktemp("addresses") / "project")
    bootstrap_project(made.root)
    made.configure(backbone=LEAST_BACKBONE, synthetic=LEAST_PEOPLE, **{LEARNER: {"plan": PLAN}})
    run_session(made, "zero_shot")
    yield made
    configure_project("reid_pipeline")


def run(project: Project, **given: Any) -> None:
    """Run zero_shot on the tables that are there; what its page is made of lies in the same cell."""
    run_session(project, "zero_shot", from_nodes=("zero_shot.build",), to_nodes=("zero_shot.run_card",), **given)


def cells(project: Project, benchmark: str = "synthetic") -> set[str]:
    folder = project.root / "data/08_reporting" / benchmark
    return {path.parent.parent.name for path in folder.glob("*/seed_0/metrics.json")}


def read(project: Project, folder: str, name: str = "run_card.json") -> dict[str, Any]:
    content: dict[str, Any] = json.loads(project.result(folder, name).read_text())
    return content


def files_of(project: Project, folder: str) -> dict[Path, bytes]:
    """Return all that lies in a cell, in whatever layer."""
    found = (project.root / "data").glob(f"*/synthetic/{folder}/**/*")
    return {file: file.read_bytes() for file in found if file.is_file()}


def times(data: Path) -> dict[Path, int]:
    """Return when each file was written; locks are no results."""
    files = (file for file in data.rglob("*") if file.is_file() and ".locks" not in file.parts)
    return {file: file.stat().st_mtime_ns for file in files}


def refused(project: Project, pipeline: str, **given: Any) -> str:
    """Return what the user is told; nothing is written."""
    before = times(project.root / "data")
    with pytest.raises(Exception, match=re.compile(".")) as caught:
        run_session(project, pipeline, **given)
    assert times(project.root / "data") == before
    told = user_error_text(caught.value)
    assert told is not None, caught.value
    return told


def test_other_parameters_do_not_touch_confs_cell(project: Project) -> None:
    before = files_of(project, "zero_shot")
    assert {file.name for file in before} >= {"metrics.json", "embedder.safetensors", "report_seed_0.html"}
    run(project, evaluation={"query_expansion": 2})
    run(project, zero_shot={"backbone": {"image_size": [48, 24]}}, variant="My #2")
    assert files_of(project, "zero_shot") == before
    assert {"zero_shot+evaluation.query_expansion=2", "zero_shot+My #2"} <= cells(project)
    for folder, differs in (
        ("zero_shot+evaluation.query_expansion=2", {"evaluation.query_expansion": 2}),
        ("zero_shot+My #2", {"backbone.image_size": [48, 24]}),
    ):
        card = read(project, folder)
        assert (card["variant"], card["differs"]) == (folder.partition("+")[2], differs)
        assert read(project, folder, "metrics.json")["method"] == "zero_shot"
    assert {path.parent.parent.name for path in files_of(project, "zero_shot+My #2")} >= {"zero_shot+My #2"}


def test_what_changes_no_figure_and_edits_of_conf_stay_in_the_cell(project: Project) -> None:
    had = cells(project)
    run(project, report={"queries": 1}, compute={"threads": 1})
    project.configure(evaluation={"max_rank": 49})
    run(project)
    assert read(project, "zero_shot")["parameters"]["evaluation"]["max_rank"] == 49
    assert cells(project) == had


def test_a_run_card_goes_back_to_its_own_cell(project: Project) -> None:
    given = {"zero_shot": {"backbone": {"image_size": [40, 24]}}, "evaluation": {"query_expansion": 1}}
    for name in ({}, {"variant": "forty"}):
        run(project, **given, **name)
    had = cells(project)
    auto = "zero_shot+backbone.image_size=(40,24),evaluation.query_expansion=1"
    assert {auto, "zero_shot+forty"} <= had
    for folder in (auto, "zero_shot+forty", "zero_shot"):
        card = project.result(folder, "run_card.json")
        copy = shutil.copy(card, project.root / "card.json")
        before, first = card.stat().st_mtime_ns, read(project, folder)
        run(project, overlay=str(copy))
        assert card.stat().st_mtime_ns > before, folder
        again = read(project, folder)
        assert {name: again[name] for name in ("variant", "differs", "parameters")} == {
            name: first[name] for name in ("variant", "differs", "parameters")
        }
    assert cells(project) == had


def test_a_name_that_other_parameters_have_is_refused(project: Project) -> None:
    size = {"zero_shot": {"backbone": {"image_size": [56, 24]}}}
    run(project, variant="taken", evaluation={"query_expansion": 1})
    told = refused(project, "zero_shot", variant="taken", **size)
    assert re.search(
        r"zero_shot\+taken/seed_0 was made with evaluation\.query_expansion=1, and this run has"
        r" backbone\.image_size=\(56, ?24\)\. Give it a name of its own: --params variant=<name>",
        told,
    )


def test_two_overlay_files_of_one_name_do_not_share_a_cell(project: Project) -> None:
    for place, expansion in (("a", 1), ("b", 2)):
        (project.root / place).mkdir()
        (project.root / place / "best.yml").write_text(f"evaluation: {{query_expansion: {expansion}}}")
    run(project, overlay=str(project.root / "a/best.yml"))
    told = refused(project, "zero_shot", overlay=str(project.root / "b/best.yml"))
    assert "zero_shot+best/seed_0 was made with evaluation.query_expansion=1" in told


def test_an_edited_overlay_of_conf_stays_in_its_cell(project: Project) -> None:
    file = project.root / "conf/overlays/mine.yml"
    for expansion in (1, 2):
        file.write_text(f"evaluation: {{query_expansion: {expansion}}}")
        run(project, overlay="mine")
        assert read(project, "zero_shot+mine")["differs"] == {"evaluation.query_expansion": expansion}
    file.unlink()


def test_an_overlaid_run_says_which_zero_shot_it_is_compared_with(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    """The backbone is given to the method alone; zero_shot has it, too, in a cell of its own."""
    size = [32, 24]
    with caplog.at_level("INFO", logger="reid_pipeline"):
        run_session(project, LEARNER, **{LEARNER: {"backbone": {"image_size": size}}})
    variant = "backbone.image_size=(32,24)"
    assert f"{LEARNER}+{variant} is compared with zero_shot+{variant}" in caplog.text
    for method in (LEARNER, "zero_shot"):
        parameters = read(project, f"{method}+{variant}")["parameters"][method]
        assert parameters["backbone"]["image_size"] == size
    assert read(project, "zero_shot")["parameters"]["zero_shot"]["backbone"]["image_size"] == [32, 16]


def test_a_zero_shot_of_another_backbone_is_refused(project: Project) -> None:
    given = {LEARNER: {"backbone": {"pretrained": None}}, "zero_shot": {"backbone": {"pretrained": "demo"}}}
    told = refused(project, LEARNER, **given)
    assert told.startswith(f"{LEARNER} has the backbone demo-vit null, and the zero_shot that it is compared")
    assert "--params backbone.name=demo-vit,backbone.pretrained=null" in told
    told = refused(project, "__default__", pcl={"backbone": {"pretrained": None}})
    assert re.search(r"has the backbone demo-vit demo, and the zero_shot .* has demo-vit null", told)


def test_changes_are_shown_of_a_variant(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    run_session(project, "changes", method="zero_shot+My #2")
    assert "Nothing else differs." in capsys.readouterr().out
    assert list(project.root.glob("data/09_records/synthetic/zero_shot+My #2/seed_0/changes.md"))
    told = refused(project, "changes", method="zero_shot+never")
    assert "zero_shot+never/seed_0/metrics.json" in told


def test_a_collection_names_its_folders(project: Project) -> None:
    raw = project.root / "data/01_raw/synthetic"
    project.configure("custom", backbone=LEAST_BACKBONE)
    mine = project.root / "mine"
    for split, folder in {"train": "train", "query": "query", "gallery": "test"}.items():
        for file in (raw / {"query": "query"}.get(folder, f"bounding_box_{folder}")).glob("0*.jpg"):
            person = mine / split / file.name.partition("_")[0]
            person.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, person)
    for name in ("2024_10", "My #2"):
        given = {"environment": "custom", "raw_root": str(mine), "to_nodes": ("zero_shot.run_card",)}
        run_session(project, "zero_shot", collection=name, **given)
        assert cells(project, name) == {"zero_shot"}
        assert (project.root / f"data/03_primary/{name}/split_table.parquet").is_file()
        metrics = project.root / f"data/08_reporting/{name}/zero_shot/seed_0/metrics.json"
        assert json.loads(metrics.read_text())["benchmark"] == name
    assert not (project.root / "data/08_reporting/custom").exists()
    card = project.root / "data/08_reporting/2024_10/zero_shot/seed_0/run_card.json"
    before = card.stat().st_mtime_ns
    run_session(project, "zero_shot", overlay=str(card), **given)
    assert card.stat().st_mtime_ns > before
    told = refused(project, "zero_shot", collection="2024_10")
    assert "collection is '2024_10', and this environment reads synthetic" in told
