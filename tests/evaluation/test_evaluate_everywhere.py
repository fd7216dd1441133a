"""A test split that the protocol cannot be applied to leaves the rest of the matrix as it is."""

from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from reid_pipeline.evaluation import cross_benchmark
from reid_pipeline.evaluation.cross_benchmark import TrainedEmbedder, evaluate_everywhere
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.origin import Origin
from reid_pipeline.schema.parameters import EvaluationParameters

FIGURES = {"mAP": 0.5, "mINP": 0.25, "rank1": 0.75, "rank5": 0.8, "rank10": 0.9, "splits": "test"}
COUNTS = {"num_queries": 9, "num_valid_queries": 8, "num_gallery": 20}


def test_one_pair_without_figures_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    class Tables:
        split_table = galleries = pd.DataFrame()

    def embed(embedder: str, tables: Any, raw: str, *rest: Any) -> str:
        if raw == "raw b":
            raise UserError("the camera of a test image is unknown")
        return embedder

    monkeypatch.setattr(cross_benchmark, "embed_test_rows", embed)
    monkeypatch.setattr(cross_benchmark, "check_unchanged", lambda *_: None)
    monkeypatch.setattr(cross_benchmark, "data_hash", lambda _: "now")
    monkeypatch.setattr(cross_benchmark, "evaluate_draws", lambda *_: ({**FIGURES, **COUNTS}, {}))
    embedders = [
        TrainedEmbedder("a", "pcl", seed, lambda: SimpleNamespace(origin=None), variant)
        for seed, variant in enumerate(("", "x"))
    ]
    earlier = SimpleNamespace(origin=Origin(made_by="pcl.export", code="1", data="earlier"))
    embedders.append(TrainedEmbedder("a", "pcl", 2, lambda: earlier))
    splits = [cross_benchmark.TestSplit(name, Tables(), f"raw {name}") for name in "ab"]
    found = evaluate_everywhere(embedders, splits, None, EvaluationParameters())
    assert found.benchmarks == ("a", "b")
    assert [(each.variant, each.seed, each.tested_on, each.mAP, each.why_not) for each in found.results] == [
        ("", 0, "a", 0.5, None),
        ("", 0, "b", None, "the camera of a test image is unknown"),
        ("x", 1, "a", 0.5, None),
        ("x", 1, "b", None, "the camera of a test image is unknown"),
        ("", 2, "a", None, "trained on other tables of this benchmark than are there now: run the method again"),
        ("", 2, "b", None, "the camera of a test image is unknown"),
    ]
    assert found.results[0].num_valid_queries == 8
