"""Whatever was made by another run is refused by the node that would use it, and nothing is written."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from kedro.framework.project import configure_project
from kedro.framework.startup import bootstrap_project
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from small_project import LEAST_BACKBONE, LEAST_PEOPLE, Project, make_project, run_session

from reid_pipeline.user_errors import user_error_text

METHOD = "pcl"
PLAN = {"epochs": 1, "iterations_per_epoch": 1, "batch_size": 8, "instances": 2, "warmup_epochs": 0}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project in which a supervised method has run with two seeds, by what stands in conf/."""
    made = make_project(tmp_path_factory.mktemp("origins") / "project")
    conf = made.root / "conf/synthetic"
    catalog = yaml.safe_load((conf / "catalog.yml").read_text())
    catalog["raw_images"]["drawing"] = {**LEAST_PEOPLE, "train_identities": 4}
    (conf / "catalog.yml").write_text(yaml.safe_dump(catalog))
    shared = yaml.safe_load((conf / "parameters.yml").read_text())
    (conf / "parameters.yml").write_text(yaml.safe_dump({**shared, "backbone": LEAST_BACKBONE}))
    own = yaml.safe_load((conf / f"parameters_{METHOD}.yml").read_text())
    own[METHOD]["plan"] = {**own[METHOD]["plan"], **PLAN, "milestones": []}
    (conf / f"parameters_{METHOD}.yml").write_text(yaml.safe_dump(own))
    bootstrap_project(made.root)
    for seed in (0, 1):
        run_session(made, METHOD, seed=seed)
    yield made
    configure_project("reid_pipeline")


@pytest.fixture
def data(project: Project) -> Iterator[Path]:
    """The data of the project, as it was again afterwards."""
    kept = project.root / "kept"
    shutil.copytree(project.root / "data", kept, symlinks=True)
    yield project.root / "data"
    shutil.rmtree(project.root / "data")
    kept.rename(project.root / "data")


def cell(data: Path, layer: str, *, seed: int = 0, method: str = METHOD) -> Path:
    return data / layer / "synthetic" / method / f"seed_{seed}"


def refused(project: Project, node: str, **parameters: Any) -> str:
    """Run from a node on, expect a refusal that writes nothing, and return its words."""
    before = contents(project.root / "data")
    with pytest.raises(Exception, match=r".") as caught:
        run_session(project, METHOD, from_nodes=(f"{METHOD}.{node}",), **parameters)
    after = contents(project.root / "data")
    assert {path for path in after if after[path] != before.get(path)} == set()
    told = user_error_text(caught.value)
    assert told, f"{caught.value!r} is no answer"
    return told


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".locks" not in path.parts
    }


@pytest.mark.parametrize(
    ("layer", "file", "node"),
    [
        ("06_models", "prototype_contrast.safetensors", "export"),
        ("06_models", "embedder.safetensors", "extract"),
        ("06_models", "embedder.safetensors", "run_card"),
        ("07_model_output", "embeddings.safetensors", "evaluate"),
        ("07_model_output", "embeddings.safetensors", "report"),
        ("08_reporting", "metrics.json", "run_card"),
        ("08_reporting", "metrics.json", "compare_with_zero_shot"),
        ("08_reporting", "breakdown.json", "compare_with_zero_shot"),
        ("08_reporting", "breakdown.json", "report"),
        ("08_reporting", "history.json", "run_card"),
        ("08_reporting", "run_card.json", "report"),
        ("08_reporting", "differences.json", "report"),
    ],
)
def test_the_artefact_of_another_run(project: Project, data: Path, layer: str, file: str, node: str) -> None:
    shutil.copy(cell(data, layer, seed=1) / file, cell(data, layer) / file)
    told = refused(project, node)
    if file == "history.json":
        assert "1 of 1 epochs in the history are of another training of stage prototype_contrast" in told
    else:
        assert f"{METHOD}/seed_0/{file}" in told
        assert "was not made by this run" in told
        assert "seed was 1 and is 0" in told
    assert "Make" in told


def test_zero_shot_of_another_run(project: Project, data: Path) -> None:
    for file in ("metrics.json", "breakdown.json"):
        theirs, ours = (cell(data, "08_reporting", seed=seed, method="zero_shot") / file for seed in (1, 0))
        shutil.copy(theirs, ours)
    told = refused(project, "compare_with_zero_shot")
    assert "zero_shot/seed_0/metrics.json, the zero_shot that pcl.compare_with_zero_shot reads" in told


@pytest.mark.parametrize("node", ["export", "extract", "evaluate", "run_card", "report"])
def test_another_split(project: Project, data: Path, node: str) -> None:
    """Tables of another draw: what was trained and measured on the old ones is not taken for theirs."""
    table = data / "03_primary/synthetic/split_table.parquet"
    changed = pd.read_parquet(table)
    rows = changed.index[changed["split"] == "gallery"][:2]
    changed.loc[rows[::-1], "sha256"] = changed.loc[rows, "sha256"].to_numpy()
    changed.to_parquet(table)
    galleries = data / "03_primary/synthetic/galleries.parquet"
    drawn = pd.read_parquet(galleries)
    drawn.attrs = {}
    drawn.to_parquet(galleries)
    told = refused(project, node)
    assert "data was " in told or "have changed since ingestion" in told


def test_tables_of_other_parameters_are_refused_before_any_work(project: Project, data: Path) -> None:
    told = refused(project, "train_prototype_contrast", splits={"seed": 3})
    assert "The split table was made with other parameters than this run's: splits.seed was 0 and is 3" in told
    assert "kedro run --pipeline=ingestion" in told


def test_rows_without_an_embedding(project: Project, data: Path) -> None:
    """Cut off by hand they are found by the digest; where even that was mended, a missing row is an error."""
    file = cell(data, "07_model_output") / "embeddings.safetensors"
    arrays = load_file(file)
    with safe_open(file, framework="np") as opened:
        header = opened.metadata()
    save_file({name: array[:-1] for name, array in arrays.items()}, file, metadata=header)
    assert "is damaged or was changed: its tensors are not those that pcl.extract wrote" in refused(project, "evaluate")


def test_an_image_that_changed_after_ingestion(project: Project, data: Path) -> None:
    image = sorted((data / "01_raw/synthetic/query").iterdir())[0]
    image.write_bytes(sorted((data / "01_raw/synthetic/query").iterdir())[1].read_bytes())
    told = refused(project, "extract")
    assert f"images have changed since ingestion: query/{image.name}" in told


def test_a_figure_changed_by_hand(project: Project, data: Path) -> None:
    file = cell(data, "08_reporting") / "metrics.json"
    metrics = json.loads(file.read_text())
    file.write_text(json.dumps({**metrics, "mAP": 0.99}))
    told = refused(project, "report")
    assert f"{METHOD}/seed_0/metrics.json" in told
    assert "the file was changed or damaged after pcl.evaluate had written it" in told


def test_the_page_says_whose_labels_were_used(project: Project) -> None:
    folder = project.root / "data/08_reporting/synthetic"
    supervised = (folder / METHOD / "report_seed_0.html").read_text()
    assert "No labels were used" not in supervised
    assert "identity labels of all training images" in supervised
    assert "No labels were used" in (folder / "zero_shot/report_seed_0.html").read_text()
    card = json.loads((folder / METHOD / "seed_0/run_card.json").read_text())
    assert (card["label_use"], card["zero_shot"]) == ("all", "synthetic/zero_shot/seed_0")
    assert card["threads"] > 0
    assert len(card["weights"]) == 64
