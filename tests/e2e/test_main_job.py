"""The main job from image files to a report, and the same job killed and resumed."""

import json
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from console_blocks import documented
from page_checks import check_pages
from safetensors.numpy import load_file
from small_project import Project, last_run, make_project

HISTORY_KEYS = {
    "version", "run", "epoch", "stage", "learning_rate", "loss", "losses", "clusters", "noise_share"} | {
    "cluster_sizes", "ground_truth", "seconds", "trainable_parameters", "proxies",
}  # fmt: skip


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def slow_mean_average_precision(project: Project, method: str) -> float:
    """mAP by sorting every row, from the stored embeddings and the split table alone."""
    table = pd.read_parquet(project.root / "data/03_primary/synthetic/split_table.parquet")
    arrays = load_file(project.root / f"data/07_model_output/synthetic/{method}/seed_0/embeddings.safetensors")
    rows = table.iloc[arrays["rows"]].reset_index(drop=True)
    features = arrays["embeddings"].astype(np.float64)
    gallery = np.flatnonzero(rows["split"] == "gallery")
    scores = []
    for query in np.flatnonzero(rows["split"] == "query"):
        same_pid = (rows["pid"] == rows["pid"][query]).to_numpy()
        same_camera = (rows["camid"] == rows["camid"][query]).to_numpy()
        kept = np.array([row for row in gallery if not (same_pid[row] and same_camera[row])])
        distance = ((features[kept] - features[query]) ** 2).sum(1)
        hits = same_pid[kept[np.argsort(distance, kind="stable")]]
        if hits.any():
            ranks = np.flatnonzero(hits) + 1
            scores.append(np.mean(np.arange(1, len(ranks) + 1) / ranks))
    return float(np.mean(scores))


@pytest.mark.parametrize("method", ["zero_shot", "unsupervised_pcl"])
def test_the_stored_map_equals_a_slow_recomputation(finished: tuple[Project, str], method: str) -> None:
    metrics = read(finished[0].result(method, "metrics.json"))
    assert metrics["mAP"] == pytest.approx(slow_mean_average_precision(finished[0], method), abs=1e-6)
    assert (metrics["benchmark"], metrics["method"], metrics["seed"]) == ("synthetic", method, 0)
    wanted = {"mAP", "mINP", "rank1", "rank5", "rank10", "num_queries", "num_valid_queries", "num_gallery"}
    assert wanted <= set(metrics)
    assert metrics["num_queries"] == metrics["num_valid_queries"] > 0
    assert metrics["open_set"]["draws"] == 20
    assert 0 < metrics["open_set"]["EER"] < 0.6


def test_the_history_tells_every_epoch(finished: tuple[Project, str]) -> None:
    history = read(finished[0].result("unsupervised_pcl", "history.json"))
    assert [record["epoch"] for record in history] == [1, 2, 3]
    measured = {"largest_cluster", "cluster_quality", "silhouette", "camera_balance", "eps", "split_clusters"}
    later = {1: set(), 2: {"stability"}, 3: {"stability", "after", "exported"}}
    for record in history:  # all have the same fields, as DVC's plots need it
        assert set(record) == HISTORY_KEYS | measured | later[3]
        assert {name for name in later[3] if record[name] is not None} == later[record["epoch"]]
        quality = {"ari", "nmi", "pairwise_precision", "pairwise_recall", "bcubed_precision", "bcubed_recall"}
        assert set(record["ground_truth"]) == quality
        judged = {"judging"} if record["epoch"] == 3 else set()
        assert set(record["seconds"]) == {"extraction", "clustering", "training", "epoch"} | judged
        assert record["clusters"] == sum(part["clusters"] for part in record["cluster_sizes"]["histogram"])


def test_the_exported_model_is_named_alike_in_history_metrics_and_run_card(finished: tuple[Project, str]) -> None:
    project, printed = finished
    history, metrics, card = (
        read(project.result("unsupervised_pcl", f"{name}.json")) for name in ("history", "metrics", "run_card")
    )
    exported = history[-1]["exported"]
    assert len(exported["measures"]) == 4
    start, best = exported["measures"][0], max(exported["measures"])
    worth = best > 1.125 * start  # the encoder before training stays for less
    assert exported["epoch"] == (exported["measures"].index(best) if worth else 0)
    labels = [*history, history[-1]["after"]][exported["epoch"]]
    for record in (metrics, card):
        assert {**exported, "labels": record["exported"]["labels"]} == record["exported"]
        assert record["exported"]["labels"]["silhouette"] == labels["silhouette"]
    end = " ".join(printed.split()).rpartition("mAP")[2]
    assert f"{best if worth else start:.2f} (silhouette {labels['silhouette']:.2f}, largest cluster" in end


def test_the_run_card_leads_back_to_everything(finished: tuple[Project, str]) -> None:
    card = read(finished[0].result("unsupervised_pcl", "run_card.json"))
    assert card["parameters"]["unsupervised_pcl"]["plan"]["epochs"] == 3
    assert re.fullmatch(r"[0-9a-f]{64}", card["data_hash"])
    assert card["device"] == "cpu"
    assert card["precision"] == "float32"
    assert card["packages"]["torch"]
    assert card["wall_seconds"] > 0 < card["peak_memory_bytes"]
    table = pd.read_parquet(finished[0].root / "data/03_primary/synthetic/split_table.parquet")
    assert card["data"]["train"]["images"] == int((table["split"] == "train").sum())


def test_the_report_is_one_page_without_network(finished: tuple[Project, str]) -> None:
    page = finished[0].root / "data/08_reporting/synthetic/unsupervised_pcl/report_seed_0.html"
    text = page.read_text()
    assert "zero_shot" in text
    assert text.count("data:image/webp;base64,") >= 4
    assert "Known, or new?" in text
    assert 'id="open-set-scores"' in text
    found = check_pages(finished[0].root / "data/08_reporting")
    assert found == {
        *(f"synthetic/{method}/report_seed_0.html" for method in ("unsupervised_pcl", "zero_shot")),
        "synthetic/dataset/dataset.html",
    }


def test_kedro_viz_shows_the_last_run(finished: tuple[Project, str]) -> None:
    """Nodes and seconds are those that the terminal printed, the time of training with them."""
    project, printed = finished
    shown = last_run(project)
    times = {name: float(seconds) for name, seconds in re.findall(r"(\S+) done in (\d+\.\d) s", printed)}
    assert times["unsupervised_pcl.train_cluster_contrast"] > 0.5
    assert {name: found["duration"] for name, found in shown["nodes"].items()} == pytest.approx(times, abs=0.3)
    assert {found["status"] for found in shown["nodes"].values()} == {shown["pipeline"]["status"]} == {"success"}
    assert shown["pipeline"]["error"] is None
    assert shown["pipeline"]["duration"] >= sum(times.values()) - 1
    report = next(found for found in shown["datasets"].values() if found["name"] == "unsupervised_pcl.report")
    page = project.root / "data/08_reporting/synthetic/unsupervised_pcl/report_seed_0.html"
    assert (report["size"], report["status"]) == (page.stat().st_size, "success")
    assert not (project.root / ".viz/stats.json").exists(), "sizes by name are wrong across environments"


def test_the_run_ends_with_the_table_and_the_paths(finished: tuple[Project, str]) -> None:
    project, printed = finished
    end = printed[printed.rindex("measured in this run") :]
    mean_ap = read(project.result("unsupervised_pcl", "metrics.json"))["mAP"]
    assert re.search(rf"unsupervised_pcl +{100 * mean_ap:.1f} ", end)
    assert "data/06_models/synthetic/unsupervised_pcl/seed_0/embedder.safetensors" in end
    assert "data/08_reporting/synthetic/unsupervised_pcl/report_seed_0.html" in end
    assert "deprecated" not in printed


def test_a_finished_run_leaves_no_resumable_state(finished: tuple[Project, str]) -> None:
    assert not list(finished[0].root.glob("data/06_models/**/*_state.pt"))


def wait_for_epoch(project: Project, epoch: int) -> None:
    history = project.result("unsupervised_pcl", "history.json")
    for _ in range(2400):
        if history.is_file() and len(read(history)) >= epoch:
            return
        time.sleep(0.05)
    raise AssertionError(f"no epoch {epoch} within two minutes")


def test_killed_twice_and_resumed_is_the_same_run(finished: tuple[Project, str], tmp_path: Path) -> None:
    unbroken, _ = finished
    project = make_project(tmp_path / "project")
    (project.root / "data").mkdir()
    (project.root / "data/01_raw").symlink_to(unbroken.root / "data/01_raw")
    words = documented("docs/runbooks/killed_run.md", "kedro run --pipeline=unsupervised_pcl")
    for epoch in (1, 2):
        process = project.start(*words[1:])
        wait_for_epoch(project, epoch)
        process.kill()
        printed, _ = process.communicate()
    assert re.search(r"Going on after epoch [12]", printed)
    figures = ",".join(f"{method}.evaluate" for method in ("zero_shot", "unsupervised_pcl"))  # without pages
    status, printed = project.kedro(*words[1:], f"--to-nodes={figures}")
    assert status == 0, printed
    assert re.search(r"Going on after epoch [23]", printed)
    said = " ".join(printed.split())
    assert f"seed 0 of synthetic: the last run there, process {process.pid} on " in said
    assert "ended without a word: it was killed, or its machine stopped." in said
    model = "data/06_models/synthetic/unsupervised_pcl/seed_0/embedder.safetensors"
    assert (project.root / model).read_bytes() == (unbroken.root / model).read_bytes()
    for method in ("zero_shot", "unsupervised_pcl"):
        ours, theirs = (place.result(method, "metrics.json").read_bytes() for place in (project, unbroken))
        assert ours == theirs
    assert without_seconds(project) == without_seconds(unbroken)


def without_seconds(project: Project) -> list[dict[str, Any]]:
    history = read(project.result("unsupervised_pcl", "history.json"))
    return [{key: value for key, value in record.items() if key != "seconds"} for record in history]
