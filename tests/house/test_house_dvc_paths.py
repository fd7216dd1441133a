"""DVC files say what Kedro does: the same paths, the code that is imported, parameters that exist."""

import hashlib
import json
import shlex
from collections.abc import Iterable
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import grimp
import pytest
import yaml
from dvc.repo import Repo
from dvc_programs import dvc_program
from kedro.framework.project import configure_project, pipelines
from kedro.io import DataCatalog
from pipelines_snapshot import METHODS as SHIPPED
from project_copy import ROOT

from reid_pipeline.config.loader import LayeredConfigLoader
from reid_pipeline.io.all_cells import AllResultsDataset
from reid_pipeline.io.environment import RunEnvironmentDataset
from reid_pipeline.io.image_cache import ImageCacheDataset
from reid_pipeline.io.results import RunResultsDataset
from reid_pipeline.methods import find_method, method_names
from reid_pipeline.settings import CONFIG_LOADER_ARGS

pytestmark = pytest.mark.slow  # many that take a moment each

write, listings, imports = map(dvc_program, ("write", "listings", "imports"))
ENVS = sorted(file.parent.name for file in ROOT.glob("conf/*/globals.yml") if file.parent.name != "base")
METHODS = method_names()
TRAINED = {name for name in METHODS if find_method(name).stage_names}
# Nothing that they decide is in a result: the bar on the console, and the package's version.
WITHOUT_EFFECT = {"reid_pipeline.engine.progress", "reid_pipeline"}
PACKAGES = ("reid_drawings", "reid_pipeline")
# Neither an input nor a result, or folders whose files are listed one by one.
NO_DEPS = (RunEnvironmentDataset, ImageCacheDataset, RunResultsDataset, AllResultsDataset)
ROOTS = {
    "ingestion_synthetic": ("pipelines.ingestion", "readers.synthetic"),
    "report": ("pipelines.report",),
    "leaderboard": ("pipelines.leaderboard",),
    **{name: ("pipelines.method", f"methods.{name}", "workers.worker") for name in METHODS},
}


@pytest.fixture(scope="module", autouse=True)
def project() -> None:
    configure_project("reid_pipeline")


def entries(written: Iterable[Any]) -> dict[str, Any]:
    """Return the options of each path of a list in a DVC file."""
    return {
        name: options
        for each in written
        for name, options in (each.items() if isinstance(each, dict) else [(each, None)])
    }


@cache
def stages(env: str) -> dict[str, dict[str, Any]]:
    """Return the DVC stages that are written for an environment, by name, matrices multiplied out."""
    found = {}
    for name, stage in write.document(env)["stages"].items():
        for seed in write.SEEDS if "matrix" in stage else [None]:
            one = json.loads(json.dumps(stage).replace("${item.seed}", str(seed)))
            outs = entries([*one["outs"], *one.get("metrics", [])])
            found[name if seed is None else f"{name}@{seed}"] = {
                "cmd": one["cmd"],
                "deps": set(one["deps"]),
                "params": entries(one.get("params", [])),
                "outs": outs,
            }
    return found


@cache
def catalog_of(env: str, params: str) -> DataCatalog:
    given = dict(item.split("=") for item in params.split(","))
    given |= {"seed": int(given["seed"])}
    loader = LayeredConfigLoader(str(ROOT / "conf"), env, given, **CONFIG_LOADER_ARGS)
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
    catalog = catalog_of(given.get("env", "synthetic"), given.get("params", "seed=0"))
    datasets = {name: catalog.get(name) for name in pipeline.datasets() if not name.startswith("param")}
    paths = {}
    for name, dataset in datasets.items():
        path = None if isinstance(dataset, NO_DEPS) else getattr(dataset, "_filepath", None)
        versioned = getattr(dataset, "_version", None) is not None
        if path is not None and not versioned and "scratch" not in Path(str(path)).parts:
            paths[name] = PurePosixPath(str(path)).as_posix()
    written = {path for name, path in paths.items() if name in pipeline.all_outputs()}
    read = {path for name, path in paths.items() if name in pipeline.inputs()}
    return read, written, list(datasets.values())


def test_dvc_yaml_is_what_is_written() -> None:
    assert (ROOT / "dvc.yaml").read_text() == write.text_of("synthetic"), "run: make stages"


def test_dvc_reads_what_is_written(tmp_path: Path) -> None:
    """The root's and a real benchmark's, side by side: the second is the first with `--env`."""
    for env in ("synthetic", "market1501"):
        file = tmp_path / write.dvc_file(env).relative_to(ROOT)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(write.text_of(env))
    Repo.init(str(tmp_path), no_scm=True).close()
    with Repo(str(tmp_path)) as repo:
        for stage in repo.index.stages:
            env = "synthetic" if Path(stage.dvcfile.path).parent == tmp_path else "market1501"
            ours = stages(env)[stage.name]
            assert stage.cmd == ours["cmd"]
            assert {Path(out.fs_path).relative_to(tmp_path).as_posix() for out in stage.outs} == set(ours["outs"])
            files = {Path(dep.fs_path).relative_to(tmp_path).as_posix() for dep in stage.deps}
            assert files == ours["deps"] | set(ours["params"])
        assert len(repo.index.stages) == len(stages("synthetic")) + len(stages("market1501"))
        graph = repo.index.graph  # whoever makes a path comes before whoever needs it
        (report,) = (each for each in graph if each.name == "report" and Path(each.dvcfile.path).parent == tmp_path)
        assert {each.name for each in graph.successors(report)} == {"code"} | {
            f"{method}@{seed}" for method in METHODS for seed in write.SEEDS
        }


@pytest.mark.parametrize("env", ENVS)
def test_there_is_a_cell_for_every_method_and_seed(env: str) -> None:
    cells = {f"{method}@{seed}" for method in METHODS for seed in (0, 1, 2)}
    once = {"code", "leaderboard"} if env == "synthetic" else set()
    assert set(stages(env)) == cells | {"ingestion", "report"} | once


@pytest.mark.slow
@pytest.mark.parametrize("env", ENVS)
def test_outs_and_data_deps_are_the_catalogs(env: str) -> None:
    raw = f"data/01_raw/{env}"
    chosen = ("0", "1", "2") if env == "synthetic" else ("1",)
    for name, stage in stages(env).items():
        method, _, seed = name.partition("@")
        if name == "code" or (seed and seed not in chosen):
            continue
        assert options(stage["cmd"]).get("env", "synthetic") == env
        read, written, _ = kedro_paths(stage["cmd"])
        if name == "ingestion":  # it reads what an earlier run wrote, and draws what it reads
            written |= {raw} if env.startswith("synthetic") else set()
            read -= written
        elif name in ("report", "leaderboard"):  # it looks at the folders of results
            read |= {f"data/08_reporting/{env}/{method}" for method in METHODS}
        else:  # the split table, which it reads, has the images' hashes
            read -= {raw}
        listing = f"data/00_code/{f'ingestion_{env}' if name == 'ingestion' else method}.txt"
        assert set(stage["outs"]) == written, name
        assert stage["deps"] == read | {listing}, name


@pytest.mark.parametrize(
    ("overlay", "methods"),
    [
        ("rn50", {"zero_shot", "baseline", "clip_reid"}),  # those that it has a block of
        ("sie_olp", set(METHODS) - {"svll_reid"}),  # which is published with both
    ],
)
def test_an_overlays_cells_are_rows_of_their_own(overlay: str, methods: set[str]) -> None:
    env = "market1501"
    plain, found = write.document(env)["stages"], write.document(env, [overlay])["stages"]
    assert set(found) - set(plain) == {f"{method}-{overlay}" for method in methods}
    assert {name: found[name] for name in plain if name != "report"} == {
        name: stage for name, stage in plain.items() if name != "report"
    }
    for method in methods:
        stage = json.loads(json.dumps(found[f"{method}-{overlay}"]).replace("${item.seed}", "1"))
        assert options(stage["cmd"])["params"] == f"seed=1,overlay={overlay}"
        read, written, _ = kedro_paths(stage["cmd"])
        assert set(entries(stage["outs"])) == written
        assert set(stage["deps"]) == (read - {f"data/01_raw/{env}"}) | {f"data/00_code/{method}.txt"}
        assert all(f"/{method}+{overlay}/" in path for path in written)
        assert f"conf/overlays/{overlay}.yml" in entries(stage["params"])
        assert f"data/08_reporting/{env}/{method}+{overlay}" in found["report"]["deps"]
    assert f'OVERLAYS="{overlay}"' in write.text_of(env, [overlay])


def test_a_cell_depends_on_what_its_environment_has_of_an_overlay() -> None:
    stages = write.document("vehicleid", ["rn50"])["stages"]
    for method in ("baseline", "clip_reid"):
        found = entries(stages[f"{method}-rn50"]["params"])
        assert {"conf/overlays/rn50.yml", "conf/vehicleid/overlays/rn50.yml"} <= set(found)
    assert not [name for name in entries(stages["clip_reid"]["params"]) if "overlays" in name]


def test_what_is_left_to_git_is_not_ignored_by_it() -> None:
    ignored = (ROOT / ".gitignore").read_text()
    for stage in stages("synthetic").values():
        for path, kept in stage["outs"].items():
            name = PurePosixPath(path).name
            assert (f"/{name}" in ignored) == (kept is not None and kept.get("cache") is False), path


@pytest.fixture(scope="module")
def bounds() -> dict[str, tuple[set[str], set[str]]]:
    """By step, the modules that it certainly imports and those that it could, by grimp's graph.

    The first leaves out what only type checkers see, and what the `__init__` of a package hands on.
    """
    most = grimp.build_graph(*PACKAGES)
    least = grimp.build_graph(*PACKAGES, exclude_type_checking_imports=True)
    for graph in (most, least):
        for package in ("reid_pipeline.clustering.kinds", "reid_pipeline.models.towers"):
            for kind in graph.find_children(package):  # it imports its modules by what lies there
                graph.add_import(importer=package, imported=kind)
    index = "reid_pipeline.io.index_page"  # it is no result
    least.remove_import(importer="reid_pipeline.io.page", imported=index)
    rooms = ("losses", "clustering", "geometry", "retrieval", "splits")
    for name in ("reid_drawings", *(f"reid_pipeline.{room}" for room in rooms)):
        for inner in least.find_modules_directly_imported_by(name):
            least.remove_import(importer=name, imported=inner)
    found = {}
    for step, roots in ROOTS.items():
        pipeline = step.removesuffix("_synthetic")
        spaced = f" --namespaces={step}" if step in METHODS else ""
        used = {type(each).__module__ for each in kedro_paths(f"kedro run --pipelines={pipeline}{spaced}")[2]}
        starts = {f"reid_pipeline.{root}" for root in roots} | {name for name in used if "reid_" in name}
        few, many = (starts.union(*(graph.find_upstream_modules(name) for name in starts)) for graph in (least, most))
        found[step] = few - WITHOUT_EFFECT, many
    return found


def listed(step: str) -> set[str]:
    return {line.split("  ")[1] for line in listings.listing(step).splitlines()}


@pytest.mark.slow
@pytest.mark.parametrize("step", ROOTS)
def test_the_listing_holds_all_that_is_imported_and_nothing_else(
    bounds: dict[str, tuple[set[str], set[str]]], step: str
) -> None:
    files = {name: file.relative_to(ROOT).as_posix() for name, file in imports.modules().items()}
    few, many = bounds[step]
    if step != "ingestion_synthetic":  # it draws the images, on which the cells depend
        few = {name for name in few if not name.startswith("reid_drawings")}
    code = {path for path in listed(step) if path.endswith(".py")}
    assert {files[name] for name in few} <= code
    assert code <= {files[name] for name in many}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "steps"),
    [
        ("methods/pcl.py", {"pcl"}),
        ("methods/_prompted.py", {"clip_reid", "svll_reid"}),
        ("methods/_fine_tuning.py", {"baseline", "clip_reid", "svll_reid"}),
        ("evaluation/dev_scores.py", set()),
        ("losses/triplet.py", {"baseline", "clip_reid", "svll_reid"}),
        ("losses/self_supervised.py", {"svll_reid"}),
        ("losses/identity.py", {"baseline", "clip_reid", "svll_reid", "pcl"}),
        ("losses/prototype_memory.py", {"pcl", "unsupervised_pcl"}),
        ("losses/image_text.py", {"clip_reid", "svll_reid"}),
        ("models/prompt_augmentation.py", {"svll_reid"}),
        ("clustering/kinds/dbscan.py", set(METHODS)),  # every report shows clusters
        ("images/samplers.py", TRAINED),
        ("images/check.py", {"ingestion_synthetic"}),
        ("reid_drawings/garments.py", {"ingestion_synthetic"}),
        # A report pairs the precisions of queries.
        ("retrieval/ranks.py", {*METHODS, "report", "leaderboard"}),
        ("reporting/comparison.py", {"report", "leaderboard"}),
        ("reporting/published.csv", {"report", "leaderboard"}),
        ("reporting/dataset_page.py", {"ingestion_synthetic"}),
        ("reporting/templates/comparison.html.j2", {"report", "leaderboard"}),
        ("models/weights/demo_clip.safetensors", {*METHODS, "leaderboard"}),  # io.all_cells reads embedders
        ("schema/errors.py", {*ROOTS}),
        ("tuning/study.py", set()),
    ],
)
def test_a_file_is_listed_for_the_steps_that_use_it(file: str, steps: set[str]) -> None:
    path = f"src/{file}" if file.startswith("reid_drawings") else f"src/reid_pipeline/{file}"
    assert (ROOT / path).is_file()
    shipped = {step for step in ROOTS if step not in METHODS or step in SHIPPED}
    assert {step for step in shipped if path in listed(step)} == steps & shipped


def test_a_listing_changes_with_the_bytes_and_has_an_order() -> None:
    lines = [line.split("  ") for line in listings.listing("pcl").splitlines()]
    for found, path in (lines[0], lines[-1]):
        assert found == hashlib.sha256((ROOT / path).read_bytes()).hexdigest()
    paths = [path for _, path in lines]
    assert paths == sorted(set(paths))


def test_every_data_file_of_the_package_is_listed() -> None:
    used = set().union(*map(listed, ROOTS))
    files = {
        file.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for file in (imports.SOURCE / package).rglob("*")
        if file.is_file() and file.suffix != ".py" and file.parent.name != "__pycache__"
    }
    no_dvc_stage = {
        "cross_benchmark.html.j2",
        "gallery.html.j2",
        "gallery_answers.html.j2",
        "index.html.j2",
        "py.typed",
        "tuning.html.j2",
    }
    assert {PurePosixPath(path).name for path in files - used} == no_dvc_stage


@pytest.mark.parametrize("env", ENVS)
def test_a_parameter_file_is_a_dependency_of_its_methods_cells_alone(env: str) -> None:
    for method in METHODS:
        for home in ("base", env):
            file = f"conf/{home}/parameters_{method}.yml"
            users = {name for name, stage in stages(env).items() if file in stage["params"]}
            exists = (ROOT / file).is_file()
            assert users == ({f"{method}@{seed}" for seed in (0, 1, 2)} if exists else set())
        cell = stages(env)[f"{method}@0"]["params"]
        assert set(cell.values()) == {None}, "each file whole"
        assert {"conf/base/parameters.yml", f"conf/{env}/parameters.yml"} <= set(cell)


def test_ingestions_parameters_are_those_it_reads() -> None:
    declared = set(stages("synthetic")["ingestion"]["params"]["conf/base/parameters.yml"])
    inputs = pipelines["ingestion"].inputs() - {"params:sample"}  # never given by DVC: a sample has other outs
    assert declared == {name.removeprefix("params:") for name in inputs if name.startswith("params:")}
    assert declared <= set(yaml.safe_load((ROOT / "conf/base/parameters.yml").read_text()))


@pytest.mark.parametrize("env", ["synthetic", "market1501"])
def test_plots_are_of_outs(env: str) -> None:
    folder = write.dvc_file(env).parent
    outs = {(ROOT / path).resolve() for stage in stages(env).values() for path in stage["outs"]}
    plots = [plot for each in write.document(env)["plots"] for plot in each.values()]
    drawn = {(folder / path).resolve() for plot in plots for path in plot["y"]}
    assert drawn <= outs
    trained = [len(find_method(name).stage_names) for name in METHODS]
    assert len(drawn) == 1 + sum(trained) + 2  # CMC, a stage each, two more seeds of the main job
