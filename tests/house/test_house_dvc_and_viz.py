"""`dvc repro` and `kedro viz`, in a small copy of the project: one file, so that both share one run."""

import json
from typing import Any

import pytest
from project_copy import ProjectCopy

from reid_pipeline.methods import method_names

RESULTS = "data/08_reporting/synthetic"
LAYERS = ["raw", "intermediate", "primary", "models", "model_output", "reporting"]


def test_repro_makes_what_the_demo_makes(reproduced: ProjectCopy) -> None:
    for method in ("zero_shot", "unsupervised_pcl"):
        metrics = json.loads((reproduced.folder / RESULTS / method / "seed_0/metrics.json").read_text())
        assert (metrics["benchmark"], metrics["method"], metrics["seed"]) == ("synthetic", method, 0)
        assert (reproduced.folder / RESULTS / method / "report_seed_0.html").is_file()


def test_a_second_repro_does_nothing(reproduced: ProjectCopy) -> None:
    said = reproduced.run("dvc", "repro")
    assert "Running stage" not in said
    assert said.count("didn't change, skipping") == 3
    assert reproduced.run("dvc", "status").strip().endswith("Data and pipelines are up to date.")


def test_running_ingestion_without_dvc_leaves_the_stages_clean(reproduced: ProjectCopy) -> None:
    reproduced.run("kedro", "run", "--pipelines=ingestion")
    assert reproduced.run("dvc", "status").strip().endswith("Data and pipelines are up to date.")


def test_a_methods_parameter_makes_stale_that_methods_cell_only(reproduced: ProjectCopy) -> None:
    file = reproduced.folder / "conf/base/parameters_unsupervised_pcl.yml"
    before = file.read_text()
    assert "temperature: 0.05" in before
    try:
        file.write_text(before.replace("temperature: 0.05", "temperature: 0.06"))
        status = json.loads(reproduced.run("dvc", "status", "--json"))
    finally:
        file.write_text(before)
    assert list(status) == ["unsupervised_pcl@0"]


def test_metrics_show_is_a_table(reproduced: ProjectCopy) -> None:
    header, *rows = reproduced.run("dvc", "metrics", "show").strip().splitlines()
    assert {"mAP", "mINP", "rank1", "rank5", "rank10", "method"} <= set(header.split())
    assert len(rows) == 2
    shown = {row.split()[0]: row for row in rows}
    for path, row in shown.items():
        metrics = json.loads((reproduced.folder / path).read_text())
        assert metrics["method"] in row.split()


def test_figures_can_be_committed_and_the_rest_is_ignored(reproduced: ProjectCopy) -> None:
    listed = reproduced.run_git("ls-files", "--others", "--exclude-standard", "data")
    assert {line.rsplit("/", 1)[1] for line in listed.split()} == {
        "metrics.json",
        "history.json",
        "run_card.json",
    }


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
    return {"graph": graph, "panels": panels}


def test_viz_has_one_super_node_per_method(site: dict[str, Any]) -> None:
    super_nodes = {node["name"] for node in site["graph"]["nodes"] if node["type"] == "modularPipeline"}
    assert super_nodes == set(method_names())
    assert set(site["graph"]["modular_pipelines"]) == super_nodes | {"__root__"}


def test_viz_has_the_layers_in_order(site: dict[str, Any]) -> None:
    assert site["graph"]["layers"] == LAYERS


def test_viz_previews_metrics_and_tables(site: dict[str, Any]) -> None:
    metrics = site["panels"]["unsupervised_pcl.metrics"]
    assert metrics["preview_type"] == "JSONPreview"
    assert json.loads(metrics["preview"])["method"] == "unsupervised_pcl"
    assert site["panels"]["floor_metrics"]["preview_type"] == "JSONPreview"
    assert len(json.loads(site["panels"]["unsupervised_pcl.history"]["preview"])) == 2
    assert site["panels"]["split_table"]["preview_type"] == "TablePreview"
    assert len(site["panels"]["split_table"]["preview"]["index"]) == 10


def test_viz_previews_the_curves(site: dict[str, Any]) -> None:
    curves = site["panels"]["unsupervised_pcl.curves"]
    assert curves["preview_type"] == "PlotlyPreview"
    assert any(list(trace["x"]) == [1, 2] for trace in curves["preview"]["data"])
