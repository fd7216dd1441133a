"""labels_from where it has no place, and identities of a part of the images; test_tonight.py has the round trip."""

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


def test_a_published_benchmark_and_another_run_s_file_are_refused(project: Project) -> None:
    """What is wrong is said before an image is opened."""
    as_excel(clusters(project.root / "crops"), project.root / "confirmed.csv")
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
