"""Which methods are compared with the best, and that the figures are those of the paired bootstrap."""

import math
from typing import Any

import numpy as np
import pytest
from made_records import make_metrics
from made_records import make_run as make_records

from reid_pipeline.evaluation.paired_differences import difference_to_zero_shot, differences_to_best
from reid_pipeline.retrieval import paired_bootstrap
from reid_pipeline.schema.comparison import RunsNamed
from reid_pipeline.schema.figures import Figures
from reid_pipeline.schema.origin import Origin
from reid_pipeline.schema.records import Differences, Run

Precisions = list[float | None]


def make_run(method: str, seed: int, precisions: Precisions | None, *, data: str = "a", **changes: Any) -> Run:
    known = [value for value in precisions or [0.5] if value is not None]
    metrics = {"method": method, "seed": seed, "mAP": sum(known) / len(known) if known else None}
    compute = {"device": changes.pop("device", "cpu")}
    parameters = {"seed": seed, "compute": compute, method: {"recipe": "released"}}
    card = {"data_hash": data * 64, "parameters": parameters}
    return make_records({**metrics, **changes.pop("metrics", {})}, card, precisions, **changes)


def test_seeds_are_averaged_query_by_query_before_the_difference() -> None:
    runs = [
        make_run("pcl", 0, [1.0, 0.5, None, 0.9]),
        make_run("pcl", 1, [0.8, 0.7, None, 0.7]),
        make_run("baseline", 0, [0.5, 0.6, None, 0.2]),
    ]
    (found,) = differences_to_best(runs)
    assert (found.best, found.other.seeds) == (RunsNamed(method="pcl", apart=(), seeds=(0, 1)), (0,))
    assert found.other.method == "baseline"
    # (0.9 - 0.5 + 0.6 - 0.6 + 0.8 - 0.2) / 3
    assert found.difference == pytest.approx(1.0 / 3)
    assert found.num_queries == 3
    by_hand = paired_bootstrap([0.5, 0.6, math.nan, 0.2], [0.9, 0.6, math.nan, 0.8])
    assert (found.low, found.high) == pytest.approx((by_hand.low, by_hand.high))
    assert found.p_value == by_hand.p_value
    assert found.note == ""


def test_a_clear_and_an_unclear_difference() -> None:
    generator = np.random.default_rng(0)
    base = generator.uniform(0.4, 0.5, 200)
    runs = [
        make_run("pcl", 0, list(base + 0.1)),
        make_run("clip_reid", 0, list(base + 0.099 + generator.normal(0, 0.1, 200))),
        make_run("zero_shot", 0, list(base)),
    ]
    intervals = {each.other.method: (each.low, each.high) for each in differences_to_best(runs)}
    best = {each.best.method for each in differences_to_best(runs)}
    assert len(best) == 1
    other = ({"pcl", "clip_reid"} - best).pop()
    assert intervals["zero_shot"][0] > 0.05
    assert intervals[other][0] < 0 < intervals[other][1]


def test_only_the_same_data_and_protocol_are_compared() -> None:
    runs = [
        make_run("pcl", 0, [0.9, 0.8], data="a"),
        make_run("baseline", 0, [0.5, 0.4], data="a", device="cuda:0"),
        make_run("zero_shot", 0, [0.95, 0.9], data="c"),
    ]
    first, second = differences_to_best(runs)
    assert (first.best.method, first.other.method) == ("pcl", "baseline")
    assert (second.best, second.other.method) == (None, "zero_shot")
    assert second.other.apart == ("data_hash cccccccc", "compute.device cpu")
    assert second.why_not == "nothing else was scored on the same data by the same protocol"
    unfiltered = make_run("zero_shot", 0, [0.95, 0.9], metrics={"camera_filter": False})
    assert differences_to_best([*runs[:2], unfiltered])[1].best is None


def test_runs_without_precisions_are_named() -> None:
    (found,) = differences_to_best([make_run("pcl", 3, [0.9]), make_run("baseline", 0, None)])
    assert found.difference is None
    assert "is stored of baseline seed 0: run it again" in found.why_not


def test_what_was_not_scored_is_left_out() -> None:
    runs = [make_run("pcl", 0, [0.9]), make_run("baseline", 0, [], metrics={"mAP": None})]
    assert differences_to_best(runs) == []


def test_of_several_galleries_it_is_the_first_of_the_test_set_shown() -> None:
    figures = {name: getattr(make_metrics(), name) for name in Figures.model_fields} | {"repeats": 10}
    several = {"test_set": "2400", "test_sets": {"2400": figures, "800": figures}}
    stored = {"test_set": "800", "repeat": 0}
    runs = [make_run(name, 0, [0.9, value], metrics=several, draw=stored) for name, value in (("a", 0.9), ("b", 0.5))]
    (found,) = differences_to_best(runs)
    assert found.note == "of the first of 10 galleries"
    other = {"test_set": "2400", "repeat": 0}
    elsewhere = make_run("b", 0, [0.9, 0.5], metrics=several, draw=other)
    (found,) = differences_to_best([runs[0], elsewhere])
    assert found.difference is None


def test_variants_are_compared_with_each_other_as_other_methods_are() -> None:
    runs = [make_run("pcl", 0, [0.9, 0.8]), make_run("pcl", 0, [0.5, 0.4], metrics={"variant": "small"})]
    (found,) = differences_to_best(runs)
    assert (found.best.variant, found.other.variant) == ("", "small")
    assert found.difference == pytest.approx(0.4)


QUERIES = 40
OTHER = "synthetic/zero_shot/seed_0"


def scored(method: str, generator: np.random.Generator, *, lists: bool = True, **changes: Any) -> Run:
    """A run over 40 queries, of which 3 and 17 are not valid."""
    ranks = [int(rank) for rank in generator.integers(1, 15, QUERIES)]
    precisions = [float(value) for value in generator.uniform(0, 1, QUERIES)]
    penalties = [float(value) for value in generator.uniform(0, 1, QUERIES)]
    for column in (ranks, precisions, penalties):
        for place in (3, 17):
            column[place] = None  # type: ignore[call-overload]
    counts = {"num_queries": QUERIES, "num_valid_queries": QUERIES - 2}
    per_query = {"first_match_rank": ranks, "inverse_negative_penalty": penalties} if lists else {}
    metrics = {**counts, **changes.pop("metrics", {})}
    return make_run(method, 0, precisions, metrics=metrics, **per_query, **changes)


def to_zero_shot(run: Run, zero_shot: Run, **options: Any) -> Differences:
    pair = run.metrics, run.breakdown, zero_shot.metrics, zero_shot.breakdown
    return difference_to_zero_shot(*pair, other=OTHER, **options)


@pytest.fixture
def pair() -> tuple[Run, Run]:
    generator = np.random.default_rng(7)
    return scored("pcl", generator), scored("zero_shot", generator)


def test_all_figures_are_resampled_together_as_a_slow_loop_does(pair: tuple[Run, Run]) -> None:
    found = to_zero_shot(*pair, resamples=200)
    assert (found.method, found.other, found.num_queries, found.why_not) == ("pcl", OTHER, 38, None)
    assert list(found.figures) == ["mAP", "mINP", "rank1", "rank5", "rank10"]
    rows = []
    for run in pair:
        lists = run.breakdown.average_precision, run.breakdown.inverse_negative_penalty
        hits = [
            [None if rank is None else float(rank <= most) for rank in run.breakdown.first_match_rank]
            for most in (1, 5, 10)
        ]
        rows.append(dict(zip(found.figures, [*lists, *hits], strict=True)))
    valid = [place for place in range(QUERIES) if place not in (3, 17)]
    generator = np.random.default_rng(0)
    drawn = [[valid[i] for i in generator.integers(len(valid), size=len(valid))] for _ in range(200)]
    for name, figure in found.figures.items():
        own, theirs = (each[name] for each in rows)
        by_hand = [sum(own[q] - theirs[q] for q in queries) / len(queries) for queries in drawn]
        assert figure.difference == pytest.approx(sum(own[q] - theirs[q] for q in valid) / len(valid))
        assert (figure.low, figure.high) == pytest.approx(tuple(np.quantile(by_hand, [0.025, 0.975])))
        fewer = min(sum(mean <= 1e-12 for mean in by_hand), sum(mean >= -1e-12 for mean in by_hand))
        assert figure.p_value == pytest.approx(min(1, 2 * (fewer + 1) / 201))


def test_of_files_of_the_first_version_it_is_map_alone(pair: tuple[Run, Run]) -> None:
    generator = np.random.default_rng(7)
    first = scored("pcl", generator, lists=False)
    found = to_zero_shot(first, pair[1])
    assert list(found.figures) == ["mAP"]
    alone = paired_bootstrap(*(np.array(run.breakdown.average_precision, dtype=float) for run in (pair[1], first)))
    figure = found.figures["mAP"]
    assert (figure.difference, figure.low, figure.high) == (alone.difference, alone.low, alone.high)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"metrics": {"mAP": None, "not_evaluated": "no image is query"}}, "nothing was tested: no image is"),
        ({"metrics": {"splits": "dev"}}, "the queries are not the same: splits"),
        ({"metrics": {"camera_filter": False}}, "the queries are not the same: camera filter"),
        ({"metrics": {"num_gallery": 3}}, "the queries are not the same: size of the gallery"),
        ({"draw": {"test_set": "", "repeat": 1}}, "the queries are not the same: queries drawn"),
        (
            {"metrics": {"test_set": "800"}, "draw": {"test_set": "800", "repeat": 0}},
            "the queries are not the same: test set, queries drawn",
        ),
        ({"metrics": {"test_set": "800"}}, "no AP of each query of the test set shown is stored of zero_shot seed 0"),
    ],
)
def test_why_there_are_no_figures(pair: tuple[Run, Run], changes: dict[str, Any], said: str) -> None:
    other = scored("zero_shot", np.random.default_rng(1), **changes)
    found = to_zero_shot(pair[0], other)
    assert (found.figures, found.num_queries) == ({}, 0)
    assert str(found.why_not).startswith(said)


def test_other_data_are_told_by_the_origins(pair: tuple[Run, Run]) -> None:
    origins = [Origin(made_by="x", data=digit * 64, code="1") for digit in "ab"]
    metrics = [run.metrics.model_copy(update={"origin": origin}) for run, origin in zip(pair, origins, strict=True)]
    found = difference_to_zero_shot(metrics[0], pair[0].breakdown, metrics[1], pair[1].breakdown, other=OTHER)
    assert found.why_not == "the queries are not the same: data"


def test_no_query_is_valid_for_both() -> None:
    own, other = make_run("pcl", 0, [0.5, None]), make_run("zero_shot", 0, [None, 0.5])
    assert to_zero_shot(own, other).why_not == "none of the 620 queries is valid for both"


def test_of_repeated_galleries_it_is_the_first(pair: tuple[Run, Run]) -> None:
    repeated = scored("pcl", np.random.default_rng(1), metrics={"repeats": 10, "variant": "small"})
    found = to_zero_shot(repeated, pair[1])
    assert (found.note, found.variant) == ("of the first of 10 galleries", "small")
    assert len(found.figures) == 5
