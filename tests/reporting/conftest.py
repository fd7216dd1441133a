import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from reid_pipeline.reporting import RankedQuery


def make_result(method: str, map_: float, **others: Any) -> dict[str, Any]:
    return {
        "benchmark": "synthetic",
        "method": method,
        "seed": 0,
        "mAP": map_,
        "mINP": 0.125,
        "rank1": 0.5,
        "rank5": 0.75,
        "rank10": 0.875,
        "num_queries": 620,
        "num_valid_queries": 616,
        "num_gallery": 2060,
        "cmc": [0.5, 0.625, 0.75, 1.0],
        **others,
    }


def make_record(epoch: int, **others: Any) -> dict[str, Any]:
    return {
        "epoch": epoch,
        "stage": "cluster_contrast",
        "learning_rate": 0.001 / epoch,
        "loss": 3.0 / epoch,
        "losses": {"pcl": 3.0 / epoch},
        "clusters": 100 - epoch,
        "noise_share": 0.5 / epoch,
        "cluster_sizes": {
            "min": 4,
            "median": 10,
            "max": 40 + epoch,
            "histogram": [
                {"low": 1, "high": 1, "clusters": 0},
                {"low": 3, "high": 4, "clusters": 12},
                {"low": 5, "high": 8, "clusters": 30 + epoch},
            ],
        },
        "ground_truth": {
            "ari": 0.25 * epoch,
            "nmi": 0.5,
            "pairwise_precision": 0.75,
            "pairwise_recall": 0.625,
        },
        "seconds": {"extraction": 2.0, "clustering": 1.0, "training": 5.0, "epoch": 8.5},
        **others,
    }


@pytest.fixture
def ranked() -> RankedQuery:
    grey = np.full((64, 32, 3), 128, dtype=np.uint8)
    return RankedQuery(
        grey, "id 7 · camera 2", 0.25, [grey, grey, grey], [True, False, True], ["a", "b", "c"]
    )


@pytest.fixture
def opened() -> Callable[[bytes], np.ndarray]:
    """Decode a picture to int [H, W, 3]."""
    return lambda picture: np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).astype(int)


@pytest.fixture
def history() -> list[dict[str, Any]]:
    return [make_record(epoch) for epoch in (1, 2, 3)]


@pytest.fixture
def results() -> list[dict[str, Any]]:
    return [make_result("zero_shot", 0.2712), make_result("unsupervised_pcl", 0.6123, rank1=0.8, mINP=None)]
