"""Which rows are queries and gallery, and when the camera filter holds."""

import json

import numpy as np
import pandas as pd
import pytest

from reid_pipeline.retrieval import protocol
from reid_pipeline.retrieval.protocol import evaluate_rows, retrieval_inputs
from reid_pipeline.schema.parameters import EvaluationParameters

TEST, DEV = EvaluationParameters(), EvaluationParameters(splits="dev")
SPLITS = [
    "gallery",
    "query",
    "train",
    "dev_query",
    "gallery",
    "query",
    "dev_gallery",
    "gallery",
    "dev_gallery",
]
PIDS = [1, 1, 9, 5, 2, 2, 5, 0, 6]
CAMIDS = [1, 0, 0, 0, 1, 0, 1, 1, 1]


@pytest.fixture
def table() -> pd.DataFrame:
    return pd.DataFrame({"split": SPLITS, "pid": PIDS, "camid": pd.array(CAMIDS, dtype="Int64")})


def embedded(table, evaluation):
    """Row number i has the embedding [i, -i]."""
    rows = protocol.retrieval_rows(table, evaluation)
    return {"rows": rows, "embeddings": np.stack([rows, -rows], axis=1).astype(np.float32)}


def test_queries_come_first_in_table_order(table):
    assert protocol.retrieval_rows(table, TEST).tolist() == [1, 5, 0, 4, 7]
    assert protocol.retrieval_rows(table, DEV).tolist() == [3, 6, 8]
    assert protocol.retrieval_rows(table, TEST).dtype == np.int64


def test_each_row_keeps_its_own(table):
    inputs = retrieval_inputs(embedded(table, TEST), table, TEST)
    assert inputs["query_features"][:, 0].tolist() == [1, 5]
    assert inputs["gallery_features"][:, 0].tolist() == [0, 4, 7]
    assert inputs["query_pids"].tolist() == [1, 2]
    assert inputs["gallery_pids"].tolist() == [1, 2, 0]
    assert inputs["query_camids"].tolist() == [0, 0]
    assert inputs["gallery_camids"].tolist() == [1, 1, 1]


def test_rows_in_another_order_stay_aligned(table):
    embeddings = embedded(table, TEST)
    order = np.array([4, 1, 0, 3, 2])
    inputs = retrieval_inputs({name: array[order] for name, array in embeddings.items()}, table, TEST)
    assert inputs["query_features"][:, 0].tolist() == [5, 1]
    assert inputs["query_pids"].tolist() == [2, 1]
    assert inputs["gallery_pids"].tolist() == [0, 2, 1]


def test_the_dev_rows(table):
    inputs = retrieval_inputs(embedded(table, DEV), table, DEV)
    assert inputs["query_pids"].tolist() == [5]
    assert inputs["gallery_pids"].tolist() == [5, 6]


def test_the_filter_is_off_where_not_asked_for_or_a_camera_is_unknown(table):
    off = EvaluationParameters(camera_filter=False)
    assert retrieval_inputs(embedded(table, off), table, off)["query_camids"] is None
    table.loc[0, "camid"] = pd.NA
    assert retrieval_inputs(embedded(table, TEST), table, TEST)["gallery_camids"] is None
    table.loc[0, "camid"] = 1
    table.loc[2, "camid"] = pd.NA  # a training row's camera does not matter
    assert retrieval_inputs(embedded(table, TEST), table, TEST)["gallery_camids"] is not None


def test_metrics_by_hand():
    """Query pid 1, camera 0; gallery by distance: own camera's 1, then 2, then 1 of camera 1."""
    table = pd.DataFrame(
        {
            "split": ["query", "gallery", "gallery", "gallery"],
            "pid": [1, 1, 2, 1],
            "camid": pd.array([0, 0, 1, 1], dtype="Int64"),
        }
    )
    embeddings = {"rows": np.arange(4), "embeddings": np.array([[0.0], [1.0], [2.0], [3.0]], np.float32)}
    filtered = evaluate_rows(embeddings, table, EvaluationParameters(max_rank=3))
    assert filtered["mAP"] == 0.5  # the first image is dropped, the positive is at rank 2
    assert filtered["mINP"] == 0.5
    assert filtered["cmc"] == [0.0, 1.0, 1.0]
    assert (filtered["splits"], filtered["camera_filter"]) == ("test", True)
    assert (filtered["num_queries"], filtered["num_valid_queries"], filtered["num_gallery"]) == (1, 1, 3)
    plain = evaluate_rows(embeddings, table, EvaluationParameters(max_rank=3, camera_filter=False))
    assert plain["mAP"] == pytest.approx((1 + 2 / 3) / 2)  # ranks 1 and 3
    assert plain["mINP"] == pytest.approx(2 / 3)
    assert (plain["rank1"], plain["camera_filter"]) == (1.0, False)
    json.dumps(filtered)
