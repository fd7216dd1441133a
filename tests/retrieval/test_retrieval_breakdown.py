"""By pair of cameras and by identity, by hand; camera means; what metrics.json and breakdown.json say."""

import json

import numpy as np
import pandas as pd
import pytest

from reid_pipeline.evaluation.protocol import evaluate_draws, retrieval_draws, retrieval_inputs
from reid_pipeline.retrieval import evaluate_retrieval
from reid_pipeline.retrieval.breakdown import camera_pair_breakdown, identity_breakdown
from reid_pipeline.schema.embeddings import Embeddings
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.parameters import EvaluationParameters

NONE = pd.DataFrame({"test_set": [], "repeat": [], "path": []})
# Two queries at 0 (pid 1 of camera 0, pid 2 of camera 1), gallery at 1, 2, 3, 4.
QUERY, GALLERY = np.zeros((2, 1), np.float32), np.arange(1.0, 5, dtype=np.float32)[:, None]
PIDS, CAMIDS = (np.array([1, 2]), np.array([2, 1, 1, 2])), (np.array([0, 1]), np.array([1, 1, 2, 2]))
CAMERAS = {0: "gate", 1: "7", 2: "am Teich"}
NAMES = {1: "Spot", 2: "Rex"}


def test_pairs_of_cameras_by_hand():
    found = camera_pair_breakdown((QUERY, GALLERY), PIDS, CAMIDS, CAMERAS)
    assert [(p["query_camera"], p["gallery_camera"], p["mAP"], p["rank1"]) for p in found] == [
        (0, 1, 0.5, 0.0),  # pid 1 in camera 1: gallery 2, 1: rank 2
        (0, 2, 1.0, 1.0),
        (1, 2, 0.5, 0.0),  # camera 1 with itself is filtered
    ]
    assert all(pair["num_valid_queries"] == 1 for pair in found)
    called = [(pair["query_camera_name"], pair["gallery_camera_name"]) for pair in found]
    assert called == [("gate", "7"), ("gate", "am Teich"), ("7", "am Teich")]
    unfiltered = camera_pair_breakdown((QUERY, GALLERY), PIDS, CAMIDS, CAMERAS, camera_filter=False)
    assert (1, 1, 1.0) in [(p["query_camera"], p["gallery_camera"], p["mAP"]) for p in unfiltered]


def test_a_camera_of_junk_alone_is_no_pair():
    pids = PIDS[0], np.array([2, 1, -1, -1])
    found = camera_pair_breakdown((QUERY, GALLERY), pids, CAMIDS, CAMERAS)
    assert [(pair["query_camera"], pair["gallery_camera"]) for pair in found] == [(0, 1)]
    junk_query = np.array([1, -1])
    assert camera_pair_breakdown((QUERY, GALLERY), (junk_query, pids[1]), CAMIDS, CAMERAS) == found


def test_identities_with_equal_figures_stand_in_the_order_of_their_pids():
    # Each query has its match 2 away; odd pids have a distractor in between: AP 1/2.
    pids = np.arange(200)
    gallery = np.concatenate((10.0 * pids + 2, 10.0 * pids[1::2] + 1))[:, None]
    result = evaluate_retrieval(10.0 * pids[:, None], gallery, pids, np.concatenate((pids, np.full(100, 999))))
    found = identity_breakdown(result, pids, {pid: str(pid) for pid in range(200)})
    assert [row["pid"] for row in found] == [*range(1, 200, 2), *range(0, 200, 2)]


def test_identities_average_to_the_means():
    rng = np.random.default_rng(0)
    pids = rng.integers(8, size=50)
    result = evaluate_retrieval(rng.normal(size=(50, 3)), rng.normal(size=(70, 3)), pids, np.arange(70) % 7)
    found = identity_breakdown(result, pids, {pid: f"fox-{pid}" for pid in range(8)})
    assert all(row["identity"] == f"fox-{row['pid']}" for row in found)
    assert {row["pid"] for row in found} == set(pids.tolist()) - {7}
    assert [row["mAP"] for row in found] == sorted(row["mAP"] for row in found)
    for row in found:
        assert row["mAP"] == pytest.approx(result.average_precision[pids == row["pid"]].mean())
    counts = [row["num_valid_queries"] for row in found]
    assert sum(counts) == result.num_valid_queries
    for name, mean in (("mAP", result.mean_ap), ("mINP", result.mean_inp), ("rank1", result.rank(1))):
        assert np.average([row[name] for row in found], weights=counts) == pytest.approx(mean)


@pytest.fixture
def table():
    return pd.DataFrame(
        {
            "path": [f"{row}.jpg" for row in range(6)],
            "split": ["query"] * 2 + ["gallery"] * 4,
            "identity": [NAMES[pid] for pid in np.concatenate(PIDS)],
            "pid": np.concatenate(PIDS),
            "camid": pd.array(np.concatenate(CAMIDS), dtype="Int64"),
            "camera": [CAMERAS[camid] for camid in np.concatenate(CAMIDS)],
            "test_sets": "",
        }
    )


def embedded():
    features = np.random.default_rng(1).normal(size=(6, 3)).astype(np.float32) + 5
    return Embeddings(np.arange(6), features)


def test_metrics_and_breakdown_of_one_draw(table):
    metrics, breakdown = evaluate_draws(embedded(), table, NONE, EvaluationParameters(resamples=100))
    assert (metrics["flip_averaging"], metrics["camera_mean_subtraction"]) == (False, False)
    assert metrics["mAP_low"] <= metrics["mAP"] <= metrics["mAP_high"]
    assert breakdown["intervals"] == {name: metrics[name] for name in breakdown["intervals"]}
    assert set(breakdown["intervals"]) == {f"{n}_{e}" for n in ("mAP", "mINP", "rank1") for e in ("low", "high")}
    assert len(breakdown["camera_pairs"]) == 3
    assert {row["pid"]: row["identity"] for row in breakdown["identities"]} == NAMES
    for pair in breakdown["camera_pairs"]:
        for side in ("query", "gallery"):
            assert pair[f"{side}_camera_name"] == CAMERAS[pair[f"{side}_camera"]]
    per_query = breakdown["average_precision"]
    assert len(per_query) == metrics["num_queries"]
    known = [value for value in per_query if value is not None]
    assert len(known) == metrics["num_valid_queries"]
    assert sum(known) / len(known) == pytest.approx(metrics["mAP"])
    json.dumps(breakdown)
    without, _ = evaluate_draws(embedded(), table, NONE, EvaluationParameters(resamples=0))
    assert "mAP_low" not in without
    unknown = table.assign(camid=pd.array([0, 1, 1, 1, 2, pd.NA], dtype="Int64"))
    assert evaluate_draws(embedded(), unknown, NONE, EvaluationParameters())[1]["camera_pairs"] == []


def test_each_query_by_hand(table):
    """Gallery at 1, 2, 3, 4, queries at 0: pids 2, 1, 1, 2 of cameras 1, 1, 2, 2."""
    features = np.concatenate([QUERY, GALLERY]).astype(np.float32)
    given = Embeddings(np.arange(6), features)
    _, breakdown = evaluate_draws(given, table, NONE, EvaluationParameters())
    # Rex of camera 1 loses the nearest to the filter: his match is the last of three.
    assert breakdown["first_match_rank"] == [2, 3]
    assert breakdown["inverse_negative_penalty"] == pytest.approx([2 / 3, 1 / 3])
    assert breakdown["average_precision"] == pytest.approx([(1 / 2 + 2 / 3) / 2, 1 / 3])
    alone = table.assign(pid=[1, 9, 2, 1, 1, 2])  # nobody answers the second query
    breakdown = evaluate_draws(given, alone, NONE, EvaluationParameters())[1]
    assert breakdown["first_match_rank"] == [2, None]
    assert breakdown["inverse_negative_penalty"] == [pytest.approx(2 / 3), None]
    json.dumps(breakdown)


def test_camera_means_are_taken_off(table):
    parameters = EvaluationParameters(camera_mean_subtraction=True)
    (draw,) = retrieval_draws(table, NONE, parameters)
    inputs = retrieval_inputs(embedded(), table, draw, parameters)
    features = embedded().vectors.astype(np.float64)
    for row, camera in enumerate(table["camid"]):
        own = features[row] - features[(table["camid"] == camera).to_numpy(bool)].mean(axis=0)
        found = np.concatenate([inputs["query_features"], inputs["gallery_features"]])[row]
        # The only image of its camera is its mean: it stays at the origin.
        expected = own / np.linalg.norm(own) if (table["camid"] == camera).sum() > 1 else own
        np.testing.assert_allclose(found, expected, atol=1e-5)
    metrics, _ = evaluate_draws(embedded(), table, NONE, parameters)
    assert metrics["camera_mean_subtraction"] is True
    with pytest.raises(UserError, match="the camera of a test image is unknown"):
        retrieval_inputs(embedded(), table.assign(camid=pd.array([pd.NA] * 6, "Int64")), draw, parameters)
