"""Whatever was made by another run is refused by the node that would use it, and nothing is written.

A file that is missing or damaged is named with the node and the command that make it, and the command does.
"""

import contextlib
import json
import logging
import os
import re
import shlex
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml
from kedro.framework.project import configure_project, pipelines
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from kedro.io import DataCatalog
from kedro.runner import SequentialRunner
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from small_project import LEAST_BACKBONE, LEAST_PEOPLE, Project, make_project, run_session

from reid_pipeline.engine.checkpoint import digest_of_state
from reid_pipeline.hooks.made_anew import MadeAnew
from reid_pipeline.io.base import UnreadableFile
from reid_pipeline.io.entries import file_of
from reid_pipeline.schema.errors import UserError
from reid_pipeline.user_errors import user_error_text

METHOD, STAGE = "pcl", "prototype_contrast"
CELL = f"synthetic/{METHOD}/seed_0"
PLAN = {"epochs": 1, "iterations_per_epoch": 1, "batch_size": 8, "instances": 2, "warmup_epochs": 0}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project in which a supervised method has run with two seeds, by what stands in conf/."""
    made = make_project(tmp_path_factory.mktemp("origins") / "project", explained=True)
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


@cache
def catalog_of(project: Project) -> DataCatalog:
    """The catalog of a run by what stands in conf/, whose configuration is read once for all such runs."""
    with KedroSession.create(project.root) as session:
        return session.load_context().catalog


def run_from(project: Project, node: str, **parameters: Any) -> None:
    """Run from a node on; with conf's parameters without what a session does before its first node."""
    if parameters:
        run_session(project, METHOD, from_nodes=(f"{METHOD}.{node}",), **parameters)
    else:
        SequentialRunner().run(pipelines[METHOD].from_nodes(f"{METHOD}.{node}"), catalog_of(project))


def refused(project: Project, node: str, **parameters: Any) -> str:
    """Run from a node on, expect a refusal that writes nothing, and return its words."""
    before = contents(project.root / "data")
    with pytest.raises(Exception, match=r".") as caught:
        run_from(project, node, **parameters)
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
        ("08_reporting", "clusters.json", "report"),
        ("06_models", "embedder.safetensors", "group"),
        ("07_model_output", "embeddings.safetensors", "group"),
        ("08_reporting", "differences.json", "report"),
        ("06_models", "embedder.safetensors", "explain"),
        ("07_model_output", "embeddings.safetensors", "explain"),
        ("08_reporting", "explanations.json", "report"),
    ],
)
def test_the_artefact_of_another_run(project: Project, layer: str, file: str, node: str) -> None:
    theirs, ours = (cell(project.root / "data", layer, seed=seed) / file for seed in (1, 0))
    before = ours.read_bytes()
    shutil.copy(theirs, ours)
    try:
        told = refused(project, node)
    finally:
        ours.write_bytes(before)
    if file == "history.json":
        assert "1 of 1 epochs in the history are of another training of stage prototype_contrast" in told
    else:
        assert f"{METHOD}/seed_0/{file}" in told
        assert "was not made by this run" in told
        assert "seed was 1 and is 0" in told
    assert "Make" in told


@pytest.mark.parametrize(
    ("layer", "file"), [("06_models", "embedder.safetensors"), ("07_model_output", "embeddings.safetensors")]
)
def test_before_of_another_run(project: Project, data: Path, layer: str, file: str) -> None:
    theirs, ours = (cell(data, layer, seed=seed, method="zero_shot") / file for seed in (1, 0))
    shutil.copy(theirs, ours)
    told = refused(project, "explain")
    assert f"zero_shot/seed_0/{file}, the zero_shot that pcl.explain reads" in told


def test_clusters_and_a_sample_of_another_kind_are_not_explained(project: Project, data: Path) -> None:
    """What is drawn is drawn anew where its parameters change, without training."""
    told = refused(project, "report", report={"explain": {"pictures": 2}})
    assert "report.explain.pictures was 4 and is 2" in told
    assert "run the pipeline from node pcl.explain (--from-nodes=pcl.explain)" in told
    shutil.copy(cell(data, "08_reporting", seed=1) / "clusters.parquet", cell(data, "08_reporting"))
    assert "Make them anew: run the pipeline from node pcl.group" in refused(project, "explain")


def test_zero_shot_of_another_run(project: Project, data: Path) -> None:
    for file in ("metrics.json", "breakdown.json"):
        theirs, ours = (cell(data, "08_reporting", seed=seed, method="zero_shot") / file for seed in (1, 0))
        shutil.copy(theirs, ours)
    told = refused(project, "compare_with_zero_shot")
    assert "zero_shot/seed_0/metrics.json, the zero_shot that pcl.compare_with_zero_shot reads" in told


@pytest.mark.parametrize("node", ["export", "extract", "group", "evaluate", "run_card", "report"])
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


def run_command(project: Project, command: str) -> None:
    """Run what a message says to type, in this process."""
    words = dict(word.removeprefix("--").split("=", 1) for word in shlex.split(command)[2:])
    given = dict(item.split("=", 1) for item in words.get("params", "").split(",") if item)
    params = {name: int(value) if value.isdigit() else value for name, value in given.items()}
    nodes = {"node_names": words.get("nodes"), "from_nodes": words.get("from-nodes")}
    with KedroSession.create(project.root, env=words.get("env"), runtime_params=params) as session:
        session.run(
            pipeline_names=[words["pipeline"]], **{name: value.split(",") for name, value in nodes.items() if value}
        )


def answer(project: Project, pipeline: str, node: str) -> str:
    with pytest.raises(Exception, match=r".") as caught:
        run_session(project, pipeline, from_nodes=(node,) if node else ())
    text = user_error_text(caught.value)
    assert text, f"{caught.value!r} is no answer"
    return text


def command_in(text: str) -> str:
    found = re.search(r"kedro run .*?(?=\. Then give your command again\.$)", text)
    assert found, text
    return found[0]


@pytest.mark.parametrize(
    ("file", "damage", "pipeline", "node", "maker"),
    [
        ("03_primary/synthetic/split_table.parquet", "missing", METHOD, f"{METHOD}.extract", "make_split_table"),
        ("02_intermediate/synthetic/reading.json", "list", "ingestion", "summarise_collection", "read_manifest"),
        (f"07_model_output/{CELL}/embeddings.safetensors", "half", METHOD, f"{METHOD}.evaluate", f"{METHOD}.extract"),
        (f"08_reporting/{CELL}/breakdown.json", "FIFO", METHOD, f"{METHOD}.report", f"{METHOD}.evaluate"),
    ],
)
def test_the_command_makes_what_was_there(
    project: Project, data: Path, file: str, damage: str, pipeline: str, node: str, maker: str
) -> None:
    path = data / file
    before = path.read_bytes()
    path.unlink()
    if damage == "half":
        path.write_bytes(before[: len(before) // 2])
    elif damage == "list":
        path.write_text("[]")
    elif damage == "FIFO":
        os.mkfifo(path)
    text = answer(project, pipeline, node)
    assert str(path) in text
    command = command_in(text)
    assert f"It is made anew by the node {maker}: {command}" in text
    assert command == f"kedro run --pipeline={pipeline} --nodes={maker} --env=synthetic"
    run_command(project, command)
    after = path.read_bytes()
    if path.suffix == ".json":  # times differ, and with them digests of what holds them
        assert json.loads(after).keys() == json.loads(before).keys()
    else:
        assert after == before


def test_a_lost_checkpoint_is_trained_again(project: Project, data: Path) -> None:
    """The state it was taken from is gone, so that the node before must run; what comes after is made anew, too."""
    path = data / "06_models" / CELL / f"{STAGE}.safetensors"
    before = path.read_bytes()
    path.unlink()
    text = answer(project, METHOD, f"{METHOD}.export")
    assert f"There is no checkpoint at {path}. It is made anew by the node {METHOD}.keep_{STAGE}: " in text
    assert command_in(text) == f"kedro run --pipeline={METHOD} --from-nodes={METHOD}.train_{STAGE} --env=synthetic"
    run_command(project, command_in(text))
    assert path.read_bytes() == before


def test_tables_that_break_a_rule_are_named(project: Project, data: Path) -> None:
    path = data / "03_primary/synthetic/galleries.parquet"
    shutil.copy(data / "03_primary/synthetic/split_table.parquet", path)
    text = answer(project, METHOD, f"{METHOD}.extract")
    assert text.startswith(f"{path} is no table as this version makes it: galleries: column_in_")
    assert "made anew by the node make_split_table: kedro run" in text


class Executed:
    """A pickle that makes a folder when it is loaded."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("damage", ["pickle", "shape"])
def test_a_training_starts_anew_from_a_state_of_no_use(
    project: Project, data: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    """And ends with what a run from nothing ends with."""
    models = data / "06_models" / CELL
    before = (models / f"{STAGE}.safetensors").read_bytes()
    state = models / "scratch" / f"{STAGE}_state.pt"
    state.parent.mkdir(exist_ok=True)
    if damage == "pickle":
        torch.save({"digest": "", "state": Executed(data / "executed")}, state)
    else:
        stored = stored_state(project, state)
        stored["model"] = {key: value.repeat(2, *[1] * (value.ndim - 1)) for key, value in stored["model"].items()}
        torch.save({"digest": digest_of_state(stored), "state": stored}, state)
    with caplog.at_level(logging.WARNING), listened(caplog):
        run_session(project, METHOD, from_nodes=(f"{METHOD}.train_{STAGE}",))
    assert "training starts anew" in caplog.text
    assert "weights_only" not in caplog.text
    assert (models / f"{STAGE}.safetensors").read_bytes() == before
    assert not state.exists()
    assert not (data / "executed").exists()
    aside = [path.name for path in state.parent.iterdir()]
    assert aside == ([f"{STAGE}_state.damaged-1.pt"] if damage == "pickle" else [])


@contextlib.contextmanager
def listened(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Let pytest hear the project, whose own configuration of logging does not hand on."""
    logger = logging.getLogger("reid_pipeline")
    logger.addHandler(caplog.handler)
    try:
        yield
    finally:
        logger.removeHandler(caplog.handler)


def stored_state(project: Project, state: Path) -> dict[str, Any]:
    """Return the state of a training that was not exported."""
    with KedroSession.create(project.root) as session:
        session.run(pipeline_names=[METHOD], node_names=[f"{METHOD}.train_{STAGE}"])
    loaded: dict[str, Any] = torch.load(state, weights_only=True)["state"]
    return loaded


@pytest.fixture(scope="module")
def catalog(project: Project) -> DataCatalog:
    """The catalog of a run of `changes` or a study."""
    with KedroSession.create(project.root, runtime_params={"method": METHOD}) as session:
        catalog: DataCatalog = session.load_context().catalog
        return catalog


def answer_to(error: Exception, catalog: DataCatalog, **run_params: Any) -> str:
    """Return what the hook makes of an error; empty where it leaves it."""
    hook = MadeAnew().on_pipeline_error(error, {"pipeline_names": None, **run_params}, catalog)
    next(hook)
    with pytest.raises((UserError, StopIteration)) as caught:
        hook.send(None)
    return str(caught.value) if isinstance(caught.value, UserError) else ""


def remedy(catalog: DataCatalog, name: str, **run_params: Any) -> str:
    """Return what the hook says of an entry's file."""
    return answer_to(UnreadableFile(file_of(catalog.get(name)) or Path(), "It is damaged."), catalog, **run_params)


def test_every_file_that_nodes_write_has_a_command_that_runs(catalog: DataCatalog) -> None:
    """Of all registered pipelines: the nodes are in the pipeline that is named."""
    nodes = {output: node for each in pipelines.values() for node in each.nodes for output in node.outputs}
    names = [name for name in nodes if file_of(catalog.get(name))]
    assert len(names) > 60
    for name in names:
        text = remedy(catalog, name, env="custom")
        words = command_in(text).split()
        assert "__default__" not in words[2]
        named = dict(word.removeprefix("--").split("=") for word in words[2:])
        wanted = named.get("nodes") or named["from-nodes"]
        assert set(wanted.split(",")) <= {each.name for each in pipelines[named["pipeline"]].nodes}
        several = ("present_", "earlier_", "changed_gallery")  # one file of several nodes
        assert f"by the node {nodes[name].name}: " in text or name.startswith(several), name
        assert named["env"] == "custom"


def test_parameters_are_typed_as_they_were_given(catalog: DataCatalog) -> None:
    def given(**params: Any) -> str:
        return remedy(catalog, "split_table", runtime_params=params, env="synthetic")

    nodes = "kedro run --pipeline=ingestion --nodes=make_split_table --env=synthetic"
    assert f"{nodes} --params=seed=1,splits.seed=3. Then" in given(seed=1, splits={"seed": 3})
    assert f"{nodes} --params='raw_root=my images,overlay=null'. Then" in given(raw_root="my images", overlay=None)
    assert f"{nodes} --params=tuning.deep=true. Then" in given(tuning={"deep": True})
    assert f"{nodes} --params='backbone.image_size=[32, 16]'. Then" in given(backbone={"image_size": [32, 16]})
    assert f"{nodes} --params='raw_root=\"a,b\"'. Then" in given(raw_root="a,b")
    assert f"{nodes}. Then" in given()


def test_the_pipeline_that_was_asked_for_is_named(catalog: DataCatalog) -> None:
    assert "--pipeline=pcl " in remedy(catalog, "galleries", pipeline_names=["pcl"])
    assert "--pipeline=ingestion " in remedy(catalog, "galleries", pipeline_names=["report"])
    assert "--pipeline=zero_shot " in remedy(catalog, "zero_shot_metrics", pipeline_names=["report"])
    assert "--pipeline=pcl " in remedy(catalog, "zero_shot_metrics", pipeline_names=["pcl"])
    # In __default__ the node of that name waits for all methods.
    assert "--pipeline=report --nodes=compare" in remedy(catalog, "comparison", pipeline_names=["report"])


def test_another_error_stays_as_it_is(catalog: DataCatalog) -> None:
    for error in (ValueError("other"), UserError("other"), UnreadableFile(Path("/nowhere/a.json"), "It is gone.")):
        assert answer_to(error, catalog) == ""
