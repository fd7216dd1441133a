"""From unlabelled crops to a model of the people whom somebody named in clusters.csv, edited as Excel does."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from kedro.framework.project import configure_project
from kedro.framework.startup import bootstrap_project
from PIL import Image
from small_project import LEAST_BACKBONE, Project, make_project, run_session

from reid_pipeline.user_errors import user_error_text

PLAN = {"epochs": 1, "iterations_per_epoch": 1, "batch_size": 4, "instances": 2, "warmup_epochs": 0, "milestones": []}
CLUSTERING = {"kind": "dbscan", "k1": 3, "k2": 1, "eps": 0.3, "min_samples": 1, "max_noise_share": 1.0}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Unlabelled crops of six individuals, four of each, each of one colour."""
    made = make_project(tmp_path_factory.mktemp("confirmed") / "project")
    made.configure(
        "custom",
        backbone=LEAST_BACKBONE,
        baseline={"plan": PLAN},
        unsupervised_pcl={"plan": PLAN, "clustering": CLUSTERING},
    )
    folder, generator = made.root / "crops", np.random.default_rng(0)
    folder.mkdir()
    for number in range(24):
        colour = np.random.default_rng(number // 4).integers(0, 200, 3)
        pixels = colour + generator.integers(0, 50, (32, 16, 3))
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number:02d}.png")
    bootstrap_project(made.root)
    yield made
    configure_project("reid_pipeline")


def clusters(folder: Path) -> pd.DataFrame:
    """A file as a run writes it: clusters 0 to 5, and an image of each that is in none."""
    paths = sorted(file.name for file in folder.glob("*.png"))
    numbers = [number // 4 if number % 4 else -1 for number in range(len(paths))]
    return pd.DataFrame(
        {"path": paths, "cluster": numbers, "distance": 0.1, "doubtful": False, "name": "", "camera": "", "run": "r1"}
    )


def as_excel(table: pd.DataFrame, file: Path) -> None:
    """Save as a German Excel does: semicolons, decimal commas, a byte order mark, CRLF."""
    text = table.to_csv(sep=";", decimal=",", index=False, lineterminator="\r\n")
    file.write_bytes(text.encode("utf-8-sig"))


def test_clusters_named_by_hand_are_trained_on_under_these_names(project: Project) -> None:
    """Cluster 0 is Ada, 1 and 2 are merged into Rex, two rows of 3 are split off as Zoë; 4 and 5 stay numbers."""
    folder = project.root / "crops"
    table = clusters(folder)
    table.loc[table["cluster"] == 0, "name"] = "Ada"
    table.loc[table["cluster"].isin([1, 2]), "name"] = "Rex"
    table.loc[[13, 14], "name"] = "Zoë"
    as_excel(table, project.root / "confirmed.csv")
    given = {"collection": "zoo", "raw_root": str(folder)}
    run_session(project, "baseline", environment="custom", labels_from="confirmed.csv", **given)

    (name,) = (each.name for each in (project.root / "data/03_primary").glob("zoo+labels=*"))
    split = pd.read_parquet(project.root / f"data/03_primary/{name}/split_table.parquet")
    wanted = {"Ada", "Rex", "Zoë", "cluster 3", "cluster 4", "cluster 5", ""}
    assert set(split["identity"]) == wanted
    merged = split[split["identity"] == "Rex"]
    assert (len(merged), merged["pid"].nunique()) == (6, 1)
    noise = split[split["identity"] == ""]
    assert (set(noise["split"]), set(noise["label"]), set(noise["pid"])) == ({"train"}, {-1}, {-2})
    assert not set(split.loc[split["split"] == "train", "identity"]) & set(
        split.loc[split["split"].isin(["query", "gallery"]), "identity"]
    ), "no identity in training and test"
    assert (
        split.attrs["origin"]["labels_from"]
        == json.loads((project.root / f"data/02_intermediate/{name}/reading.json").read_text())["labels"]["sha256"]
    )

    results = project.root / f"data/08_reporting/{name}"
    metrics = json.loads((results / "baseline/seed_0/metrics.json").read_text())
    assert 0 < metrics["mAP"] <= 1
    assert (metrics["label_use"], metrics["benchmark"]) == ("all", name)
    card = json.loads((results / "baseline/seed_0/run_card.json").read_text())
    trained = split[(split["split"] == "train") & (split["label"] >= 0)]["identity"].nunique()
    assert card["data"]["train"]["identities"] == trained == 3
    pages = (results / "dataset/dataset.html").read_text() + (results / "baseline/report_seed_0.html").read_text()
    asked = set(split.loc[split["split"] == "query", "identity"])
    assert asked
    assert all(each in (results / "baseline/report_seed_0.html").read_text() for each in asked)
    assert "Identities are those of confirmed.csv" in pages
    assert not list(project.root.glob("data/*/zoo")), "nothing of zoo itself is written"


def test_a_published_benchmark_and_another_run_s_file_are_refused(project: Project) -> None:
    """What is wrong is said before an image is opened."""
    with pytest.raises(Exception, match=r"this environment reads synthetic, whose identities are published"):
        run_session(project, "ingestion", labels_from="confirmed.csv")
    lake = project.root / "data/08_reporting/lake/zero_shot/seed_0/clusters.csv"
    lake.parent.mkdir(parents=True)
    as_excel(clusters(project.root / "crops"), lake)
    with pytest.raises(Exception, match=r".") as caught:
        run_session(
            project, "ingestion", environment="custom", labels_from="confirmed.csv", collection="zoo",
            raw_root=str(project.root / "crops"),
        )  # fmt: skip
    assert "its run r1 is that of lake/zero_shot/seed_0, and this one is zoo" in str(user_error_text(caught.value))


def test_identities_of_a_part_and_tracklets_fix_clusters(project: Project) -> None:
    """A manifest that names two images of each of three individuals, and gives tracklets of two images."""
    folder = project.root / "partly"
    folder.mkdir()
    names = ["fox", "", "fox", "", "owl", "owl", "", "", "elk", "", "", "elk", *[""] * 12]
    rows = [f"{number:02d}.png,{name},{number // 2},train" for number, name in enumerate(names)]
    (folder / "manifest.csv").write_text("\n".join(["path,pid,trackid,split", *rows]) + "\n")
    for number in range(24):
        (folder / f"{number:02d}.png").write_bytes((project.root / f"crops/{number:02d}.png").read_bytes())
    run_session(
        project, "unsupervised_pcl", environment="custom", collection="part", raw_root=str(folder), variant="known",
        unsupervised_pcl={"known_identities": "use", "tracklets": "use"},
    )  # fmt: skip
    results = project.root / "data/08_reporting/part/unsupervised_pcl+known"
    card = json.loads((results / "seed_0/run_card.json").read_text())
    assert (card["label_use"], card["data"]["train"]) == ("partial", {"images": 24, "identities": 3})
    (epoch,) = json.loads((results / "seed_0/history.json").read_text())
    assert epoch["ground_truth_images"] == 6
    page = (results / "report_seed_0.html").read_text()
    assert "over the 6 images whose identity is known" in page
    split = pd.read_parquet(project.root / "data/03_primary/part/split_table.parquet")
    assert sorted(split.loc[split["identity"] == "", "label"].unique()) == [-1]
