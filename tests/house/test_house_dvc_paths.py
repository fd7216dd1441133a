"""dvc.yaml says what Kedro does: the same paths, the code that is imported, parameters that exist."""

import shlex
from pathlib import Path, PurePosixPath
from typing import Any

import grimp
import pytest
import yaml
from dvc.dependency import ParamsDependency
from dvc.repo import Repo
from kedro.framework.project import pipelines
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from project_copy import ROOT

# Nothing that they decide is in a result: the bar on the console, and the package's version.
WITHOUT_EFFECT = {"reid_pipeline.engine.progress", "reid_pipeline"}


@pytest.fixture(scope="module")
def stages() -> dict[str, Any]:
    with Repo(str(ROOT)) as repo:
        return {stage.addressing: stage for stage in repo.index.stages}


@pytest.fixture(scope="module")
def project() -> None:
    bootstrap_project(ROOT)


def relative(paths: Any) -> set[str]:
    return {PurePosixPath(path.fs_path).relative_to(ROOT.as_posix()).as_posix() for path in paths}


def options(command: str) -> dict[str, str]:
    """Return the options of a `kedro run --name=value ...`."""
    program, verb, *words = shlex.split(command)
    assert (program, verb) == ("kedro", "run")
    return dict(word.removeprefix("--").split("=", 1) for word in words)


def kedro_paths(command: str) -> tuple[set[str], set[str]]:
    """Return the files that a command reads and writes, by the catalog; no scratch or versioned ones."""
    given = options(command)
    pipeline = pipelines[given["pipelines"]].filter(
        from_nodes=given["from-nodes"].split(",") if "from-nodes" in given else None,
        to_nodes=given["to-nodes"].split(",") if "to-nodes" in given else None,
    )
    seed = given.get("params", "seed=0").removeprefix("seed=")
    with KedroSession.create(ROOT, runtime_params={"seed": int(seed)}) as session:
        catalog = session.load_context().catalog
    paths: dict[str, str] = {}
    for name in pipeline.datasets():
        found = catalog.get(name) if not name.startswith("params:") else None
        path = getattr(found, "_filepath", getattr(found, "_root", None))
        # Kedro keeps versions of these by itself, outside DVC: docs/versioning.md.
        versioned = getattr(found, "_version", None) is not None
        if path is not None and not versioned and "scratch" not in Path(str(path)).parts:
            paths[name] = Path(str(path)).relative_to(ROOT).as_posix()
    written = pipeline.all_outputs()
    return (
        {path for name, path in paths.items() if name not in written and name in pipeline.inputs()},
        {path for name, path in paths.items() if name in written},
    )


@pytest.mark.usefixtures("project")
def test_outs_and_data_deps_are_the_catalogs(stages: dict[str, Any]) -> None:
    assert set(stages) == {"ingestion", "zero_shot@0", "unsupervised_pcl@0"}
    for name, stage in stages.items():
        read, written = kedro_paths(stage.cmd)
        if name == "ingestion":  # it draws what it reads, and reads what an earlier run wrote
            written |= {"data/01_raw/synthetic"}
            read -= written
        assert relative(stage.outs) == written, name
        files = [dep for dep in stage.deps if not isinstance(dep, ParamsDependency)]
        assert {path for path in relative(files) if path.startswith("data/")} == read, name


@pytest.mark.parametrize(
    ("stage", "roots"),
    [
        ("ingestion", ("pipelines.ingestion.pipeline", "io.raw", "io.page", "benchmarks.synthetic")),
        ("zero_shot@0", ("pipelines.method.pipeline", "methods.zero_shot", "io.weights", "io.page")),
        ("unsupervised_pcl@0", ("pipelines.method.pipeline", "methods.unsupervised_pcl", "io.weights")),
    ],
)
def test_code_deps_hold_all_that_is_imported(
    stages: dict[str, Any], stage: str, roots: tuple[str, ...]
) -> None:
    graph = grimp.build_graph("reid_pipeline")
    names = {f"reid_pipeline.{root}" for root in roots}
    imported = names.union(*(graph.find_upstream_modules(name) for name in names)) - WITHOUT_EFFECT
    declared = [PurePosixPath(path) for path in relative(stages[stage].deps)]
    loose = {
        name
        for name in imported
        if not any(
            PurePosixPath("src", *name.split(".")).with_suffix(suffix).is_relative_to(dep)
            for dep in declared
            for suffix in ("", ".py")
        )
    }
    assert not loose


def test_parameters_are_all_declared(stages: dict[str, Any]) -> None:
    """Every conf file that holds parameters of a cell is named by its DVC stage, whole."""
    for method in ("zero_shot", "unsupervised_pcl"):
        declared = {
            PurePosixPath(dep.fs_path).relative_to(ROOT.as_posix()).as_posix(): set(dep.params)
            for dep in stages[f"{method}@0"].deps
            if isinstance(dep, ParamsDependency)
        }
        for folder in ("base", "synthetic"):
            file = f"conf/{folder}/parameters_{method}.yml"
            assert declared[file] == set(yaml.safe_load((ROOT / file).read_text()))
    shared = set(yaml.safe_load((ROOT / "conf/base/parameters.yml").read_text()))
    used = {"compute", "splits", "evaluation", "report", "ingestion"}
    assert used <= shared
    # The cell's own folder and command name these two.
    assert shared - used == {"benchmark", "seed"}
