"""`kedro run --pipeline=tuning`: a study in real sessions, its results, and taking them by name."""

import csv
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml
from kedro.framework.project import configure_project
from kedro.framework.startup import bootstrap_project
from pandera.errors import SchemaError
from small_project import Project, make_project, run_session

from reid_pipeline.pipelines.tuning import run_study
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.parameters import ComputeParameters, EvaluationParameters
from reid_pipeline.schema.raw_folder import RawFolder
from reid_pipeline.schema.tables import TUNING_TABLE
from reid_pipeline.schema.tuning import TuningParameters
from reid_pipeline.user_errors import user_error_text

PCL = {
    "backbone": {"image_size": [32, 16]},
    "plan": {"epochs": 2, "iterations_per_epoch": 1, "batch_size": 8, "instances": 4, "milestones": []},
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project in which a study of three trials has run, in two sessions."""
    made = make_project(tmp_path_factory.mktemp("tuned") / "project")
    bootstrap_project(made.root)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    made.configure(pcl=PCL)
    tune(made, trials=2)
    tune(made, trials=3)
    yield made
    torch.set_num_threads(threads)
    configure_project("reid_pipeline")


def tune(project: Project, *, trials: int, **given: Any) -> None:
    chosen = {"method": "pcl", "tuning": {"trials": trials, "pruner": {"name": "none"}}}
    run_session(project, "tuning", **{**chosen, **given})


def found(project: Project, name: str) -> Path:
    return project.root / "data/08_reporting/synthetic/tuning/pcl/main" / name


def record(project: Project) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(found(project, "trials.json").read_text())
    return read


def tables(project: Project) -> tuple[pd.DataFrame, pd.DataFrame]:
    folder = project.root / "data/03_primary/synthetic"
    return pd.read_parquet(folder / "split_table.parquet"), pd.read_parquet(folder / "tuning_split_table.parquet")


def test_the_second_session_went_on(project: Project) -> None:
    trials = record(project)["trials"]
    assert [(trial["number"], trial["state"]) for trial in trials] == [(n, "complete") for n in range(3)]
    assert all([epoch for epoch, _ in trial["scores"]] == [1, 2] for trial in trials)
    assert all(trial["value"] == trial["scores"][-1][1] for trial in trials)
    assert trials[0]["params"] == record(project)["start_values"]


def test_a_study_that_machines_share_is_a_file_of_theirs(project: Project, tmp_path: Path) -> None:
    shared = tmp_path / "studies.journal"
    block = {"trials": 1, "pruner": {"name": "none"}, "storage": f"journal://{shared}"}
    tune(project, trials=1, study="shared", tuning=block)
    folder = found(project, "trials.json").parents[1] / "shared"
    assert "synthetic/pcl/shared" in shared.read_text()
    assert not (folder / "study.journal").exists()
    (trial,) = json.loads((folder / "trials.json").read_text())["trials"]
    assert trial["scores"] == record(project)["trials"][0]["scores"][: len(trial["scores"])]


def test_results_lie_together(project: Project) -> None:
    read = record(project)
    best = max(read["trials"], key=lambda trial: trial["value"])
    assert read["best"]["value"] == best["value"]
    values = yaml.safe_load(found(project, "parameters.yml").read_text())
    assert values["pcl"]["plan"]["learning_rate"] == read["best"]["params"]["plan.learning_rate"]
    in_force = merged_parameters(project)["pcl"]
    assert values["pcl"]["plan"]["epochs"] == in_force["plan"]["epochs"] == 2
    assert values["pcl"]["backbone"]["image_size"] == in_force["backbone"]["image_size"] == [32, 16]
    rows = list(csv.DictReader(found(project, "trials.csv").read_text().splitlines()))
    assert [float(row["dev_mAP"]) for row in rows] == [trial["value"] for trial in read["trials"]]
    page = found(project, "tuning.html").read_text()
    assert "<h1>pcl <span>on synthetic, study main</span></h1>" in page
    assert "--pipeline=pcl --params tuned=pcl" in page


def test_a_study_sees_no_row_that_is_tested_on(project: Project) -> None:
    whole, seen = tables(project)
    train = whole[whole["split"] == "train"]
    tested = whole[whole["split"].isin(["query", "gallery"])]
    assert len(tested) > 0
    assert set(seen["split"]) == {"train", "dev_query", "dev_gallery"}
    assert sorted(seen["path"]) == sorted(train["path"]), "the dev split is cut from the training rows"
    assert not set(seen["path"]) & set(tested["path"])
    assert not set(seen["pid"]) & set(tested["pid"])
    dev = seen[seen["split"] != "train"]
    assert not set(dev["pid"]) & set(seen.loc[seen["split"] == "train", "pid"])


@pytest.mark.parametrize("split", ["query", "gallery", "test"])
def test_the_catalog_refuses_a_test_row(project: Project, split: str) -> None:
    _, seen = tables(project)
    TUNING_TABLE.validate(seen)
    smuggled = seen.assign(split=seen["split"].where(seen["split"] != "dev_gallery", split))
    with pytest.raises(SchemaError, match="a study never sees the test"):
        TUNING_TABLE.validate(smuggled)


def test_the_scores_are_made_without_any_test_image(project: Project, tmp_path: Path) -> None:
    """The first trial, again, where no other image lies than those of the training split as published."""
    _, seen = tables(project)
    raw = project.root / "data/01_raw/synthetic"
    for path in seen["path"]:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(raw / path, tmp_path / path)
    assert {path.name for path in tmp_path.iterdir()} == {"bounding_box_train"}
    parameters = merged_parameters(project)
    again = run_study(
        parameters,
        TuningParameters.model_validate({**parameters["tuning"], "trials": 1}),
        ComputeParameters.model_validate(parameters["compute"]),
        EvaluationParameters.model_validate(parameters["evaluation"]),
        seen,
        RawFolder(tmp_path, tuple(sorted(seen["path"]))),
        None,
        None,
        str(tmp_path / "study.journal"),
    )
    assert again["trials"][0]["scores"] == record(project)["trials"][0]["scores"]


def merged_parameters(project: Project) -> dict[str, Any]:
    from reid_pipeline.config.loader import LayeredConfigLoader
    from reid_pipeline.settings import CONFIG_LOADER_ARGS

    given = {"method": "pcl"}
    loader = LayeredConfigLoader(str(project.root / "conf"), runtime_params=given, **CONFIG_LOADER_ARGS)
    return dict(loader["parameters"])


def test_what_was_found_is_taken_by_name(project: Project) -> None:
    """Conf has been edited since: what the study did not search is as the study had it, too."""
    project.configure(pcl={"plan": {"epochs": 1}})
    run_session(project, "pcl", pcl={"memory": {"momentum": 0.5}}, tuned="pcl")
    project.configure(pcl=PCL)
    folder = "pcl+tuned,memory.momentum=0.5"
    card = json.loads(project.result(folder, "run_card.json").read_text())["parameters"]["pcl"]
    best = record(project)["best"]["params"]
    assert card["plan"]["learning_rate"] == best["plan.learning_rate"]
    assert card["identity_weight"] == best["identity_weight"]
    assert card["memory"]["temperature"] == best["memory.temperature"]
    assert card["memory"]["momentum"] == 0.5, "what is given beside it stands"
    assert card["plan"]["epochs"] == 2


def test_what_was_found_is_checked_as_all_parameters_are(project: Project) -> None:
    file = found(project, "parameters.yml")
    before = file.read_text()
    file.write_text("pcl: {memory: {momentum: 1.5}}\n")
    try:
        with pytest.raises(UserError, match=r"Parameter pcl.memory.momentum: Input should be less than 1"):
            run_session(project, "zero_shot", tuned="pcl")
    finally:
        file.write_text(before)


@pytest.mark.parametrize(
    ("pipeline", "given", "said"),
    [
        ("pcl", {"tuned": "pcl/other"}, r"tuned is 'pcl/other', and there is nothing in .*other/parameters.yml"),
        ("tuning", {}, r"Which method is tuned\? Give --params method=<name>"),
        ("tuning", {"method": "plc"}, r"There is no method 'plc'. Did you mean 'pcl'\?"),
        ("tuning", {"method": "zero_shot"}, r"'zero_shot' trains nothing"),
        (
            "tuning",
            {"method": "pcl", "pcl": {"plan": {"epochs": 3}}},
            r"begun otherwise: parameters.plan.epochs was 2 and is 3",
        ),
        ("tuning", {"method": "pcl", "study": "a/b"}, r"Parameter study: String should match pattern"),
        (
            "tuning",
            {"method": "pcl", "tuning": {"search": {"pcl": {"memory.momentum": {"high": 1.5}}}}},
            r"memory.momentum = 1.5 is refused.*less than 1",
        ),
        (
            "tuning",
            {"method": "pcl", "tuning": {"search": {"pcl": {"momentum": {"type": "int", "low": 1, "high": 2}}}}},
            r"names 'momentum', which pcl does not have. Did you mean '(memory|plan).momentum'",
        ),
    ],
)
def test_mistakes(project: Project, pipeline: str, given: dict[str, Any], said: str) -> None:
    with pytest.raises(Exception, match=re.compile(".")) as caught:
        run_session(project, pipeline, **given)
    told = user_error_text(caught.value)
    assert told is not None
    assert re.search(said, told), told


def test_a_study_name_in_conf_is_refused(project: Project) -> None:
    file = project.root / "conf/synthetic/parameters_study.yml"
    file.write_text("study: second\n")
    try:
        with pytest.raises(UserError, match="Parameter study stands in conf/, where nothing reads it"):
            run_session(project, "tuning", method="pcl")
    finally:
        file.unlink()
