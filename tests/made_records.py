"""Records as small runs would write them."""

from typing import Any

from reid_pipeline.schema.records import Breakdown, EpochRecord, Metrics, Run, RunCard, SampledGallery

DATA = "0123456789abcdef" * 4
FIGURES = ("mAP", "mINP", "rank1", "rank5", "rank10")


def make_metrics(method: str = "pcl", mean_ap: float | None = 0.5, **others: Any) -> Metrics:
    content = {
        "benchmark": "synthetic",
        "method": method,
        "seed": 0,
        "mAP": mean_ap,
        "mINP": 0.125,
        "rank1": 0.5,
        "rank5": 0.75,
        "rank10": 0.875,
        "num_queries": 620,
        "num_valid_queries": 616,
        "num_gallery": 2060,
        "cmc": [0.5, 0.625, 0.75, 1.0],
        "splits": "test",
        "camera_filter": True,
        **others,
    }
    if any(content[name] is None for name in FIGURES):
        content.setdefault("not_evaluated", "nothing was tested")
    return Metrics.model_validate(content)


def make_run_card(method: str = "pcl", **others: Any) -> RunCard:
    content = {
        "benchmark": "synthetic",
        "method": method,
        "seed": 0,
        "data_hash": DATA,
        "data": {"train": {"images": 154, "identities": 12}},
        "device": "cpu",
        "precision": "float32",
        "training_seconds": 100.0,
        "reid_pipeline": "0.2.0",
        "git_commit": "0123456789" * 4,
        "git_dirty": False,
        "python": "3.11.7",
        "packages": {"torch": "2.6", "numpy": "2.1"},
        "machine": {"system": "Linux", "processor": "x86_64", "cpus": 2},
        "started": "2024-02-29T12:00:00Z",
        "wall_seconds": 75.0,
        "peak_memory_bytes": 2**30,
        "parameters": {"seed": 0, method: {"recipe": "released"}},
        **others,
    }
    return RunCard.model_validate(content)


def make_breakdown(method: str = "pcl", precisions: Any = (), **others: Any) -> Breakdown:
    content = {
        "benchmark": "synthetic",
        "method": method,
        "seed": 0,
        "draw": SampledGallery(test_set="", repeat=0),
        "average_precision": precisions,
        **others,
    }
    return Breakdown.model_validate(content)


def make_epoch(epoch: int, **others: Any) -> EpochRecord:
    content = {
        "epoch": epoch,
        "stage": "cluster_contrast",
        "learning_rate": 0.001 / epoch,
        "trainable_parameters": 1000,
        "loss": 3.0 / epoch,
        "losses": {"pcl": 3.0 / epoch},
        "clusters": 100 - epoch,
        "noise_share": 0.5 / epoch,
        "cluster_sizes": {
            "quantiles": [3.0, 4.0, 5.0, 6.0, 8.0],
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
            "bcubed_precision": 0.875,
            "bcubed_recall": 0.5,
        },
        "seconds": {"extraction": 2.0, "clustering": 1.0, "training": 5.0, "epoch": 8.5},
        **others,
    }
    return EpochRecord.model_validate(content)


def make_run(metrics: dict[str, Any], card: dict[str, Any], precisions: Any = None, **drawn: Any) -> Run:
    """A run whose three files have one head: benchmark, method, variant and seed of `metrics`."""
    made = make_metrics(**metrics)
    head = {name: getattr(made, name) for name in ("benchmark", "method", "variant", "seed")}
    breakdown = None if precisions is None else make_breakdown(precisions=precisions, **head, **drawn)
    return Run(made, make_run_card(**{**head, **card}), breakdown)
