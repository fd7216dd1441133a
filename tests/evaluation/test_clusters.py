"""Clusters of the training images against slow computations, and what a page is given of them."""

import csv
import io
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from reid_pipeline.clustering import ClusteringSettings
from reid_pipeline.evaluation.clusters import (
    DOUBTFUL_BELOW,
    IMAGES,
    NEAREST,
    SAMPLED,
    SHEETS,
    Clusters,
    cluster_facts,
    clusters_csv,
    clusters_of,
    clusters_table,
    sampled_neighbours,
    shown_paths,
)
from reid_pipeline.evaluation.embedding import training_vectors
from reid_pipeline.evaluation.pseudo_labels import pseudo_label_table, require_labels_of
from reid_pipeline.schema.clusters import ClusterFacts
from reid_pipeline.schema.columns import CLUSTER_COLUMNS
from reid_pipeline.schema.embeddings import Embeddings
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.origin import Origin
from reid_pipeline.schema.tables import CLUSTERS, PSEUDO_LABELS
from reid_pipeline.splits import images_hash

SETTINGS = ClusteringSettings(k1=6, k2=2, eps=0.95, min_samples=2)
MODEL = "abcdef01" * 8


def images(count: int) -> pd.DataFrame:
    """Rows of a split table, as far as clusters read them; hashes are in another order than paths."""
    digests = [f"{(place * 37) % 101:064x}" for place in range(count)]
    cameras = pd.array([place % 2 for place in range(count)], dtype="Int64")
    names = ["north" if place % 2 else "süd" for place in range(count)]
    paths = [f"ä{place:02}.jpg" for place in range(count)]
    return pd.DataFrame({"path": paths, "sha256": digests, "camid": cameras, "camera": names})


def vectors(count: int, width: int = 8, seed: int = 3) -> np.ndarray:
    found = np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def given(labels: Sequence[int], silhouette: Sequence[float] | None = None) -> Clusters:
    count = len(labels)
    return Clusters(images(count), vectors(count), np.array(labels), np.array(silhouette or [0.5] * count))


def facts(**content: Any) -> ClusterFacts:
    return ClusterFacts(benchmark="b", method="m", seed=0, **content)


def pseudo(present: Sequence[int], before: Sequence[int] | None) -> pd.DataFrame:
    earlier = pd.array(before if before is not None else [pd.NA] * len(present), dtype="Int64")
    paths = images(len(present))["path"]
    return pd.DataFrame({"path": paths, "present": np.array(present), "before": earlier, "training": MODEL})


def test_distance_is_one_less_the_cosine_to_the_mean_of_the_cluster() -> None:
    clusters = given([0, 1, 0, -1, 1, 0])
    for row, label in enumerate(clusters.labels):
        if label < 0:
            assert np.isnan(clusters.distance[row])
            continue
        mean = sum(clusters.vectors[other].astype(float) for other in range(6) if clusters.labels[other] == label)
        cosine = clusters.vectors[row].astype(float) @ mean / np.sqrt(mean @ mean)
        assert clusters.distance[row] == pytest.approx(1 - cosine, abs=1e-9)


def test_the_table_is_by_cluster_and_distance_and_noise_is_last() -> None:
    clusters = given([0, 1, 0, -1, 1, 0], [0.3, 0.3, DOUBTFUL_BELOW - 0.01, -0.5, DOUBTFUL_BELOW, -0.2])
    table = CLUSTERS.validate(clusters_table(clusters, MODEL))
    assert tuple(table.columns) == CLUSTER_COLUMNS
    assert table["cluster"].tolist() == [0, 0, 0, 1, 1, -1]
    assert all(part.is_monotonic_increasing for _, part in table[:5].groupby("cluster")["distance"])
    by_path = table.set_index("path")
    assert by_path.loc[clusters.paths, "doubtful"].tolist() == [False, False, True, False, False, True]
    assert by_path.loc["ä01.jpg", "camera"] == "north"
    assert set(table["name"]) == {""}
    assert set(table["run"]) == {f"{images_hash(clusters.images)[:8]}-{MODEL[:8]}"}


def test_which_images_decide_the_first_half_of_run() -> None:
    table = images(4)
    assert images_hash(table.iloc[::-1]) == images_hash(table.assign(label=3))
    assert images_hash(table) != images_hash(table.iloc[:3])
    assert images_hash(table) != images_hash(table.assign(sha256="0" * 64))


def test_the_csv_is_read_by_a_spreadsheet_and_back() -> None:
    table = clusters_table(given([0, 0, -1]), MODEL)
    text = clusters_csv(table)
    assert text.encode().startswith(b"\xef\xbb\xbfpath,cluster,distance,doubtful,name,camera,run\n")
    rows = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))
    assert [row["path"] for row in rows] == table["path"].tolist()
    assert [row["cluster"] for row in rows] == ["0", "0", "-1"]
    assert rows[2]["distance"] == rows[2]["name"] == ""
    assert [float(row["distance"]) for row in rows[:2]] == pytest.approx(table["distance"][:2].tolist(), abs=5e-5)
    assert {row["doubtful"] for row in rows} == {"no"}


def test_real_clusters_are_numbered_by_size() -> None:
    centres = vectors(3, seed=5)
    noisy = np.repeat(centres, [5, 9, 7], axis=0) + 0.05 * vectors(21, seed=6)
    unit = (noisy / np.linalg.norm(noisy, axis=1, keepdims=True)).astype(np.float32)
    found = clusters_of(images(21), unit, SETTINGS)
    assert found.labels.tolist() == [2] * 5 + [0] * 9 + [1] * 7
    assert found.sizes.tolist() == [9, 7, 5]
    assert (found.silhouette > 0.3).all()
    measured = facts(**cluster_facts(found, SETTINGS))
    assert (measured.images, measured.doubtful, measured.figures.clusters) == (21, 0, 3)
    assert measured.figures.noise_share == 0
    assert measured.figures.largest_cluster == pytest.approx(9 / 21)
    assert measured.figures.silhouette == pytest.approx(found.silhouette.mean())
    assert measured.figures.stability is None
    assert measured.settings["k1"] == 6


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_images_are_in_no_cluster(count: int) -> None:
    found = clusters_of(images(count), vectors(count), SETTINGS)
    assert len(CLUSTERS.validate(clusters_table(found, MODEL))) == count
    measured = facts(**cluster_facts(found, SETTINGS))
    assert (measured.images, measured.doubtful, measured.sheets) == (count, 0, ())


def test_neighbours_of_the_same_images_whatever_the_model() -> None:
    first, second = (
        Clusters(images(30), vectors(30, seed=seed), np.arange(30) % 3 - 1, np.zeros(30)) for seed in (1, 2)
    )
    ours, theirs = ({each.path: each for each in sampled_neighbours(clusters)} for clusters in (first, second))
    by_hash = images(30).sort_values("sha256")["path"].tolist()[:SAMPLED]
    assert list(ours) == list(theirs) == by_hash
    row = int(by_hash[0][1:3])
    distances = {other: ((first.vectors[row] - first.vectors[other]) ** 2).sum() for other in range(30) if other != row}
    nearest = sorted(distances, key=lambda other: distances[other])[:NEAREST]
    assert ours[by_hash[0]].nearest == tuple(f"ä{other:02}.jpg" for other in nearest)
    own = row % 3 - 1
    assert ours[by_hash[0]].together == tuple(own >= 0 and other % 3 - 1 == own for other in nearest)


def test_largest_tightest_and_loosest_are_shown_from_the_nearest_to_the_furthest() -> None:
    clusters = given([place % 8 for place in range(40)] + [0] * 20)
    sheets = facts(**cluster_facts(clusters, SETTINGS)).sheets
    means = [np.nanmean(clusters.distance[clusters.labels == number]) for number in range(8)]
    for group, order in {"tightest": np.argsort(means), "loosest": np.argsort(means)[::-1]}.items():
        shown = [sheet.parts[0].cluster for sheet in sheets if sheet.group == group]
        assert shown == order[:SHEETS].tolist()
    largest = next(sheet for sheet in sheets if sheet.group == "largest")
    assert (largest.images, len(largest.parts[0].paths)) == (25, IMAGES)
    distance = dict(zip(clusters.paths, clusters.distance, strict=True))
    shown = [distance[path] for path in largest.parts[0].paths]
    assert shown == sorted(shown)
    assert {shown[0], shown[-1]} == {clusters.distance[clusters.labels == 0].min(), shown[-1]}
    assert shown[-1] == clusters.distance[clusters.labels == 0].max()


def test_what_split_and_what_merged_in_the_last_epoch_of_training() -> None:
    """Cluster 7 became 1 and 2; 5 and 6 became 3; 8 lost one image alone, which is no split."""
    before = [7] * 6 + [5] * 4 + [6] * 4 + [8] * 6
    present = [1] * 3 + [2] * 3 + [3] * 8 + [4] * 5 + [-1]
    clusters = given([0] * 3 + [1] * 3 + [2] * 14)
    changes = [
        sheet
        for sheet in facts(**cluster_facts(clusters, SETTINGS, pseudo(present, before))).sheets
        if sheet.group in ("split", "merged")
    ]
    found = [(sheet.group, sheet.images, [(part.cluster, part.images) for part in sheet.parts]) for sheet in changes]
    assert found == [("split", 6, [(0, 3), (1, 3)]), ("merged", 8, [(2, 4), (2, 4)])]
    assert set(changes[0].parts[1].paths) == {f"ä{place:02}.jpg" for place in (3, 4, 5)}
    for known in (None, pseudo(present, None), pseudo(present[:3], before[:3])):
        others = facts(**cluster_facts(clusters, SETTINGS, known)).sheets
        assert not [sheet for sheet in others if sheet.group in ("split", "merged")]


def test_all_that_is_shown_is_named_once_and_bounded() -> None:
    clusters = given([place % 20 for place in range(100)])
    shown = facts(**cluster_facts(clusters, SETTINGS))
    paths = shown_paths([shown, shown])
    assert len(paths) == len(set(paths)) <= 100
    assert sum(len(part.paths) for sheet in shown.sheets for part in sheet.parts) <= 3 * SHEETS * IMAGES
    assert len(shown.neighbours) == SAMPLED


def described(training: Origin) -> dict[str, Any]:
    people = {"identities": 0, "cameras": 1, "views": 0}
    return {"origin": training.model_dump(), "stage": "s", "population": people, "label_map": ()}


def test_pseudo_labels_of_a_finished_training_and_of_none() -> None:
    table = images(4).assign(split=["train", "query", "train", "train"])
    training = Origin(made_by="m.train_s", method="m", seed=1, code="1")
    state = {"description": described(training), "labels": {"present": np.array([4, -1, 4]), "before": None}}
    found = PSEUDO_LABELS.validate(pseudo_label_table(state, table))
    assert found["path"].tolist() == ["ä00.jpg", "ä02.jpg", "ä03.jpg"]
    assert found["present"].tolist() == [4, -1, 4]
    assert found["before"].isna().all()
    empty = PSEUDO_LABELS.validate(pseudo_label_table({"description": described(training)}, table))
    assert len(empty) == 0
    made = Origin(made_by="m.export", method="m", code="1", made_from={"s": training.fingerprint})
    require_labels_of(found, made)
    require_labels_of(empty, made.replace(made_from={}))
    with pytest.raises(UserError, match=r"labels are of another training than .* run the pipeline m, with"):
        require_labels_of(found, made.replace(made_from={"s": MODEL}))
    with pytest.raises(ValueError, match="2 pseudo labels do not fit 3 training images"):
        pseudo_label_table({**state, "labels": {"present": np.array([1, 2])}}, table)


def test_what_was_embedded_for_the_test_is_not_embedded_again() -> None:
    table = images(4).assign(split=["train", "query", "train", "gallery"])
    asked: list[list[int]] = []
    again = np.zeros((2, 8), dtype=np.float32)

    def embed(_: Any, __: Any, rows: np.ndarray) -> np.ndarray:
        asked.append(rows.tolist())
        return again

    extraction: Any = SimpleNamespace(vectors=embed)
    embedder: Any = None
    every = Embeddings(np.array([3, 2, 1, 0]), vectors(4))
    assert (training_vectors(embedder, every, table, extraction) == every.vectors[[3, 1]]).all()
    tested = Embeddings(np.array([1, 3]), vectors(2))
    assert training_vectors(embedder, tested, table, extraction) is again
    assert asked == [[0, 2]]
