"""DVC files say what Kedro does: the same paths, the code that is imported, parameters that exist."""

import shlex
from collections.abc import Iterable
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import grimp
import pytest
import yaml
from dvc.dependency import ParamsDependency
from dvc.repo import Repo
from dvc_programs import dvc_program
from kedro.config import OmegaConfigLoader
from kedro.framework.project import configure_project, pipelines
from kedro.io import DataCatalog
from project_copy import ROOT

from reid_pipeline.methods import find_method, method_names

write = dvc_program("write")
imports = dvc_program("imports")
ENVS = sorted(file.parent.name for file in ROOT.glob("conf/*/globals.yml") if file.parent.name != "base")
METHODS = method_names()
TRAINED = [name for name in METHODS if find_method(name).stage_names]
# Nothing that they decide is in a result: the bar on the console, and the package's version.
WITHOUT_EFFECT = {"reid_pipeline.engine.progress", "reid_pipeline"}
# In a package, names that it hands on; the modules behind them are what matters (dvc/imports.py).
ROOTS = {
    "ingestion": ("pipelines.ingestion.pipeline", "benchmarks.synthetic"),
    "report": ("pipelines.report.pipeline",),
    **{name: ("pipelines.method.pipeline", f"methods.{name}") for name in METHODS},
}


@pytest.fixture(scope="module", autouse=True)
def project() -> None:
    configure_project("reid_pipeline")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty DVC project in which the DVC stages of every environment have been written."""
    root = tmp_path_factory.mktemp("stages")
    for env in ENVS:
        file = root / write.dvc_file(env).relative_to(ROOT)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(write.text_of(env))
    Repo.init(str(root), no_scm=True).close()
    return root


@pytest.fixture(scope="module")
def stages(folder: Path) -> dict[str, dict[str, Any]]:
    """DVC's own reading of those files: by environment and name."""
    found: dict[str, dict[str, Any]] = {env: {} for env in ENVS}
    with Repo(str(folder)) as repo:
        for stage in repo.index.stages:
            home = Path(stage.dvcfile.path).parent
            found["synthetic" if home == folder else home.name][stage.name] = stage
    return found


def relative(paths: Iterable[Any], folder: Path) -> set[str]:
    return {PurePosixPath(path.fs_path).relative_to(folder.as_posix()).as_posix() for path in paths}


def files_of(stage: Any, folder: Path) -> set[str]:
    return relative((dep for dep in stage.deps if not isinstance(dep, ParamsDependency)), folder)


def parameters_of(stage: Any, folder: Path) -> dict[str, list[str]]:
    found = [dep for dep in stage.deps if isinstance(dep, ParamsDependency)]
    return {next(iter(relative([dep], folder))): list(dep.params) for dep in found}


@cache
def catalog_of(env: str, seed: int) -> DataCatalog:
    loader = OmegaConfigLoader(
        str(ROOT / "conf"),
        env,
        {"seed": seed},
        base_env="base",
        merge_strategy={"globals": "soft", "parameters": "soft"},
    )
    return DataCatalog.from_config(loader["catalog"])


def options(command: str) -> dict[str, str]:
    """Return the options of a `kedro run --name=value ...`."""
    program, verb, *words = shlex.split(command)
    assert (program, verb) == ("kedro", "run")
    return dict(word.removeprefix("--").split("=", 1) for word in words)


def kedro_paths(command: str) -> tuple[set[str], set[str], list[Any]]:
    """Return what a command reads and writes by the catalog, and the datasets it uses.

    Scratch is left out, and what Kedro keeps versions of by itself, outside DVC (docs/versioning.md).
    """
    given = options(command)
    pipeline = pipelines[given["pipelines"]]
    if "namespaces" in given:
        pipeline = pipeline.filter(node_namespaces=given["namespaces"].split(","))
    catalog = catalog_of(
        given.get("env", "synthetic"), int(given.get("params", "seed=0").removeprefix("seed="))
    )
    datasets = {name: catalog.get(name) for name in pipeline.datasets() if not name.startswith("params:")}
    paths = {}
    for name, dataset in datasets.items():
        path = getattr(dataset, "_filepath", getattr(dataset, "_root", None))
        versioned = getattr(dataset, "_version", None) is not None
        if path is not None and not versioned and "scratch" not in Path(str(path)).parts:
            paths[name] = PurePosixPath(str(path)).as_posix()
    written = {path for name, path in paths.items() if name in pipeline.all_outputs()}
    read = {path for name, path in paths.items() if name in pipeline.inputs()}
    return read, written, list(datasets.values())


def test_dvc_yaml_is_what_the_imports_say() -> None:
    assert (ROOT / "dvc.yaml").read_text() == write.text_of("synthetic"), "run: make stages"


@pytest.mark.parametrize("env", ENVS)
def test_there_is_a_cell_for_every_method_and_seed(stages: dict[str, dict[str, Any]], env: str) -> None:
    cells = {f"{method}@{seed}" for method in METHODS for seed in write.SEEDS}
    assert set(stages[env]) == cells | {"ingestion", "report"}


@pytest.mark.parametrize("env", ENVS)
def test_outs_and_data_deps_are_the_catalogs(stages: dict[str, Any], folder: Path, env: str) -> None:
    chosen = {"synthetic": ["0", "1", "2"]}.get(env, ["1"])
    for name, stage in stages[env].items():
        if "@" in name and name.split("@")[1] not in chosen:
            continue
        assert options(stage.cmd).get("env", "synthetic") == env
        read, written, _ = kedro_paths(stage.cmd)
        if name == "ingestion":  # it reads what an earlier run wrote, and draws what it reads
            written |= {f"data/01_raw/{env}"} if env.startswith("synthetic") else set()
            read -= written
        if name == "report":  # it looks at the folders of results
            read |= {f"data/08_reporting/{env}/{method}" for method in METHODS}
        assert relative(stage.outs, folder) == written, name
        assert {path for path in files_of(stage, folder) if path.startswith("data/")} == read, name


def covered(module: str, declared: Iterable[str]) -> bool:
    file = PurePosixPath("src", *module.split("."))
    return any(
        PurePosixPath(path) in (file.with_suffix(".py"), file / "__init__.py")
        or PurePosixPath(path) in file.parents
        or PurePosixPath(path) == file
        for path in declared
    )


@pytest.fixture(scope="module")
def needed() -> dict[str, tuple[set[str], set[str]]]:
    """By step, the modules that it certainly imports and those that it could: grimp's graph, twice.

    The first leaves out what only type checkers see, and what a package's `__init__` hands on; the second has
    all of both.
    """
    most = grimp.build_graph("reid_pipeline")
    least = grimp.build_graph("reid_pipeline", exclude_type_checking_imports=True)
    for name in least.modules:
        for inner in [
            each for each in least.find_modules_directly_imported_by(name) if each.startswith(f"{name}.")
        ]:
            least.remove_import(importer=name, imported=inner)
    found = {}
    for step, roots in ROOTS.items():
        command = f"kedro run --pipelines={step}" + (f" --namespaces={step}" if step in METHODS else "")
        used = {type(each).__module__ for each in kedro_paths(command)[2]}
        starts = {f"reid_pipeline.{root}" for root in roots} | {name for name in used if "reid" in name}
        bounds = [
            starts.union(*(graph.find_upstream_modules(name) for name in starts)) for graph in (least, most)
        ]
        found[step] = (bounds[0] - WITHOUT_EFFECT, bounds[1])
    return found


@pytest.mark.parametrize("step", ROOTS)
def test_code_deps_hold_all_that_is_imported_and_nothing_else(
    stages: dict[str, Any], folder: Path, needed: dict[str, tuple[set[str], set[str]]], step: str
) -> None:
    stage = stages["synthetic"][f"{step}@0" if step in METHODS else step]
    declared = {path for path in files_of(stage, folder) if path.startswith("src/")}
    least, most = needed[step]
    if step != "ingestion":  # it draws the images, on which the cells depend
        least = {name for name in least if not name.startswith("reid_pipeline.synthetic")}
    assert not {name for name in least if not covered(name, declared)}
    assert not {name for name in imports.modules() if covered(name, declared)} - most


@pytest.mark.parametrize(
    ("file", "steps"),
    [
        ("methods/pcl.py", {"pcl"}),
        ("engine/prompted.py", {"clip_reid", "svll_reid"}),
        ("engine/fine_tuning.py", {"baseline", "clip_reid", "svll_reid"}),
        ("engine/dev_scores.py", set()),
        ("losses/triplet.py", {"baseline", "clip_reid", "svll_reid"}),
        ("losses/nt_xent.py", {"svll_reid"}),
        ("losses/identity.py", {"baseline", "clip_reid", "svll_reid", "pcl"}),
        ("losses/prototype_memory.py", {"pcl", "unsupervised_pcl"}),
        ("losses/image_text.py", {"clip_reid", "svll_reid"}),
        ("models/prompt_augmentation.py", {"svll_reid"}),
        ("clustering/dbscan.py", {"unsupervised_pcl"}),
        ("images/samplers.py", set(TRAINED)),
        ("images/check.py", {"ingestion"}),
        ("synthetic/garments.py", {"ingestion"}),
        ("retrieval/ranks.py", set(METHODS)),
        ("reporting/comparison.py", {"report"}),
        ("reporting/published.csv", {"report"}),
        ("reporting/dataset_page.py", {"ingestion"}),
        ("reporting/templates/comparison.html.j2", {"report"}),
        ("models/weights/demo_clip.safetensors", set(METHODS)),
        ("schema/errors.py", {*METHODS, "ingestion", "report"}),
        ("tuning/study.py", set()),
    ],
)
def test_a_file_makes_stale_the_cells_that_use_it(
    stages: dict[str, Any], folder: Path, file: str, steps: set[str]
) -> None:
    path = PurePosixPath("src/reid_pipeline", file)
    stale = {
        name
        for name, stage in stages["synthetic"].items()
        if any(path.is_relative_to(dep) for dep in files_of(stage, folder))
    }
    assert stale == {f"{step}@{seed}" for step in steps & set(METHODS) for seed in write.SEEDS} | (
        steps - set(METHODS)
    )


def test_every_data_file_of_the_package_is_a_dependency_or_known_not_to_be() -> None:
    used = imports.needed_paths(
        "pipelines.ingestion.pipeline",
        "pipelines.report.pipeline",
        *(root for roots in ROOTS.values() for root in roots),
    )
    loose = {
        file.name
        for file in imports.SOURCE.rglob("*")
        if file.is_file()
        and file.suffix not in {".py", ".pyc"}
        and not any(file.is_relative_to(ROOT / path) for path in used)
    }
    assert loose == {"tuning.html.j2"}


@pytest.mark.parametrize("env", ENVS)
def test_a_parameter_file_is_a_dependency_of_its_methods_cells_alone(
    stages: dict[str, Any], folder: Path, env: str
) -> None:
    for method in METHODS:
        for home in ("base", env):
            file = f"conf/{home}/parameters_{method}.yml"
            users = {name for name, stage in stages[env].items() if file in parameters_of(stage, folder)}
            exists = (ROOT / file).is_file()
            assert users == ({f"{method}@{seed}" for seed in write.SEEDS} if exists else set())
        cell = parameters_of(stages[env][f"{method}@0"], folder)
        assert set(cell.values().__iter__().__next__()) == set()  # each file whole
        assert all(not names for names in cell.values())
        assert {"conf/base/parameters.yml", f"conf/{env}/parameters.yml"} <= set(cell)


def test_ingestions_parameters_are_those_it_reads(stages: dict[str, Any], folder: Path) -> None:
    declared = set(parameters_of(stages["synthetic"]["ingestion"], folder)["conf/base/parameters.yml"])
    read = {
        name.removeprefix("params:") for name in pipelines["ingestion"].inputs() if name.startswith("params:")
    }
    assert declared == read
    assert declared <= set(yaml.safe_load((ROOT / "conf/base/parameters.yml").read_text()))


def test_plots_are_of_outs(stages: dict[str, Any], folder: Path) -> None:
    for env in ("synthetic", "market1501"):
        outs = {path for stage in stages[env].values() for path in relative(stage.outs, folder)}
        file = folder / write.dvc_file(env).relative_to(ROOT)
        drawn = {
            path
            for plot in yaml.safe_load(file.read_text())["plots"]
            for each in plot.values()
            for path in each["y"]
        }
        found = {(file.parent / path).resolve().relative_to(folder.resolve()).as_posix() for path in drawn}
        assert found <= outs
        assert len(found) > 6
