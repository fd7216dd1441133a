"""Tracklets in the evaluation: what counts as one, against pooling by hand, and what is refused."""

import numpy as np
import pandas as pd
import pytest

from reid_pipeline.evaluation.protocol import evaluate_draws, retrieval_draws, with_tracklets
from reid_pipeline.retrieval import evaluate_retrieval
from reid_pipeline.schema.embeddings import Embeddings
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.parameters import EvaluationParameters

NONE = pd.DataFrame({"test_set": [], "repeat": [], "path": []})
# pid, camid, trackid, split. Track 5 is filmed at two cameras, track 7 lies in query and gallery.
ROWS = [
    (1, 0, 5, "query"), (1, 0, 5, "query"), (1, 1, 5, "query"), (2, 0, 7, "query"), (2, 0, None, "query"),
    (1, 2, 8, "gallery"), (1, 2, 8, "gallery"), (2, 0, 7, "gallery"), (2, 1, 9, "gallery"), (2, 1, 9, "gallery"),
    (2, 1, 9, "gallery"), (3, 1, None, "gallery"), (3, 1, None, "gallery"),
]  # fmt: skip


@pytest.fixture
def table():
    pids, camids, trackids, splits = zip(*ROWS, strict=True)
    return pd.DataFrame({
        "path": [f"{row}.jpg" for row in range(len(ROWS))],
        "identity": [f"fox {pid}" for pid in pids],
        "pid": pids,
        "camid": pd.array(camids, "Int64"),
        "camera": [f"gate {camid}" for camid in camids],
        "trackid": pd.array(trackids, "Int64"),
        "split": splits,
    })  # fmt: skip


@pytest.fixture
def embeddings():
    vectors = np.random.default_rng(4).normal(size=(len(ROWS), 3)).astype(np.float32)
    return Embeddings(np.arange(len(ROWS)), vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def unit(vectors):
    mean = np.mean(vectors, axis=0)
    return mean / np.linalg.norm(mean)


def test_metrics_are_those_of_tracklets_pooled_by_hand(table, embeddings):
    metrics, breakdown = evaluate_draws(embeddings, table, NONE, EvaluationParameters(tracklets="mean"))
    v = embeddings.vectors
    query = np.array([unit(v[[0, 1]]), v[2], v[3], v[4]])
    gallery = np.array([unit(v[[5, 6]]), v[7], unit(v[[8, 9, 10]]), v[11], v[12]])
    cameras = np.array([0, 1, 0, 0]), np.array([2, 0, 1, 1, 1])
    expected = evaluate_retrieval(query, gallery, [1, 1, 2, 2], [1, 2, 2, 3, 3], *cameras)
    assert metrics["mAP"] == pytest.approx(expected.mean_ap)
    assert (metrics["num_queries"], metrics["num_gallery"], metrics["tracklets"]) == (4, 5, "mean")
    assert breakdown["average_precision"] == pytest.approx(expected.average_precision.tolist())
    single, _ = evaluate_draws(embeddings, table, NONE, EvaluationParameters())
    assert (single["num_queries"], single["tracklets"]) == (5, "none")


def test_by_quality_what_disagrees_weighs_less(table, embeddings):
    vectors = embeddings.vectors.copy()
    vectors[[8, 9, 10]] = [[1, 0, 0], [0.8, 0.6, 0], [0, 0, 1]]
    settings = EvaluationParameters(tracklets="quality")
    (draw,) = retrieval_draws(table, NONE, settings)
    found, tested = with_tracklets(Embeddings(embeddings.rows, vectors), table, draw, settings)
    assert tested.gallery_rows.tolist() == [5, 7, 8, 11, 12]
    # Cosines to the others: 0.8 and 0, 0.8 and 0, 0 and 0.
    assert found.of(np.array([8]))[0] == pytest.approx(unit([[1, 0, 0], [0.8, 0.6, 0]]), abs=1e-6)


def test_a_tracklet_of_several_individuals_is_refused_by_its_images(table, embeddings):
    mixed = table.assign(pid=[1, 2, *table["pid"][2:]])
    with pytest.raises(UserError, match=r"such as 0\.jpg, 1\.jpg\. Correct pid or trackid"):
        evaluate_draws(embeddings, mixed, NONE, EvaluationParameters(tracklets="mean"))


def test_without_tracklets_there_is_nothing_to_pool(table, embeddings):
    without = table.assign(trackid=pd.array([pd.NA] * len(table), "Int64"))
    with pytest.raises(UserError, match=r"evaluation\.tracklets is quality, and no test image has a tracklet"):
        evaluate_draws(embeddings, without, NONE, EvaluationParameters(tracklets="quality"))
