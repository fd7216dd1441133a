"""docs/tonight.md, executed: its commands, as they stand there, from unlabelled crops to a model of named people."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from console_blocks import documented_commands
from PIL import Image
from small_project import Project, make_project

PLAN = {"epochs": 1, "iterations_per_epoch": 2, "batch_size": 8, "instances": 4, "warmup_epochs": 0, "milestones": []}
CLUSTERING = {"k1": 4, "k2": 1, "eps": 0.5, "min_samples": 2}
PEOPLE, CROPS_OF_EACH = 6, 6


def commands() -> list[list[str]]:
    """The words of each command on the page."""
    return documented_commands("docs/tonight.md")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with crops of six people of one colour each; the plan is short, and stands against auto."""
    made = make_project(tmp_path_factory.mktemp("tonight") / "project")
    made.configure("custom", baseline={"plan": PLAN}, unsupervised_pcl={"plan": PLAN, "clustering": CLUSTERING})
    folder, generator = made.root / "crops", np.random.default_rng(0)
    folder.mkdir()
    colours = [(220, 30, 30), (30, 200, 30), (40, 40, 220), (220, 210, 40), (20, 20, 20), (235, 235, 235)]
    for number in range(PEOPLE * CROPS_OF_EACH):
        pixels = np.array(colours[number % PEOPLE]) + generator.integers(-12, 12, (64, 32, 3))
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"crop_{number:02d}.jpg", quality=92)
    return made


def test_from_a_folder_of_crops_to_named_people(project: Project) -> None:
    """The page from above to below; what its reader does by hand is done here as a German Excel saves it."""
    train, copy, go_on = commands()
    night = project.root / "data/08_reporting/gate/unsupervised_pcl+small"
    assert (train[:2], copy[0], go_on[:2]) == (["kedro", "run"], "cp", ["kedro", "run"])
    status, printed = project.kedro(*train[1:])
    assert status == 0, printed
    page = (night / "report_seed_0.html").read_text()
    assert "clusters.csv" in page
    assert "0 of 0" not in page + printed

    shutil.copy(project.root / copy[1], project.root / copy[2])
    named(project.root / copy[2])
    status, printed = project.kedro(*go_on[1:])
    assert status == 0, printed
    check_named(project)
    assert "Ada" in (project.root / report(project)).read_text()
    cells = sorted(each.name for each in project.root.glob("data/08_reporting/gate/*"))
    assert cells == ["dataset", "unsupervised_pcl+small", "zero_shot+small"], "nothing of the night is written over"


def named(file: Path) -> None:
    """Merge all clusters of a person under a name, split one image off, leave one out; save as Excel does."""
    table = pd.read_csv(file, encoding="utf-8-sig", dtype=str, keep_default_na=False)
    assert sorted(table["path"]) == [f"crop_{number:02d}.jpg" for number in range(PEOPLE * CROPS_OF_EACH)]
    assert set(table["name"]) == {""}
    person = table["path"].str.extract(r"_(\d+)")[0].astype(int) % PEOPLE
    table["name"] = np.array(["Ada", "Rex", "Zoë", "Bo", "Cy", "Di"])[person]
    table.loc[table["path"] == "crop_30.jpg", "name"] = "Ada's brother"
    out = table["path"] == "crop_35.jpg"
    table.loc[out, ["cluster", "name"]] = ["-1", ""]
    table["distance"] = table["distance"].str.replace(".", ",", regex=False)
    file.write_bytes(table.to_csv(sep=";", index=False, lineterminator="\r\n").encode("utf-8-sig"))


def check_named(project: Project) -> None:
    """The identities are those of the file, in a collection of its own, and metrics exist."""
    (name,) = (each.name for each in (project.root / "data/03_primary").glob("gate+labels=confirmed-*"))
    split = pd.read_parquet(project.root / f"data/03_primary/{name}/split_table.parquet")
    counts = split["identity"].value_counts().to_dict()
    assert counts == {"Ada": 5, "Rex": 6, "Zoë": 6, "Bo": 6, "Cy": 6, "Di": 5, "Ada's brother": 1, "": 1}
    left_out = split[split["identity"] == ""]
    assert (left_out["path"].tolist(), left_out["label"].tolist()) == (["crop_35.jpg"], [-1])
    tested = set(split.loc[split["split"].isin(["query", "gallery"]), "identity"])
    assert tested
    assert not tested & set(split.loc[split["split"] == "train", "identity"]), "no identity in training and test"
    metrics = json.loads((project.root / report(project)).with_name("seed_0").joinpath("metrics.json").read_text())
    assert (metrics["label_use"], metrics["benchmark"]) == ("all", name)
    assert 0 < metrics["mAP"] <= 1


def report(project: Project) -> Path:
    """The page of the training on names."""
    (page,) = project.root.glob("data/08_reporting/gate+labels=*/baseline+small/report_seed_0.html")
    return page
