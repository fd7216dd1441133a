"""Which images are explained, and the figures beside them, against slow computations and cases by hand."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from reid_pipeline.evaluation.attention_and_similarity import Candidates, similar_images
from reid_pipeline.evaluation.explanations import candidates_of
from reid_pipeline.evaluation.feature_space import image_space, plane, text_space, tsne
from reid_pipeline.evaluation.sampled_groups import groups_of
from reid_pipeline.schema.embeddings import Embeddings
from reid_pipeline.schema.parameters import EvaluationParameters
from reid_pipeline.schema.report_parameters import ExplainParameters
from reid_pipeline.splits import SplitTables

PIDS = [5, 5, 5, 0, -1, 9, 9, 7]
CAMERAS = [0, 0, 1, 0, 1, 0, 1, 1]
SPLITS = ["query", "gallery", "gallery", "gallery", "gallery", "query", "gallery", "gallery"]


def table(pids: list[int] = PIDS, splits: list[str] = SPLITS) -> pd.DataFrame:
    count = len(pids)
    return pd.DataFrame(
        {
            "path": [f"{place}.jpg" for place in range(count)],
            "pid": pids,
            "identity": [f"<{pid}>" for pid in pids],
            "camid": pd.array((CAMERAS * count)[:count], dtype="Int64"),
            "camera": [f"gate {camera}" for camera in (CAMERAS * count)[:count]],
            "split": splits,
        }
    )


def clusters(labels: list[int]) -> pd.DataFrame:
    return pd.DataFrame({"path": [f"{place}.jpg" for place in range(len(labels))], "cluster": labels})


NOBODY = clusters([])
EMPTY = pd.DataFrame({"test_set": [], "repeat": [], "path": []})


def unit(count: int, width: int = 6, seed: int = 0) -> np.ndarray:
    found = np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


class TestGroups:
    def test_identities_where_two_are_known_without_distractors_and_junk(self) -> None:
        groups = groups_of(table(), np.arange(8), NOBODY)
        assert (groups.by, groups.names) == ("identity", ("<5>", "<7>", "<9>"))
        assert groups.group.tolist() == [0, 0, 0, -1, -1, 2, 2, 1]

    def test_clusters_where_none_is_known_without_noise(self) -> None:
        unlabelled = table([-2] * 6, ["train"] * 6)
        groups = groups_of(unlabelled, np.array([1, 2, 3, 5]), clusters([3, 1, 3, -1, 3]))
        assert (groups.by, groups.names) == ("cluster", ("1", "3"))
        assert groups.group.tolist() == [0, 1, -1, -1]

    def test_a_sample_is_of_groups_with_two_images_and_the_same_for_a_seed(self) -> None:
        groups = groups_of(table(), np.arange(8), NOBODY)
        seeds = {seed: groups.sampled(np.random.default_rng(seed), 2) for seed in range(8)}
        for sampled in seeds.values():
            assert sorted(group for group, _ in sampled) == [0, 2]
            assert all(set(rows) <= set(groups.members(group)) and len(rows) == 2 for group, rows in sampled)
        assert len({str(each) for each in seeds.values()}) > 1
        assert str(groups.sampled(np.random.default_rng(3), 2)) == str(seeds[3])


class TestPlane:
    def test_three_heaps_stay_apart_and_a_second_time_gives_the_same(self) -> None:
        generator = np.random.default_rng(0)
        centres = np.repeat(np.eye(3, 16) * 4, 12, axis=0)
        features = centres + 0.2 * generator.normal(size=centres.shape)
        group = np.repeat(np.arange(3), 12)
        made = plane(features, 7, group)
        points = np.array(made.points)
        assert (points.min(), points.max()) == (0.0, 1.0)
        distances = np.linalg.norm(points[:, None] - points[None], axis=2)
        np.fill_diagonal(distances, np.inf)
        assert (group[distances.argmin(axis=1)] == group).all()
        assert made.nearest_alike == 1.0
        assert plane(features, 7, group) == made
        assert plane(3 * features, 7, group) == made, "lengths do not count"

    def test_the_share_of_nearest_ones_alike_by_loops(self) -> None:
        features, group = unit(9), np.array([0, 0, 0, 1, 1, 1, 2, 2, 2])
        alike = 0
        for row in range(9):
            others = [other for other in range(9) if other != row]
            alike += group[max(others, key=lambda other: float(features[row] @ features[other]))] == group[row]
        assert 0 < alike < 9
        assert plane(features, 0, group).nearest_alike == pytest.approx(alike / 9, abs=1e-4)

    def test_the_mean_cosine_of_texts_by_loops(self) -> None:
        features = unit(5, seed=2)
        pairs = [float(features[a] @ features[b]) for a in range(5) for b in range(a)]
        made = text_space(tuple("abcde"), features, 2 * features, 0)
        assert made is not None
        assert made.before.mean_cosine == made.after.mean_cosine == pytest.approx(np.mean(pairs), abs=1e-4)

    def test_equal_features_and_too_few(self) -> None:
        assert tsne(np.ones((5, 3)) / np.sqrt(3), 0).tolist() == [[0.5, 0.5]] * 5
        assert text_space(("a", "b", "c"), unit(3), unit(3), 0) is None
        few = Embeddings(np.arange(8), unit(8))
        sampled = [(0, np.array([0, 1])), (2, np.array([5]))]
        assert image_space(groups_of(table(), np.arange(8), NOBODY), sampled, table(), (None, few), 0) is None

    def test_points_have_the_names_groups_and_cameras_of_their_rows(self) -> None:
        before, after = (Embeddings(np.arange(8), unit(8, seed=seed)) for seed in (0, 1))
        sampled = [(2, np.array([5, 6])), (0, np.array([0, 2]))]
        made = image_space(groups_of(table(), np.arange(8), NOBODY), sampled, table(), (before, after), 0)
        assert made is not None
        assert (made.groups, made.group) == (("<9>", "<5>"), (0, 0, 1, 1))
        assert made.camera == ("gate 0", "gate 1", "gate 0", "gate 1")
        assert made.before == plane(before.of(np.array([5, 6, 0, 2])), 0, np.array([0, 0, 1, 1]))
        assert made.after == plane(after.of(np.array([5, 6, 0, 2])), 0, np.array([0, 0, 1, 1]))


class TestCandidates:
    def test_a_query_meets_what_the_protocol_lets_it(self) -> None:
        """Row 1 shows the query's identity at its own camera, row 4 is junk."""
        extraction: Any = SimpleNamespace(evaluation=EvaluationParameters())
        read = SplitTables(table(), EMPTY), extraction, np.random.default_rng(0)
        found = candidates_of(Embeddings(np.arange(8), unit(8)), *read)
        assert sorted(found.queries.tolist()) == [0, 5]
        assert found.met_by(0).tolist() == [2, 3, 6, 7]
        extraction.evaluation = EvaluationParameters(camera_filter=False)
        assert candidates_of(Embeddings(np.arange(8), unit(8)), *read).met_by(0).tolist() == [1, 2, 3, 6, 7]

    def test_where_nothing_is_tested_an_image_meets_all_others(self) -> None:
        extraction: Any = SimpleNamespace(evaluation=EvaluationParameters())
        read = SplitTables(table([-2] * 4, ["train"] * 4), EMPTY), extraction, np.random.default_rng(0)
        found = candidates_of(Embeddings(np.arange(4), unit(4)), *read)
        assert sorted(found.queries.tolist()) == [0, 1, 2, 3]
        assert found.met_by(2).tolist() == [0, 1, 3]


class Model:
    """An embedder whose cells are known."""

    encoder = SimpleNamespace(grid_size=(2, 3))

    def __init__(self, cells: np.ndarray) -> None:
        self.stored = torch.from_numpy(cells)

    def cells(self, row: Any) -> torch.Tensor:
        return self.stored[row][None]


def test_the_nearest_of_either_side_and_the_cosines_of_the_querys_cells_to_it() -> None:
    split_table = table()
    groups, embeddings = groups_of(split_table, np.arange(8), NOBODY), Embeddings(np.arange(8), unit(8))
    cells = np.stack([unit(6, seed=row) for row in range(8)])
    extraction: Any = SimpleNamespace(inputs=lambda _, __, rows: iter([(int(rows[0]),)]))
    pids, camids = np.array(PIDS), np.array(CAMERAS)
    candidates = Candidates(np.array([5, 0]), np.array([1, 2, 3, 4, 6, 7]), pids, camids)
    model: Any = Model(cells)
    found = similar_images(model, embeddings, groups, candidates, 3, (extraction, split_table))
    assert [each.path for each in found] == ["5.jpg", "0.jpg"]
    for each, query in zip(found, (5, 0), strict=True):
        met = [1, 2, 3, 7, 6] if query == 5 else [2, 3, 6, 7]
        cosine = {row: float(embeddings.vectors[query] @ embeddings.vectors[row]) for row in met}
        for side, rows in (
            (each.same, [row for row in met if PIDS[row] == PIDS[query]]),
            (each.other, [row for row in met if PIDS[row] != PIDS[query]]),
        ):
            best = max(rows, key=lambda row: cosine[row])
            assert side.path == f"{best}.jpg"
            assert side.cosine == pytest.approx(cosine[best], abs=1e-5)
            to_all = [np.mean([float(cell @ other) for other in embeddings.vectors]) for cell in cells[query]]
            wanted = [
                float(cell @ embeddings.vectors[best]) - mean for cell, mean in zip(cells[query], to_all, strict=True)
            ]
            assert (side.cells.rows, side.cells.columns) == (2, 3)
            assert side.cells.values == pytest.approx(wanted, abs=1e-5)
    assert similar_images(model, embeddings, groups, candidates, 1, (extraction, split_table)) == found[:1]
    alone = Candidates(np.array([7]), np.array([1, 2, 3]), pids, camids)
    assert similar_images(model, embeddings, groups, alone, 3, (extraction, split_table)) == []


def test_parameters_say_what_is_left_out() -> None:
    assert ExplainParameters(identities=0, texts=0, pictures=0, queries=0).identities == 0
    with pytest.raises(ValueError, match="less than or equal to 12"):
        ExplainParameters(identities=13)
