"""A test split that the protocol cannot be applied to leaves the rest of the matrix as it is."""

from typing import Any

import pytest

from reid_pipeline.engine import cross_benchmark
from reid_pipeline.engine.cross_benchmark import TrainedEmbedder, evaluate_everywhere
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.parameters import EvaluationParameters

FIGURES = {"mAP": 0.5, "mINP": 0.25, "rank1": 0.75, "rank5": 0.8, "rank10": 0.9, "splits": "test"}
COUNTS = {"num_queries": 9, "num_valid_queries": 8, "num_gallery": 20}


def test_one_pair_without_figures_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    class Tables:
        split_table = galleries = None

    def embed(embedder: str, tables: Any, raw: str, *rest: Any) -> str:
        if raw == "raw b":
            raise UserError("the camera of a test image is unknown")
        return embedder

    monkeypatch.setattr(cross_benchmark, "embed_test_rows", embed)
    monkeypatch.setattr(cross_benchmark, "evaluate_draws", lambda *_: ({**FIGURES, **COUNTS}, {}))
    monkeypatch.setattr(cross_benchmark, "_without_side_information", lambda tables: tables)
    embedders = [
        TrainedEmbedder("a", "pcl", seed, lambda: "model", variant) for seed, variant in enumerate(("", "x"))
    ]
    splits = [cross_benchmark.TestSplit(name, Tables(), f"raw {name}") for name in "ab"]
    found = evaluate_everywhere(embedders, splits, None, EvaluationParameters())
    assert found.benchmarks == ("a", "b")
    assert [(each.variant, each.seed, each.tested_on, each.mAP, each.why_not) for each in found.results] == [
        ("", 0, "a", 0.5, None),
        ("", 0, "b", None, "the camera of a test image is unknown"),
        ("x", 1, "a", 0.5, None),
        ("x", 1, "b", None, "the camera of a test image is unknown"),
    ]
    assert found.results[0].num_valid_queries == 8
