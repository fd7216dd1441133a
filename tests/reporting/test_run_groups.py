"""Figures of all methods for `dvc metrics`, and their CMC for `dvc plots`."""

import math
from dataclasses import replace
from typing import Any

import pytest
from test_comparison import make_run

from reid_pipeline.reporting.run_groups import method_cmc, method_metrics
from reid_pipeline.schema.records import Run


def run(method: str, seed: int, mean_ap: float | None, cmc: list[float] | None, **rest: Any) -> Run:
    return make_run(seed, method=method, metrics={"mAP": mean_ap, "cmc": cmc or [], **rest.pop("metrics", {})}, **rest)


def test_means_and_deviations_over_the_seeds() -> None:
    found = method_metrics([run("pcl", 0, 0.5, None), run("zero_shot", 0, 0.25, None), run("pcl", 1, 0.75, None)])
    assert list(found) == ["pcl", "zero_shot"]
    assert found["pcl"] == {"mAP": 0.625, "mAP_std": pytest.approx(math.sqrt(2 * 0.125**2)), "rank1": 0.95, "mINP": 0.5}
    assert found["zero_shot"] == {"mAP": 0.25, "rank1": 0.95, "mINP": 0.5}, "one seed has no deviation"


def test_what_was_not_measured_is_left_out() -> None:
    assert method_metrics([run("pcl", 0, None, None)]) == {"pcl": {"rank1": 0.95, "mINP": 0.5}}
    assert method_metrics([]) == {}
    assert method_cmc([run("pcl", 0, None, None)]) == []


def test_runs_that_cannot_be_averaged_stand_apart_and_the_most_have_the_name() -> None:
    other = run("pcl", 0, 0.1, [0.1], plan={"epochs": 5})
    found = method_metrics([other, run("pcl", 1, 0.5, [0.5]), run("pcl", 2, 0.5, [0.5])])
    assert {name: each["mAP"] for name, each in found.items()} == {"pcl (plan.epochs 5)": 0.1, "pcl": 0.5}
    assert [*method_cmc([other, run("pcl", 1, 0.5, [0.5])])[0]] == ["rank", "pcl", "pcl (plan.epochs 60)"]


def test_the_curves_are_means_by_rank() -> None:
    records = method_cmc(
        [run("pcl", 0, 0.5, [0.5, 0.7, 1.0]), run("pcl", 1, 0.5, [0.7, 0.9]), run("zero_shot", 0, 0.5, [0.1, 0.2, 0.3])]
    )
    assert records == [
        {"rank": 1, "pcl": pytest.approx(0.6), "zero_shot": 0.1},
        {"rank": 2, "pcl": pytest.approx(0.8), "zero_shot": 0.2},
        {"rank": 3, "zero_shot": 0.3},
    ]


def test_a_variant_is_never_averaged_with_its_method() -> None:
    small = run("pcl", 0, 0.9, [0.9], metrics={"variant": "small"})
    runs = [small, run("pcl", 0, 0.5, [0.5]), run("pcl", 1, 0.7, [0.7])]
    found = method_metrics(runs)
    assert {name: each["mAP"] for name, each in found.items()} == {"pcl": pytest.approx(0.6), "pcl+small": 0.9}
    assert method_cmc(runs) == [{"rank": 1, "pcl": pytest.approx(0.6), "pcl+small": 0.9}]


def test_a_run_of_before_a_parameter_is_averaged_with_those_that_leave_it_out() -> None:
    def made(seed: int, **ingestion: Any) -> Run:
        card = run("pcl", seed, 0.5, None).run_card
        held = {**card.parameters, "ingestion": {"reader": "custom", **ingestion}}
        return replace(run("pcl", seed, 0.25 * (1 + seed), None), run_card=card.model_copy(update={"parameters": held}))

    found = method_metrics([made(0), made(1, columns=None)])
    assert found["pcl"]["mAP"] == 0.375
    found = method_metrics([made(0), made(1), made(2, columns={"pid": "who"})])
    assert {name: each["mAP"] for name, each in found.items()} == {
        "pcl": 0.375,
        "pcl (ingestion.columns.pid who)": 0.75,
    }


def test_runs_of_before_the_open_set_are_averaged_with_later_ones_and_tracklets_stand_apart() -> None:
    def made(seed: int, **evaluation: Any) -> Run:
        card = run("pcl", seed, 0.5, None).run_card
        held = {**card.parameters, "evaluation": {"splits": "test", "precision": "float32", **evaluation}}
        return replace(run("pcl", seed, 0.25 * (1 + seed), None), run_card=card.model_copy(update={"parameters": held}))

    later = {"tracklets": "none", "open_set": {"draws": 20, "left_out": 0.5}}
    found = method_metrics([made(0), made(1, **later), made(2, **{**later, "open_set": {"draws": 0}})])
    assert found["pcl"]["mAP"] == 0.5
    pooled = made(3, **{**later, "tracklets": "mean"})
    assert [*method_metrics([made(0), made(1, **later), pooled])] == ["pcl", "pcl (evaluation.tracklets mean)"]


def test_a_run_of_before_there_were_several_processes_is_averaged_with_those_of_one() -> None:
    def made(seed: int, **compute: Any) -> Run:
        made_run = run("pcl", seed, 0.5, None)
        held = {**made_run.run_card.parameters, "compute": {"device": "cpu", **compute}}
        return replace(made_run, run_card=made_run.run_card.model_copy(update={"parameters": held}))

    asked = {"launcher": "srun", "stall_seconds": 30}
    assert [*method_metrics([made(0), made(1, processes=1, **asked)])] == ["pcl"]
    assert [*method_metrics([made(0), made(1, processes=2, **asked), made(2)])] == ["pcl", "pcl (compute.processes 2)"]
