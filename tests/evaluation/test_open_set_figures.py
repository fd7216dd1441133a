"""Open-set figures in the metrics: whom they are of, where they are left out, and files from before them."""

import numpy as np
import pandas as pd
import pytest

from reid_pipeline.evaluation.protocol import evaluate_draws
from reid_pipeline.retrieval import open_set_metrics
from reid_pipeline.schema.earlier_records import read_record
from reid_pipeline.schema.embeddings import Embeddings
from reid_pipeline.schema.parameters import EvaluationParameters
from reid_pipeline.schema.records import Breakdown, Metrics

NONE = pd.DataFrame({"test_set": [], "repeat": [], "path": []})


@pytest.fixture(scope="module")
def made():
    """Return a split table of 48 individuals, of which each has three queries, two other images, and distractors."""
    rng = np.random.default_rng(0)
    pids = np.repeat(np.arange(1, 49), 5)
    splits = np.tile(["query"] * 3 + ["gallery"] * 2, 48)
    pids, splits = np.concatenate([pids, np.zeros(30, np.int64)]), np.concatenate([splits, ["gallery"] * 30])
    camids = rng.integers(0, 4, len(pids))
    centres = rng.normal(size=(49, 16))
    vectors = np.where((pids == 0)[:, None], 0, centres[pids]) + 0.7 * rng.normal(size=(len(pids), 16))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    table = pd.DataFrame({
        "path": [f"{row}.jpg" for row in range(len(pids))],
        "identity": [f"zebra {pid}" for pid in pids],
        "pid": pids,
        "camid": pd.array(camids, "Int64"),
        "camera": [f"gate {camera}" for camera in camids],
        "trackid": pd.array([pd.NA] * len(pids), "Int64"),
        "split": splits,
    })  # fmt: skip
    return Embeddings(np.arange(len(pids)), vectors), table


def test_the_figures_are_those_of_the_individuals_by_the_filter_of_the_protocol(made):
    embeddings, table = made
    metrics, breakdown = evaluate_draws(embeddings, table, NONE, EvaluationParameters())
    figures, scores = metrics["open_set"], breakdown["open_set"]
    pids, camids, split = (table[name].to_numpy() for name in ("pid", "camid", "split"))
    query, gallery = split == "query", (split == "gallery") & (pids > 0)
    sides = [each[rows] for each in (embeddings.vectors, pids, camids.astype(int)) for rows in (query, gallery)]
    expected = open_set_metrics(*sides)
    assert (figures["draws"], figures["enrolled"], figures["newcomers"]) == (20, 24, 24)
    assert figures["EER"] == pytest.approx(expected.equal_error_rate)
    assert len(expected.draws[0].new_scores) == figures["new_probes"] == 72
    assert figures["at"]["10 %"]["DIR"] is None  # 72 are fewer than 100
    alarms = [draw.promise(0.1).false_alarms for draw in expected.draws]
    assert figures["at"]["10 %"]["false_alarms"] == pytest.approx(np.mean(alarms))
    assert figures["at"]["10 %"]["false_alarms_std"] == pytest.approx(np.std(alarms, ddof=1))
    assert "threshold" not in figures["at"]["1 %"]  # 24 individuals do not promise it
    assert sum(scores["known"]) == len(expected.draws[0].known_scores)
    assert sum(scores["new"]) == 72
    assert scores["thresholds"] == {"10 %": pytest.approx(expected.draws[0].promise(0.1).threshold)}
    unfiltered, _ = evaluate_draws(embeddings, table, NONE, EvaluationParameters(camera_filter=False))
    assert unfiltered["open_set"]["known_probes"] == 72 > figures["known_probes"]


def test_enough_newcomers_give_a_detection_rate(made):
    embeddings, table = made
    settings = EvaluationParameters(open_set={"draws": 3, "left_out": 0.75})
    figures = evaluate_draws(embeddings, table, NONE, settings)[0]["open_set"]
    assert (figures["enrolled"], figures["new_probes"]) == (12, 108)
    assert 0 < figures["at"]["10 %"]["DIR"] < 1
    assert "threshold" not in figures["at"]["10 %"]


def test_no_draws_and_single_individuals_leave_the_figures_out(made):
    embeddings, table = made
    metrics, breakdown = evaluate_draws(embeddings, table, NONE, EvaluationParameters(open_set={"draws": 0}))
    assert "open_set" not in {**metrics, **breakdown}
    one = table[table["pid"].isin([0, 1])].reset_index(drop=True)
    of_one = Embeddings(np.arange(len(one)), embeddings.vectors[table["pid"].isin([0, 1]).to_numpy()])
    assert "open_set" not in evaluate_draws(of_one, one, NONE, EvaluationParameters())[0]


def test_query_expansion_and_reranking_change_nothing_and_camera_means_do(made):
    embeddings, table = made
    plain, expanded, centred = (
        evaluate_draws(embeddings, table, NONE, EvaluationParameters(**options, open_set={"draws": 2}))[0]
        for options in ({}, {"query_expansion": 3, "rerank": "k_reciprocal"}, {"camera_mean_subtraction": True})
    )
    assert expanded["open_set"] == plain["open_set"] != centred["open_set"]
    assert expanded["mAP"] != plain["mAP"]


def test_records_hold_them_and_files_without_them_are_read(made):
    embeddings, table = made
    named = {"benchmark": "zoo", "method": "pcl", "seed": 0}
    metrics, breakdown = evaluate_draws(embeddings, table, NONE, EvaluationParameters())
    written = Metrics(**named, **metrics).content()
    assert read_record(Metrics, written, where="metrics.json", again="").content() == written
    assert Breakdown(**named, **breakdown).open_set.thresholds.keys() == {"10 %"}
    earlier = {name: value for name, value in written.items() if name not in {"open_set", "tracklets"}}
    read = read_record(Metrics, earlier, where="metrics.json", again="")
    assert (read.open_set, read.tracklets, read.content()) == (None, "none", earlier)
