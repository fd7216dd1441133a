"""bench/collapse.py: its cells, what it runs again, and tables against figures worked out by hand."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from bench_programs import bench_program

from reid_pipeline.clustering import cluster_features, label_stability
from reid_pipeline.engine.loop import fit
from reid_pipeline.evaluation.extraction import extract_embeddings
from reid_pipeline.images.check import check_images
from reid_pipeline.readers.synthetic import read
from reid_pipeline.retrieval import evaluate_retrieval
from reid_pipeline.schema.parameters import IngestionParameters, SplitParameters
from reid_pipeline.schema.raw_folder import RawFolder
from reid_pipeline.splits import normalise_splits

program = bench_program("collapse")
cells, tables = sys.modules["collapse_cell"], sys.modules["collapse_tables"]


def run(dev: list[float], *, eps: float | str = 0.5, seed: int = 0, kind: str = "dbscan", **measures: list) -> dict:
    """Return a finished run with the mAP of its epochs, and further figures; the test's is half of it."""
    plain = {"silhouette": 0.1, "stability": 0.5, "modularity": 0.4, "largest_cluster": 0.1, "noise_share": 0.2}
    plain |= {
        "camera_balance": 0.8,
        "cluster_quality": 0.2,
        "clusters": 5,
        "ari": 0.5,
        "eps": 0.5,
        "dev_rank1": 0.9,
        "test_rank1": 0.8,
    }
    given = [{name: values[at] for name, values in measures.items()} for at in range(len(dev))]
    scores = [{"dev_mAP": value, "test_mAP": value / 2} for value in dev]
    cell = {"benchmark": "synthetic", "kind": kind, "k1": 15, "eps": eps, "seed": seed}
    epochs = [{**plain, **score, **more} for score, more in zip(scores, given, strict=True)]
    return {"cell": cell, "stopped": "", "epochs": epochs}


def test_the_grid_is_that_of_the_issue():
    given = program.arguments(["--out", "there"])
    grid = program.grid(given)
    assert len(grid) == len(set(grid)) == 2 * 2 * 5 * len(given.kinds) * 3
    assert {"dbscan", "communities"} <= {cell.kind for cell in grid}
    assert {cell.eps for cell in grid} == {0.4, 0.5, 0.6, 0.7, "auto"}
    assert {(cell.k1, cell.benchmark) for cell in grid} == {
        (k1, name) for k1 in (15, 30) for name in ("synthetic", "synthetic_vehicles")
    }
    assert {cell.seed for cell in grid[: len(grid) // 3]} == {0}
    assert len({cell.file for cell in grid}) == len(grid)


def test_a_cell_has_its_own_parameters():
    auto = cells.parameters_of(cells.Cell("synthetic", "communities", 30, "auto", 1), {"epochs": 2, "milestones": []})
    assert (auto.clustering.kind, auto.clustering.k1, auto.clustering.eps) == ("communities", 30, "auto")
    assert (auto.plan.epochs, auto.plan.batch_size) == (2, cells.PLAN["batch_size"])
    assert cells.parameters_of(cells.Cell("synthetic", "dbscan", 15, 0.6, 1)).clustering.largest_share == 1.0


def test_what_is_finished_is_not_run_again(tmp_path: Path):
    cell = cells.Cell("synthetic", "dbscan", 15, 0.5, 0)
    assert program.finished(cell, tmp_path, {"seed": 0}, "a", embeddings=False) is None
    file = tmp_path / cell.file
    file.parent.mkdir()
    file.write_text(json.dumps({"made": {"seed": 0}, "code": "a"}))
    asked = [({"seed": 0}, "a"), ({"seed": 0}, None), ({"seed": 1}, "a"), ({"seed": 0}, "b")]
    answers = [program.finished(cell, tmp_path, made, code, embeddings=False) is not None for made, code in asked]
    assert answers == [True, True, False, False]
    assert program.finished(cell, tmp_path, {"seed": 0}, "a", embeddings=True) is None
    file.with_suffix(".npz").touch()
    assert program.finished(cell, tmp_path, {"seed": 0}, "a", embeddings=True)


def test_gain_spread_and_the_worst_cell():
    runs = [
        run([0.4, 0.6], seed=0), run([0.4, 0.5], seed=1),
        run([0.4, 0.7], eps=0.6, seed=0), run([0.4, 0.3], eps=0.6, seed=1),
        run([0.4, 0.45], eps="auto"),
    ]  # fmt: skip
    assert tables.gain(runs[3], "dev") == pytest.approx(-0.1)
    assert tables.gain(runs[3], "test") == pytest.approx(-0.05)
    assert tables.spread(runs, "dev") == pytest.approx(0.1)  # means 0.55, 0.5, 0.45
    ranked = tables.ranked_settings(runs)
    assert [setting for setting, _, _ in ranked] == [("dbscan", 15, 0.5), ("dbscan", 15, "auto"), ("dbscan", 15, 0.6)]
    assert [worst for _, worst, _ in ranked] == pytest.approx([0.1, 0.05, -0.1])
    row = tables.kinds_table(runs, "dev").splitlines()[-1]
    assert row == "| synthetic, dbscan | 40.0 | 30.0 (15, 0.6, 1) | -10.0 | 1 of 5 | 10.0 |"


def test_rank_correlation():
    assert tables.rank_correlation([1, 2, 3], [10, 30, 20]) == pytest.approx(0.5)  # 1 - 6 (0 + 1 + 1) / (3 (9 - 1))
    assert tables.rank_correlation([1, 2, 3, 4], [4, 3, 2, 1]) == pytest.approx(-1)
    # Ranks 1.5, 1.5, 3 and 1, 2, 3: covariance 1.5, variances 1.5 and 2.
    assert tables.rank_correlation([1, 1, 2], [1, 2, 3]) == pytest.approx(1.5 / np.sqrt(1.5 * 2))
    assert tables.rank_correlation([None, 1, 2, 3], [9, 1, 2, 3]) == pytest.approx(1)
    assert tables.rank_correlation([1, 1, 1], [1, 2, 3]) is None
    assert tables.rank_correlation([1, 2, None], [1, 2, 3]) is None


def test_the_best_epoch():
    one = run([0.4, 0.6, 0.5], silhouette=[0.1, 0.3, 0.3], stability=[None, 0.2, 0.9])
    assert tables.best_epoch(one, tables.MEASURES["silhouette"]) == 1
    assert tables.best_epoch(one, tables.MEASURES["stability"]) == 2
    assert tables.best_epoch(one, tables.MEASURES["silhouette x stability"]) == 2
    unknown = run([0.4, 0.6], camera_balance=[None, None])
    assert tables.best_epoch(unknown, tables.MEASURES["camera balance"]) == 1
    assert tables.best_epoch(one, tables.MEASURES["silhouette"], worth=2.0) == 0  # 0.3 is not above 0.1 + 2 x 0.1
    assert tables.best_epoch(one, tables.MEASURES["silhouette"], worth=1.9) == 1


def test_last_against_best_by_a_measure():
    quality = {"cluster_quality": [0.2, 0.21, 0.25, 0.3]}
    healthy = run([0.4, 0.6, 0.58, 0.62], silhouette=[0.1, 0.3, 0.2, 0.25], **quality)
    quality = {"cluster_quality": [0.2, 0.22, 0.1, 0.1]}  # better by a tenth, and an eighth is needed
    collapsed = run([0.4, 0.5, 0.2, 0.1], silhouette=[0.3, 0.4, 0.2, 0.1], **quality)
    lines = {
        line.split("|")[1].strip(): line for line in tables.measures_table([healthy, collapsed], "dev").splitlines()
    }
    # Within: ranks of the first 1, 4, 2, 3 against 1, 3, 2, 4: 0.8; of the second 1. Over ends: of two alone nothing.
    assert lines["silhouette"] == "| silhouette | 0.90 | 0.80 | - | 15.0 | 10.0 | 0 | 2.0 |"
    assert lines["cluster quality"].endswith("| 11.0 | 0.0 | 0 | 0.0 |")  # gains of 22 and 0
    assert lines["(last)"] == "| (last) |  |  |  | -4.0 | -30.0 | 1 |  |"


def test_the_report_names_the_test_split_only_where_it_is_asked_for():
    runs = [run([0.4, 0.6]), run([0.4, 0.5], seed=1), {**run([0.4], eps=0.7), "stopped": "one cluster"}]
    dev = "\n".join(tables.report(runs, "dev"))
    assert "| synthetic, dbscan, k1 15, eps 0.5 | 60.0 / 50.0 |" in dev
    assert "| synthetic, dbscan, k1 15, eps 0.7 (1 ended early) | 40.0 |" in dev
    assert "| synthetic, dbscan, k1 15, eps 0.5 | 40.0 | 55.0 |" in dev
    test = "\n".join(tables.report(runs, "test"))
    assert "| synthetic, dbscan, k1 15, eps 0.5 | 30.0 / 25.0 |" in test
    assert "settings by their worst cell" not in test


@pytest.fixture(scope="module")
def small_images(drawn_folder: Path, drawn_files: list[str]):
    raw = RawFolder(drawn_folder, tuple(drawn_files))
    manifest = read(raw, IngestionParameters(reader="synthetic")).manifest
    facts = check_images(drawn_folder, manifest["path"].tolist())
    table = normalise_splits(manifest, facts, SplitParameters(dev_fraction=0.25)).split_table
    return cells.Images("synthetic", raw, table)


@pytest.fixture
def small_network(monkeypatch: pytest.MonkeyPatch) -> None:
    conf = cells.configured("synthetic")
    backbone = {**conf["backbone"], "pretrained": None, "image_size": [32, 16]}
    monkeypatch.setattr(cells, "configured", lambda _: {**conf, "backbone": backbone})


@pytest.mark.usefixtures("small_network")
def test_a_cell_is_the_plain_training_with_figures(small_images):
    cell = cells.Cell("synthetic", "dbscan", 6, 0.7, 1)
    plan = {"epochs": 2, "iterations_per_epoch": 1, "batch_size": 8, "instances": 4, "milestones": []}
    parameters, shared = cells.parameters_of(cell, plan), cells.Shared(small_images)
    found, vectors = cells.trained(cell, shared, parameters)
    assert found["stopped"] == ""
    assert [epoch["epoch"] for epoch in found["epochs"]] == [0, 1, 2]
    run = shared.run(parameters, 1)
    model = run.model()
    before = extract_embeddings(model.embedder(), run.data().plain_images, run.runtime)
    for _ in fit(run.stage("cluster_contrast"), model, run.data()):
        pass
    after = extract_embeddings(model.embedder(), run.data().plain_images, run.runtime)
    assert np.array_equal(vectors["train_0"], before)
    assert np.array_equal(vectors["train_2"], after)
    assert not np.array_equal(before, after)
    for split, (query, gallery) in {"dev": ("dev_query", "dev_gallery"), "test": ("query", "gallery")}.items():
        sides = [small_images.split_table[small_images.split_table["split"] == name] for name in (query, gallery)]
        features = np.split(vectors[f"{split}_2"], [len(sides[0])])
        pids, camids = ([side[name].to_numpy(np.int64) for side in sides] for name in ("pid", "camid"))
        expected = evaluate_retrieval(*features, *pids, *camids)
        assert found["epochs"][2][f"{split}_mAP"] == pytest.approx(expected.mean_ap)
        assert found["epochs"][2][f"{split}_rank1"] == pytest.approx(expected.rank(1))
    clusters = [cluster_features(vectors[f"train_{epoch}"], parameters.clustering) for epoch in range(3)]
    assert [epoch["clusters"] for epoch in found["epochs"]] == [each.labels.max() + 1 for each in clusters]
    assert [epoch["silhouette"] for epoch in found["epochs"]] == [each.silhouette for each in clusters]
    changes = [label_stability(clusters[at].labels, clusters[at + 1].labels) for at in range(2)]
    assert [epoch["stability"] for epoch in found["epochs"]] == [None, *changes]


@pytest.mark.usefixtures("small_network")
def test_a_collapse_ends_a_cell_with_the_model_as_it_is(small_images):
    cell = cells.Cell("synthetic", "dbscan", 6, 1.0, 0)  # every two images are neighbours
    found, vectors = cells.trained(cell, cells.Shared(small_images), cells.parameters_of(cell))
    assert found["stopped"].startswith("Clustering collapsed: all images fell into one cluster")
    assert [epoch["clusters"] for epoch in found["epochs"]] == [1]
    assert sorted(vectors) == ["dev_0", "test_0", "train_0"]
