"""A copy of the project with a small problem and a short plan, and a way to type `kedro` in it."""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from compiled import share_kernels
from warm_python import Program, start

from reid_pipeline.methods import method_names
from reid_pipeline.schema.nested import merged

ROOT = Path(__file__).parents[2]
DRAWING = {
    "train_identities": 12,
    "test_identities": 8,
    "cameras_per_identity": [3, 3],
    "images_per_camera": [2, 2],
    "distractors": 6,
    "junk": 4,
    "lighting": 0.0,
    "places_per_camera": 1,
    "tracklet_length": 4,
}
# The least on which zero_shot runs, by a session in the test's own process.
LEAST_DRAWING = {
    "train_identities": 2,
    "test_identities": 3,
    "num_cameras": 2,
    "cameras_per_identity": [2, 2],
    "images_per_camera": [2, 2],
}
LEAST_PEOPLE = {**LEAST_DRAWING, "distractors": 0, "junk": 0}
LEAST_BACKBONE = {"name": "demo-vit", "pretrained": "demo", "image_size": [32, 16]}
SIZE = [64, 32]
PRINTED = {"COLUMNS": "200", "NO_COLOR": "1"}
PLAN = {"epochs": 3, "iterations_per_epoch": 3, "batch_size": 32, "instances": 4}


@dataclass(frozen=True)
class Project:
    """A project folder.

    Attributes:
        root: where it lies.
    """

    root: Path

    def start(self, *words: str) -> Program:
        """Start `kedro <words>` in a warm Python and return the process; both streams come as one."""
        return start("-m", "kedro", *words, folder=self.root, variables=PRINTED)

    def kedro(self, *words: str) -> tuple[int, str]:
        """Run `kedro <words>` likewise; return the exit status and what it printed."""
        process = self.start(*words)
        printed, _ = process.communicate(timeout=300)
        return process.wait(), printed

    def kedro_anew(self, *words: str) -> tuple[int, str]:
        """Run `kedro <words>` in an interpreter of its own, as a user does."""
        done = subprocess.run(
            [sys.executable, "-m", "kedro", *words],
            cwd=self.root,
            env={**os.environ, **PRINTED, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=300,
        )
        return done.returncode, done.stdout

    def configure(self, environment: str = "synthetic", **parameters: Any) -> None:
        """Write parameters into conf/<environment>, as a user edits it; `synthetic` is the drawing."""
        folder = self.root / "conf" / environment
        if "synthetic" in parameters:
            file = folder / "catalog.yml"
            entries = yaml.safe_load(file.read_text())
            entries["raw_images"]["drawing"] = parameters.pop("synthetic")
            file.write_text(yaml.safe_dump(entries))
        for name, values in parameters.items():
            own = folder / f"parameters_{name}.yml"
            file = own if name in method_names() else folder / "parameters.yml"
            held = yaml.safe_load(file.read_text()) if file.is_file() else {}
            file.write_text(yaml.safe_dump(merged(held, {name: values})))

    def result(self, method: str, name: str, *, seed: int = 0) -> Path:
        """Return the path of a result file; of a variant `method` is `<method>+<variant>`."""
        return self.root / "data/08_reporting/synthetic" / method / f"seed_{seed}" / name


def last_run(project: Project) -> dict[str, Any]:
    """Return what kedro viz's server answers of the last run, with the project's nodes by name."""
    from kedro_viz.api.rest.responses.run_events import get_run_status_response
    from kedro_viz.integrations.kedro.hooks_utils import hash_node

    from reid_pipeline.pipeline_registry import register_pipelines

    with contextlib.chdir(project.root):
        answer = get_run_status_response().model_dump(mode="json")
    known = {hash_node(node): node.name for each in register_pipelines().values() for node in each.nodes}
    return {**answer, "nodes": {known[number]: found for number, found in answer["nodes"].items()}}


def make_project(root: Path, *, explained: bool = False) -> Project:
    """Copy what a run needs; reports say nothing of what the model sees unless `explained`, to save seconds a run."""
    root.mkdir(parents=True)
    shutil.copytree(ROOT / "conf", root / "conf")
    shutil.copy(ROOT / "pyproject.toml", root)
    shutil.copy(ROOT / ".telemetry", root)
    shutil.copytree(ROOT / "src", root / "src")  # with what Python compiled, as times of files are copied, too
    share_kernels(root)
    made = Project(root)
    clustering = {"k1": 10, "eps": 0.6, "min_samples": 2}
    made.configure(
        unsupervised_pcl={"plan": PLAN, "clustering": clustering}, synthetic=DRAWING, backbone={"image_size": SIZE}
    )
    if not explained:
        made.configure(report={"explain": dict.fromkeys(("identities", "texts", "pictures", "queries"), 0)})
    return made


@contextlib.contextmanager
def measured_project(root: Path) -> Iterator[Project]:
    """Within the block this process runs sessions of a project in which zero_shot was measured on the least drawing."""
    from kedro.framework.project import configure_project
    from kedro.framework.session import KedroSession
    from kedro.framework.startup import bootstrap_project

    made = make_project(root)
    bootstrap_project(made.root)
    made.configure(backbone=LEAST_BACKBONE, synthetic=LEAST_PEOPLE)
    with KedroSession.create(made.root) as session:
        session.run(pipeline_names=["zero_shot"], to_nodes=["zero_shot.evaluate"])
    yield made
    configure_project("reid_pipeline")


def run_documented(project: Project, words: list[str]) -> None:
    """Run a `kedro run` of a document in this process, as the command line reads its words."""
    from kedro.framework.session import KedroSession

    from reid_pipeline.cli.command import run

    assert words[:2] == ["kedro", "run"]
    given = run.make_context("run", words[2:]).params
    with KedroSession.create(project.root, env=given["env"], runtime_params=given["params"]) as session:
        session.run(
            pipeline_names=given["pipelines"] or [given["pipeline"]],
            from_nodes=given["from_nodes"],
            to_nodes=given["to_nodes"],
        )


def run_session(
    project: Project,
    pipeline: str,
    *,
    environment: str = "synthetic",
    from_nodes: tuple[str, ...] = (),
    to_nodes: tuple[str, ...] = (),
    **parameters: Any,
) -> None:
    """Run a pipeline in this process; the caller has bootstrapped the project. Half of what a run takes is its page."""
    from kedro.framework.session import KedroSession

    with KedroSession.create(project.root, env=environment, runtime_params=parameters) as session:
        session.run(pipeline_names=[pipeline], from_nodes=list(from_nodes), to_nodes=list(to_nodes))
