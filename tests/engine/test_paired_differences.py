"""Which methods are compared with the best, and that the figures are those of the paired bootstrap."""

import math
from typing import Any

import numpy as np
import pytest

from reid_pipeline.engine.paired_differences import differences_to_best
from reid_pipeline.retrieval import paired_bootstrap

Record = dict[str, Any]


def make_run(
    method: str, seed: int, precisions: list[float | None] | None, *, data: str = "ab", **changes: Any
) -> Record:
    known = [value for value in precisions or [0.5] if value is not None]
    metrics = {"mAP": sum(known) / len(known), "splits": "test", "camera_filter": True}
    compute = {"device": changes.pop("device", "cpu")}
    parameters = {"seed": seed, "compute": compute, method: {"recipe": "released"}}
    run = {
        "method": method,
        "seed": seed,
        "metrics": {**metrics, **changes.pop("metrics", {})},
        "run_card": {"data_hash": data, "parameters": parameters},
    }
    if precisions is None:
        return run
    return run | {
        "breakdown": {"draw": {"test_set": "", "repeat": 0}, "average_precision": precisions, **changes}
    }


def test_seeds_are_averaged_query_by_query_before_the_difference() -> None:
    runs = [
        make_run("pcl", 0, [1.0, 0.5, None, 0.9]),
        make_run("pcl", 1, [0.8, 0.7, None, 0.7]),
        make_run("baseline", 0, [0.5, 0.6, None, 0.2]),
    ]
    (found,) = differences_to_best(runs)
    assert (found["best"]["method"], found["best"]["seeds"]) == ("pcl", [0, 1])
    assert (found["other"]["method"], found["other"]["seeds"]) == ("baseline", [0])
    # (0.9 - 0.5 + 0.6 - 0.6 + 0.8 - 0.2) / 3
    assert found["difference"] == pytest.approx(1.0 / 3)
    assert found["num_queries"] == 3
    by_hand = paired_bootstrap([0.5, 0.6, math.nan, 0.2], [0.9, 0.6, math.nan, 0.8])
    assert (found["low"], found["high"]) == pytest.approx((by_hand.low, by_hand.high))
    assert found["p_value"] == by_hand.p_value
    assert found["note"] == ""


def test_a_clear_and_an_unclear_difference() -> None:
    generator = np.random.default_rng(0)
    base = generator.uniform(0.2, 0.8, 200)
    runs = [
        make_run("pcl", 0, list(base + 0.1)),
        make_run("clip_reid", 0, list(base + 0.099 + generator.normal(0, 0.1, 200))),
        make_run("zero_shot", 0, list(base)),
    ]
    intervals = {each["other"]["method"]: (each["low"], each["high"]) for each in differences_to_best(runs)}
    best = {each["best"]["method"] for each in differences_to_best(runs)}
    assert len(best) == 1
    other = ({"pcl", "clip_reid"} - best).pop()
    assert intervals["zero_shot"][0] > 0.05
    assert intervals[other][0] < 0 < intervals[other][1]


def test_only_the_same_data_and_protocol_are_compared() -> None:
    runs = [
        make_run("pcl", 0, [0.9, 0.8], data="ab"),
        make_run("baseline", 0, [0.5, 0.4], data="ab", device="cuda:0"),
        make_run("zero_shot", 0, [0.95, 0.9], data="cd"),
    ]
    first, second = differences_to_best(runs)
    assert (first["best"]["method"], first["other"]["method"]) == ("pcl", "baseline")
    assert (second["best"], second["other"]["method"]) == (None, "zero_shot")
    assert second["other"]["apart"] == ["data_hash cd", "compute.device cpu"]
    assert second["why_not"] == "nothing else was scored on the same data by the same protocol"
    unfiltered = make_run("zero_shot", 0, [0.95, 0.9], metrics={"camera_filter": False})
    assert differences_to_best([*runs[:2], unfiltered])[1]["best"] is None


def test_runs_without_precisions_are_named() -> None:
    (found,) = differences_to_best([make_run("pcl", 3, [0.9]), make_run("baseline", 0, None)])
    assert "difference" not in found
    assert "is stored of baseline seed 0: run it again" in found["why_not"]


def test_what_was_not_scored_is_left_out() -> None:
    runs = [make_run("pcl", 0, [0.9]), make_run("baseline", 0, [], metrics={"mAP": None})]
    assert differences_to_best(runs) == []


def test_of_several_galleries_it_is_the_first_of_the_test_set_shown() -> None:
    figures = {"mAP": 0.5, "repeats": 10}
    several = {"test_set": "2400", "test_sets": {"2400": figures, "800": figures}}
    stored = {"test_set": "800", "repeat": 0}
    runs = [
        make_run(name, 0, [0.9, value], metrics=several, draw=stored)
        for name, value in (("a", 0.9), ("b", 0.5))
    ]
    (found,) = differences_to_best(runs)
    assert found["note"] == "of the first of 10 galleries"
    other = {"test_set": "2400", "repeat": 0}
    elsewhere = make_run("b", 0, [0.9, 0.5], metrics=several, draw=other)
    (found,) = differences_to_best([runs[0], elsewhere])
    assert "difference" not in found
