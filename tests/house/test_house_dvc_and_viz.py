"""`dvc repro` and `kedro viz`, in a small copy of the project: one file, so that both share one run."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from console_blocks import documented
from project_copy import SMALL_METHODS, ProjectCopy

from reid_pipeline.methods import method_names

pytestmark = pytest.mark.slow
RESULTS = "data/08_reporting/synthetic"
MAIN = "unsupervised_pcl/seed_0"
CLEAN = "Data and pipelines are up to date."
LAYERS = ["raw", "intermediate", "primary", "models", "model_output", "reporting"]


def test_repro_makes_what_the_demo_makes(reproduced: ProjectCopy) -> None:
    for method in SMALL_METHODS:
        metrics = json.loads((reproduced.folder / RESULTS / method / "seed_0/metrics.json").read_text())
        assert (metrics["benchmark"], metrics["method"], metrics["seed"]) == ("synthetic", method, 0)
        assert (reproduced.folder / RESULTS / method / "report_seed_0.html").is_file()
    assert "| clip_reid |" in (reproduced.folder / RESULTS / "comparison/comparison.md").read_text()


def test_a_second_repro_does_nothing(reproduced: ProjectCopy) -> None:
    said = reproduced.run("dvc", "repro")
    assert "Running stage" not in said
    assert said.count("didn't change, skipping") == 4 + len(SMALL_METHODS)
    assert reproduced.run("dvc", "status").strip().endswith(CLEAN)


@pytest.mark.parametrize("method", ["unsupervised_pcl", "clip_reid"])
def test_what_a_cell_loads_is_listed_as_its_code(reproduced: ProjectCopy, method: str) -> None:
    """Of modules that are loaded by the work itself; all registered pipelines are loaded by any run."""
    watching = reproduced.folder / ".dvc/tmp/watching"
    always = set((watching / "report").read_text().split())
    loaded = set((watching / method).read_text().split()) - always
    listing = (reproduced.folder / "data/00_code" / f"{method}.txt").read_text()
    listed = {line.split("  src/")[1].removesuffix(".py").replace("/", ".") for line in listing.splitlines()}
    # A package that hands on names loads all that it could hand on.
    handing_on = ("losses", "clustering", "geometry", "retrieval", "splits")
    own = {name for name in loaded if name.split(".")[1] not in handing_on and f"{name}.__init__" not in listed}
    assert {"reid_pipeline.engine.loop", "reid_pipeline.models.pretrained"} <= own
    packages = {f"reid_pipeline.{room}" for room in ("engine", "images", "models", "reporting", "schema", "workers")}
    without_effect = {f"reid_pipeline.{name}" for name in ("engine.progress", "io.index_page", "reporting.index_page")}
    assert own - packages - without_effect <= listed


def test_running_ingestion_without_dvc_leaves_the_stages_clean(reproduced: ProjectCopy) -> None:
    reproduced.run("kedro", "run", "--pipelines=ingestion")
    assert reproduced.run("dvc", "status").strip().endswith(CLEAN)


@contextmanager
def edited(file: Path, old: str, new: str) -> Iterator[None]:
    before = file.read_text()
    assert old in before
    file.write_text(before.replace(old, new, 1))
    try:
        yield
    finally:
        file.write_text(before)


def test_a_methods_parameter_makes_stale_that_methods_cell_only(reproduced: ProjectCopy) -> None:
    file = reproduced.folder / "conf/base/parameters_unsupervised_pcl.yml"
    with edited(file, "temperature: 0.05", "temperature: 0.06"):
        status = json.loads(reproduced.run("dvc", "status", "--json"))
    assert list(status) == ["unsupervised_pcl@0"]


def test_an_edit_of_code_makes_stale_the_cells_that_import_it(reproduced: ProjectCopy) -> None:
    source = reproduced.folder / "src/reid_pipeline"
    with (
        edited(source / "losses/triplet.py", '"""', '"""Edited. '),
        edited(source / "reporting/comparison.py", '"""', '"""Edited. '),
        edited(source / "methods/pcl.py", '"""', '"""Edited. '),
    ):
        assert "Running stage 'code'" in reproduced.run("dvc", "repro", "code")
        status = json.loads(reproduced.run("dvc", "status", "--json"))
    assert set(status) == {"clip_reid@0", "report", "leaderboard"}
    reproduced.run("dvc", "repro", "code")
    assert reproduced.run("dvc", "status").strip().endswith(CLEAN)


def test_a_real_benchmark_is_none_of_the_roots_business(reproduced: ProjectCopy) -> None:
    reproduced.run("python", "dvc/write.py", "market1501")
    try:
        said = reproduced.run("dvc", "repro", "--dry")
        assert "market1501" not in said
        assert said.count("didn't change, skipping") == 4 + len(SMALL_METHODS)
        listed = reproduced.run("dvc", "stage", "list", "dvc/market1501/dvc.yaml")
        names = {line.split()[0].partition(":")[2] for line in listed.splitlines() if line}
        assert {"ingestion", "pcl@2", "report"} <= names
        text = (reproduced.folder / "dvc/market1501/dvc.yaml").read_text()
        assert "kedro run --env=market1501 --pipelines=pcl --namespaces=pcl" in text
        assert "kedro run --pipelines" not in text
    finally:
        shutil.rmtree(reproduced.folder / "dvc/market1501")


def test_metrics_show_is_a_table_with_a_handful_of_columns_per_method(reproduced: ProjectCopy) -> None:
    header, row = reproduced.run(*documented("docs/reproducing.md", "dvc metrics show")).strip().splitlines()
    shown = dict(zip(header.split(), row.split(), strict=True))
    assert shown.pop("Path") == f"{RESULTS}/comparison/metrics.json"
    assert set(shown) == {f"{method}.{name}" for method in SMALL_METHODS for name in ("mAP", "mINP", "rank1")}
    metrics = json.loads((reproduced.folder / RESULTS / "clip_reid/seed_0/metrics.json").read_text())
    assert float(shown["clip_reid.mAP"]) == pytest.approx(metrics["mAP"], rel=1e-4)


def test_plots_show_the_methods_together(reproduced: ProjectCopy) -> None:
    shown = json.loads(reproduced.run("dvc", "plots", "show", "--json").strip().splitlines()[-1])["data"]
    drawn = shown["CMC"][0]["content"]
    records = (json.loads(drawn) if isinstance(drawn, str) else drawn)["data"]["values"]
    assert {record["field"] for record in records} == {*SMALL_METHODS}
    assert {"loss", "clusters", "noise"} <= set(shown)


def test_figures_can_be_committed_and_the_rest_is_ignored(reproduced: ProjectCopy) -> None:
    listed = reproduced.run_git("ls-files", "--others", "--exclude-standard", "data")
    staged = reproduced.run_git("ls-files", "data")
    assert {line.rsplit("/", 1)[1] for line in (listed + staged).split()} == {
        "metrics.json",
        "history.json",
        "run_card.json",
        "summary.json",
    }


@pytest.fixture(scope="module")
def history(reproduced: ProjectCopy, tmp_path_factory: pytest.TempPathFactory) -> ProjectCopy:
    """Another copy, with a remote and two commits: as reproduced, and with another temperature."""
    copy = ProjectCopy(tmp_path_factory.mktemp("history") / "project")
    shutil.copytree(reproduced.folder, copy.folder, symlinks=True)
    copy.run("dvc", "remote", "add", "--default", "store", str(copy.folder.parent / "store"))
    commit(copy, "first")
    file = copy.folder / "conf/base/parameters_unsupervised_pcl.yml"
    file.write_text(file.read_text().replace("temperature: 0.05", "temperature: 0.5"))
    copy.run("dvc", "repro")
    commit(copy, "second")
    return copy


def commit(copy: ProjectCopy, name: str) -> None:
    copy.run_git("add", "--all")
    who = ("-c", "user.name=nobody", "-c", "user.email=nobody@example.org")
    copy.run_git(*who, "commit", "--quiet", "--message", name)
    copy.run_git("tag", name)


def bytes_of(copy: ProjectCopy) -> dict[str, bytes]:
    """Return checkpoint, embeddings and figures of the main job."""
    found = [
        f"data/06_models/synthetic/{MAIN}/embedder.safetensors",
        f"data/07_model_output/synthetic/{MAIN}/embeddings.safetensors",
        *(f"{RESULTS}/{MAIN}/{name}.json" for name in ("metrics", "run_card")),
        f"{RESULTS}/comparison/comparison.json",
    ]
    return {path: (copy.folder / path).read_bytes() for path in found}


def test_an_earlier_commit_comes_back_with_data_models_and_figures(
    reproduced: ProjectCopy, history: ProjectCopy
) -> None:
    first, second = bytes_of(reproduced), bytes_of(history)
    assert all(first[path] != second[path] for path in first)
    history.run_git("checkout", "--quiet", "first")
    history.run(*documented("docs/reproducing.md", "dvc checkout"))
    assert bytes_of(history) == first
    assert history.run(*documented("docs/reproducing.md", "dvc status")).strip().endswith(CLEAN)

    figures = history.folder / RESULTS / MAIN / "metrics.json"
    figures.unlink()
    again = documented(
        "docs/reproducing.md",
        "kedro run --pipelines=unsupervised_pcl --from-nodes=unsupervised_pcl.extract"
        " --to-nodes=unsupervised_pcl.evaluate",
    )
    history.run(*again)
    assert bytes_of(history) == first, "embedded and evaluated again, to the bit"

    history.run(*documented("docs/reproducing.md", "dvc push"))
    shutil.rmtree(history.folder / ".dvc/cache")
    shutil.rmtree(history.folder / "data")
    history.run_git("checkout", "--quiet", "--", "data")
    history.run(*documented("docs/reproducing.md", "dvc pull"))
    assert bytes_of(history) == first
    assert history.run(*documented("docs/reproducing.md", "dvc status")).strip().endswith(CLEAN)


def test_a_run_without_dvc_does_not_write_through_a_linked_cache(history: ProjectCopy) -> None:
    history.run("dvc", "config", "cache.type", "hardlink")
    history.run("dvc", "checkout", "--relink")
    linked = [
        history.folder / "data/06_models/synthetic/zero_shot/seed_0/embedder.safetensors",
        history.folder / "data/07_model_output/synthetic/zero_shot/seed_0/embeddings.safetensors",
        history.folder / RESULTS / "zero_shot/report_seed_0.html",
        history.folder / RESULTS / "zero_shot/seed_0/curves.json",
    ]
    before = {file: file.read_bytes() for file in linked}
    assert all(file.stat().st_nlink > 1 for file in linked)
    with edited(history.folder / "conf/synthetic/parameters_zero_shot.yml", "pretrained: null", "pretrained: demo"):
        history.run("kedro", "run", "--pipelines=zero_shot", "--namespaces=zero_shot")
    assert all(file.stat().st_nlink == 1 for file in linked)
    assert [file.name for file in linked if file.read_bytes() != before[file]] == [
        "embedder.safetensors",
        "embeddings.safetensors",
        "report_seed_0.html",
    ]
    cached = [file for file in (history.folder / ".dvc/cache/files/md5").glob("*/*") if file.is_file()]
    assert len(cached) > len(linked)
    for file in cached:
        found = hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()
        assert found == file.parent.name + file.name.removesuffix(".dir")


@pytest.fixture(scope="module")
def site(reproduced: ProjectCopy) -> dict[str, Any]:
    """What kedro viz serves: the graph, and by node name what its side panel shows."""
    reproduced.run("kedro", "viz", "build", "--include-previews")
    api = reproduced.folder / "build" / "api"
    graph = json.loads((api / "main").read_text())
    panels = {
        node["name"]: json.loads((api / "nodes" / node["id"]).read_text())
        for node in graph["nodes"]
        if node["type"] == "data"
    }
    return {"graph": graph, "panels": panels, "run": json.loads((api / "run-status").read_text())}


def test_viz_has_one_super_node_per_method(site: dict[str, Any]) -> None:
    super_nodes = {node["name"] for node in site["graph"]["nodes"] if node["type"] == "modularPipeline"}
    assert super_nodes == set(method_names())
    assert set(site["graph"]["modular_pipelines"]) == super_nodes | {"__root__"}


def test_viz_shows_the_last_run_in_its_graph(site: dict[str, Any]) -> None:
    tasks = {node["id"] for node in site["graph"]["nodes"] if node["type"] == "task"}
    assert site["run"]["nodes"]
    assert set(site["run"]["nodes"]) <= tasks
    assert site["run"]["pipeline"]["status"] == "success"


def test_viz_has_the_layers_in_order(site: dict[str, Any]) -> None:
    assert site["graph"]["layers"] == LAYERS


def test_viz_previews_metrics_and_tables(site: dict[str, Any]) -> None:
    metrics = site["panels"]["unsupervised_pcl.metrics"]
    assert metrics["preview_type"] == "JSONPreview"
    assert json.loads(metrics["preview"])["method"] == "unsupervised_pcl"
    assert site["panels"]["zero_shot_metrics"]["preview_type"] == "JSONPreview"
    assert len(json.loads(site["panels"]["unsupervised_pcl.history"]["preview"])) == 2
    assert site["panels"]["split_table"]["preview_type"] == "TablePreview"
    assert len(site["panels"]["split_table"]["preview"]["index"]) == 10


def test_viz_previews_the_curves(site: dict[str, Any]) -> None:
    curves = site["panels"]["unsupervised_pcl.curves"]
    assert curves["preview_type"] == "PlotlyPreview"
    assert any(list(trace["x"]) == [1, 2] for trace in curves["preview"]["data"])
