"""Which rows are queries and gallery, draw by draw, and when the camera filter holds."""

import json

import numpy as np
import pandas as pd
import pytest

from reid_pipeline.evaluation.protocol import evaluate_draws, retrieval_draws, retrieval_inputs, retrieval_rows
from reid_pipeline.retrieval import average_query_expansion, evaluate_distances, evaluate_retrieval, rerank_k_reciprocal
from reid_pipeline.schema.embeddings import Embeddings
from reid_pipeline.schema.parameters import EvaluationParameters

TEST, DEV = EvaluationParameters(), EvaluationParameters(splits="dev")
NONE = pd.DataFrame({"test_set": [], "repeat": [], "path": []})
SPLITS = ["gallery", "query", "train", "dev_query", "gallery", "query", "dev_gallery", "gallery", "dev_gallery"]
PIDS = [1, 1, 9, 5, 2, 2, 5, 0, 6]
CAMIDS = [1, 0, 0, 0, 1, 0, 1, 1, 1]


def table_of(splits, pids, camids, test_sets=""):
    count = len(splits)
    return pd.DataFrame(
        {
            "path": [f"{place}.jpg" for place in range(count)],
            "split": splits,
            "identity": [f"fox-{pid}" for pid in pids],
            "pid": pids,
            "camid": pd.array(camids, dtype="Int64"),
            "camera": [f"mast {camid}" for camid in camids],
            "test_sets": pd.Series([test_sets] * count if isinstance(test_sets, str) else test_sets),
        }
    )


@pytest.fixture
def table() -> pd.DataFrame:
    return table_of(SPLITS, PIDS, CAMIDS)


def embedded(table, evaluation, galleries=NONE):
    """Row number i has the embedding [i, -i]."""
    rows = retrieval_rows(table, retrieval_draws(table, galleries, evaluation))
    return Embeddings(rows, np.stack([rows, -rows], axis=1).astype(np.float32))


def inputs_of(table, evaluation, embeddings=None):
    (draw,) = retrieval_draws(table, NONE, evaluation)
    return retrieval_inputs(embeddings or embedded(table, evaluation), table, draw, evaluation)


def test_queries_come_first_in_table_order(table):
    rows = embedded(table, TEST).rows
    assert rows.tolist() == [1, 5, 0, 4, 7]
    assert rows.dtype == np.int64
    assert embedded(table, DEV).rows.tolist() == [3, 6, 8]


def test_each_row_keeps_its_own(table):
    inputs = inputs_of(table, TEST)
    assert inputs["query_features"][:, 0].tolist() == [1, 5]
    assert inputs["gallery_features"][:, 0].tolist() == [0, 4, 7]
    assert inputs["query_pids"].tolist() == [1, 2]
    assert inputs["gallery_pids"].tolist() == [1, 2, 0]
    assert inputs["query_camids"].tolist() == [0, 0]
    assert inputs["gallery_camids"].tolist() == [1, 1, 1]


def test_embeddings_in_another_order_stay_aligned(table):
    embeddings = embedded(table, TEST)
    order = np.array([4, 1, 0, 3, 2])
    inputs = inputs_of(table, TEST, Embeddings(embeddings.rows[order], embeddings.vectors[order]))
    assert inputs["query_features"][:, 0].tolist() == [1, 5]
    assert inputs["gallery_features"][:, 0].tolist() == [0, 4, 7]
    assert inputs["gallery_pids"].tolist() == [1, 2, 0]


def test_the_dev_rows(table):
    inputs = inputs_of(table, DEV)
    assert inputs["query_pids"].tolist() == [5]
    assert inputs["gallery_pids"].tolist() == [5, 6]


def test_the_filter_is_off_where_not_asked_for_or_a_camera_is_unknown(table):
    off = EvaluationParameters(camera_filter=False)
    assert inputs_of(table, off)["query_camids"] is None
    table.loc[0, "camid"] = pd.NA
    assert inputs_of(table, TEST)["gallery_camids"] is None
    table.loc[0, "camid"] = 1
    table.loc[2, "camid"] = pd.NA  # a training row's camera does not matter
    assert inputs_of(table, TEST)["gallery_camids"] is not None


def test_metrics_by_hand():
    """Query pid 1, camera 0; gallery by distance: own camera's 1, then 2, then 1 of camera 1."""
    table = table_of(["query", "gallery", "gallery", "gallery"], [1, 1, 2, 1], [0, 0, 1, 1])
    embeddings = Embeddings(np.arange(4), np.array([[0.0], [1.0], [2.0], [3.0]], np.float32))
    filtered, _ = evaluate_draws(embeddings, table, NONE, EvaluationParameters(max_rank=3))
    assert filtered["mAP"] == 0.5  # the first image is dropped, the positive is at rank 2
    assert filtered["mINP"] == 0.5
    assert filtered["cmc"] == [0.0, 1.0, 1.0]
    assert (filtered["splits"], filtered["camera_filter"]) == ("test", True)
    assert (filtered["num_queries"], filtered["num_valid_queries"], filtered["num_gallery"]) == (1, 1, 3)
    assert "repeats" not in filtered
    plain, _ = evaluate_draws(embeddings, table, NONE, EvaluationParameters(max_rank=3, camera_filter=False))
    assert plain["mAP"] == pytest.approx((1 + 2 / 3) / 2)  # ranks 1 and 3
    assert plain["mINP"] == pytest.approx(2 / 3)
    assert (plain["rank1"], plain["camera_filter"]) == (1.0, False)
    json.dumps(filtered)


class TestRerankedAndExpanded:
    @pytest.fixture
    def case(self):
        """Twelve identities, five images each by two cameras, far from separated."""
        generator = np.random.default_rng(3)
        pids = np.repeat(np.arange(1, 13), 5)
        features = generator.normal(size=(13, 16))[pids] + 1.3 * generator.normal(size=(60, 16))
        features = (features / np.linalg.norm(features, axis=1, keepdims=True)).astype(np.float32)
        splits = ["query" if place % 5 == 0 else "gallery" for place in range(60)]
        table = table_of(splits, pids.tolist(), [place % 2 for place in range(60)])
        return table, Embeddings(np.arange(60), features)

    @pytest.mark.parametrize(("rerank", "preset"), [("k_reciprocal", (20, 6, 0.3)), ("clip_reid", (50, 15, 0.3))])
    def test_reranked(self, case, rerank, preset):
        table, embeddings = case
        found, _ = evaluate_draws(embeddings, table, NONE, EvaluationParameters(rerank=rerank))
        query, k1_k2_lambda = (table["split"] == "query", dict(zip(("k1", "k2", "lambda_value"), preset, strict=True)))
        features = embeddings.vectors
        distances = rerank_k_reciprocal(features[query], features[~query], **k1_k2_lambda)
        ids = [table[name].to_numpy(np.int64)[rows] for name in ("pid", "camid") for rows in (query, ~query)]
        wanted = evaluate_distances([(0, distances)], *ids)
        plain, _ = evaluate_draws(embeddings, table, NONE, EvaluationParameters())
        assert found["mAP"] == wanted.mean_ap != plain["mAP"]
        assert (found["rerank"], plain["rerank"]) == (rerank, "none")

    def test_expanded(self, case):
        table, embeddings = case
        found, _ = evaluate_draws(embeddings, table, NONE, EvaluationParameters(query_expansion=4))
        query, features = table["split"] == "query", embeddings.vectors
        expanded = average_query_expansion(features[query], features[~query], k=4)
        ids = [table[name].to_numpy(np.int64)[rows] for name in ("pid", "camid") for rows in (query, ~query)]
        plain, _ = evaluate_draws(embeddings, table, NONE, EvaluationParameters())
        assert found["mAP"] == evaluate_retrieval(*expanded, *ids).mean_ap != plain["mAP"]
        assert (found["query_expansion"], plain["query_expansion"]) == (4, 0)


class TestRepeatedGalleries:
    """Three identities with three images each; the first two identities are the small test set."""

    @pytest.fixture
    def table(self):
        pids = [1, 1, 1, 2, 2, 2, 3, 3, 3]
        sets = ["2 3"] * 6 + ["3"] * 3
        return table_of(["test"] * 9, pids, [pd.NA] * 9, sets)

    @pytest.fixture
    def galleries(self):
        drawn = [("2", 0, (0, 3)), ("2", 1, (1, 5)), ("3", 0, (0, 3, 6)), ("3", 1, (1, 5, 7))]
        rows = [(name, repeat, f"{place}.jpg") for name, repeat, places in drawn for place in places]
        return pd.DataFrame(rows, columns=["test_set", "repeat", "path"])

    def test_each_draw_parts_its_test_set(self, table, galleries):
        draws = retrieval_draws(table, galleries, TEST)
        assert [(draw.test_set, draw.repeat) for draw in draws] == [("2", 0), ("2", 1), ("3", 0), ("3", 1)]
        assert [draw.gallery_rows.tolist() for draw in draws] == [[0, 3], [1, 5], [0, 3, 6], [1, 5, 7]]
        assert draws[0].query_rows.tolist() == [1, 2, 4, 5]
        assert draws[3].query_rows.tolist() == [0, 2, 3, 4, 6, 8]
        assert retrieval_rows(table, draws).tolist() == list(range(9))

    def test_means_and_deviations_are_those_of_the_single_draws(self, table, galleries):
        features = np.random.default_rng(0).normal(size=(9, 2)).astype(np.float32)
        metrics, _ = evaluate_draws(
            Embeddings(np.arange(9), features), table, galleries, EvaluationParameters(max_rank=2)
        )
        pids = table["pid"].to_numpy()
        for name, parts in {"2": ([0, 3], [1, 5]), "3": ([0, 3, 6], [1, 5, 7])}.items():
            single = []
            for gallery in parts:
                query = [row for row in range(3 * int(name)) if row not in gallery]
                single.append(
                    evaluate_retrieval(features[query], features[gallery], pids[query], pids[gallery], max_rank=2)
                )
            found = metrics["test_sets"][name]
            assert found["mAP"] == pytest.approx((single[0].mean_ap + single[1].mean_ap) / 2)
            spread = abs(single[0].mean_ap - single[1].mean_ap) / 2**0.5
            assert found["mAP_std"] == pytest.approx(spread)
            assert found["cmc"] == pytest.approx(((single[0].cmc + single[1].cmc) / 2).tolist())
            assert (found["repeats"], found["num_queries"], found["num_gallery"]) == (2, 2 * int(name), int(name))
        assert metrics["test_set"] == "2"
        assert metrics["mAP"] == metrics["test_sets"]["2"]["mAP"]
        assert metrics["camera_filter"] is False
        json.dumps(metrics)

    def test_one_test_set_alone_stands_at_the_top(self, table, galleries):
        table = table.assign(test_sets="")
        single = galleries[galleries["test_set"] == "3"].assign(test_set="")
        features = np.eye(9, dtype=np.float32)
        metrics, _ = evaluate_draws(Embeddings(np.arange(9), features), table, single, TEST)
        assert metrics["repeats"] == 2
        assert "test_sets" not in metrics


def test_where_nothing_is_tested_on_every_row_is_embedded_and_no_figure_made(table):
    train = table.assign(split="train")
    embeddings = embedded(train, TEST)
    assert embeddings.rows.tolist() == list(range(9))
    metrics, _ = evaluate_draws(embeddings, train, NONE, TEST)
    assert (metrics["mAP"], metrics["rank1"], metrics["num_queries"]) == (None, None, 0)
    assert "no image is query or gallery" in metrics["not_evaluated"]
