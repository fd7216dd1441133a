"""Which runs are averaged, what stands beside what, and that measured and published never mix."""

# ruff: noqa: RUF001
import csv
import importlib
import math
import statistics
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_records import make_run as make_records
from test_dataset_page import assert_self_contained
from test_report_page import HOSTILE, Page

from reid_pipeline.reporting.comparison import (
    compare_methods,
    comparison_csv,
    comparison_markdown,
    comparison_text,
    render_comparison_page,
)
from reid_pipeline.reporting.formats import duration
from reid_pipeline.reporting.published import MARKS, published_figures
from reid_pipeline.reporting.run_groups import group_runs, over_seeds
from reid_pipeline.schema.comparison import Comparison, ComparisonRow, DifferenceToBest, RunsNamed, Spread
from reid_pipeline.schema.records import Run

Record = dict[str, Any]

METHODS = ("zero_shot", "baseline", "clip_reid", "pcl", "svll_reid", "unsupervised_pcl")
VIT = {"name": "ViT-B-16-quickgelu", "pretrained": "openai", "patch_stride": None, "sie": "none"}
IMAGENET = {"pixel_mean": [0.485, 0.456, 0.406], "pixel_std": [0.229, 0.224, 0.225]}
QUERIES = {"market1501": 3368, "vehicleid": 5693}


def make_run(
    seed: int = 0,
    *,
    method: str = "clip_reid",
    benchmark: str = "market1501",
    metrics: Record | None = None,
    shared: Record | None = None,
    card: Record | None = None,
    **parameters: Any,
) -> Run:
    head = {"benchmark": benchmark, "method": method, "seed": seed}
    figures = {"mAP": 0.9, "mINP": 0.5, "rank1": 0.95, "rank5": 0.98, "rank10": 0.99}
    protocol = {"splits": "test", "camera_filter": True, "num_queries": QUERIES.get(benchmark, 100)}
    own = {"recipe": "released", "backbone": VIT, "plan": {"epochs": 60}, **parameters}
    given = {
        "training_seconds": 100.0 + seed,
        "peak_memory_bytes": 2**30 * (1 + seed),
        "parameters": {
            "benchmark": benchmark,
            "seed": seed,
            "compute": {"device": "cpu"},
            "evaluation": {"splits": protocol["splits"], "camera_filter": True},
            **(shared or {}),
            method: own,
        },
        **(card or {}),
    }
    return make_records({**head, **figures, **protocol, **(metrics or {})}, given)


def compare(*runs: Run, benchmark: str = "market1501") -> Comparison:
    return compare_methods(runs, benchmark=benchmark, methods=METHODS)


def rows_of(comparison: Comparison, method: str) -> list[ComparisonRow]:
    return [row for row in comparison.rows if row.method == method]


def measured_rows(comparison: Comparison) -> list[ComparisonRow]:
    return [row for row in comparison.rows if row.seeds]


def csv_rows(comparison: Comparison) -> list[dict[str, str]]:
    return list(csv.DictReader(comparison_csv(comparison).splitlines()))


class TestAverages:
    def test_by_hand(self) -> None:
        runs = [make_run(seed, metrics={"mAP": value}) for seed, value in enumerate((0.5, 0.6, 0.73))]
        (group,) = group_runs(runs)
        figures = over_seeds(group)["mAP"]
        assert figures.mean == pytest.approx(0.61)
        # ((0.11^2 + 0.01^2 + 0.12^2) / 2) ^ 0.5
        assert figures.std == pytest.approx(math.sqrt(0.0133))

    def test_one_seed_has_no_deviation(self) -> None:
        (group,) = group_runs([make_run()])
        assert over_seeds(group)["mAP"] == Spread(mean=0.9, std=None)

    @settings(deadline=None)
    @given(st.lists(st.floats(0, 1), min_size=2, max_size=6), st.randoms(use_true_random=False))
    def test_order_does_not_matter(self, values: list[float], random: Any) -> None:
        runs = [make_run(seed, metrics={"mAP": value}) for seed, value in enumerate(values)]
        random.shuffle(runs)
        (row,) = measured_rows(compare(*runs))
        assert row.seeds == tuple(range(len(values)))
        assert row.measured["mAP"].mean == pytest.approx(statistics.mean(values))
        assert row.measured["mAP"].std == pytest.approx(statistics.stdev(values), abs=1e-12)

    def test_a_figure_that_one_run_lacks_has_no_mean(self) -> None:
        (row,) = measured_rows(compare(make_run(0), make_run(1, metrics={"mAP": None})))
        assert row.measured["mAP"] == Spread(mean=None, std=None)
        assert row.measured["rank1"].mean == 0.95
        assert row.difference["mAP"] is None

    def test_costs(self) -> None:
        (row,) = measured_rows(compare(make_run(0), make_run(2)))
        assert row.training_seconds == 101.0
        assert row.peak_memory_bytes == 3 * 2**30


DIFFERENCES: dict[str, tuple[Record, list[str]]] = {
    "data": ({"card": {"data_hash": "fedcba9876543210" * 4}}, ["data_hash fedcba98"]),
    "repeats": ({"metrics": {"repeats": 10}}, ["protocol.repeats 10"]),
    "filter": ({"metrics": {"camera_filter": False}}, ["protocol.camera_filter false"]),
    "splits": (
        {"metrics": {"splits": "dev"}, "shared": {"evaluation": {"splits": "dev", "camera_filter": True}}},
        ["evaluation.splits dev"],
    ),
    "test set": ({"metrics": {"test_set": "small"}}, ["protocol.test_set small"]),
    "recipe": ({"recipe": "corrected"}, ["recipe corrected"]),
    "epochs": ({"plan": {"epochs": 12}}, ["plan.epochs 12"]),
    "extra": ({"margin": 0.3}, ["margin 0.3"]),
    "device": ({"shared": {"compute": {"device": "cuda:0"}}}, ["compute.device cuda:0"]),
    "null": ({"plan": {"epochs": None}}, ["plan.epochs null"]),
}


class TestApart:
    @pytest.mark.parametrize("name", DIFFERENCES)
    def test_any_difference_but_the_seed_makes_two_rows_that_say_it(self, name: str) -> None:
        change, said = DIFFERENCES[name]
        first, second = measured_rows(compare(make_run(0), make_run(1, **change)))
        assert (first.seeds, second.seeds) == ((0,), (1,))
        assert list(second.apart) == said
        assert len(first.apart) == len(said)
        assert first.apart != second.apart

    def test_what_is_absent_is_said(self) -> None:
        first, _ = measured_rows(compare(make_run(0), make_run(1, margin=0.3)))
        assert first.apart == ("margin absent",)

    def test_the_data_comes_first_and_the_device_last(self) -> None:
        changes = {"card": {"data_hash": "f" * 64}, "shared": {"compute": {"device": "mps"}}}
        _, row = measured_rows(compare(make_run(0), make_run(1, recipe="corrected", margin=1, **changes)))
        names = [said.split()[0] for said in row.apart]
        assert names == ["data_hash", "recipe", "margin", "compute.device"]

    def test_methods_on_other_data_are_told_apart_but_not_by_their_own_parameters(self) -> None:
        same = compare(make_run(), make_run(method="baseline", margin=0.3))
        assert [row.apart for row in measured_rows(same)] == [(), ()]
        other = compare(make_run(), make_run(method="baseline", card={"data_hash": "f" * 64}))
        assert [row.apart for row in measured_rows(other)] == [("data_hash ffffffff",), ("data_hash 01234567",)]

    def test_a_recipe_other_than_the_released_one_is_always_said(self) -> None:
        (row,) = measured_rows(compare(make_run(recipe="corrected")))
        assert row.apart == ("recipe corrected",)

    def test_shared_parameters_named_seed_are_no_seeds(self) -> None:
        runs = [make_run(seed, shared={"splits": {"seed": seed}}) for seed in (0, 1)]
        assert [row.apart for row in measured_rows(compare(*runs))] == [("splits.seed 0",), ("splits.seed 1",)]


class TestPublished:
    def test_the_difference_is_measured_minus_published(self) -> None:
        runs = [make_run(seed, metrics={"mAP": value}) for seed, value in ((0, 0.886), (1, 0.888))]
        (row,) = measured_rows(compare(*runs))
        assert row.published is not None
        assert row.published.content() == {
            "variant": "ViT CLIP-ReID",
            "mAP": 0.896,
            "rank1": 0.955,
            "mark": "q",
            "note": "ViT-B-16, patch stride 16, pixel statistics 0.5",
            "traits": {
                "backbone": "ViT-B-16",
                "weights": "openai",
                "image_size": "256x128",
                "patch_stride": "16",
                "side_information": "no",
                "pixel_statistics": "0.5",
                "rerank": "none",
            },
            "presumed": [],
            "unknown": [],
        }
        assert row.difference["mAP"] == pytest.approx(-0.009)
        assert row.measured["mAP"].mean == pytest.approx(0.887)
        (line,) = [line for line in comparison_text(compare(*runs)).splitlines() if "88.7" in line]
        assert line.split()[3:] == [
            "2", "(0,", "1)", "88.7", "±", "0.1", "95.0", "±", "0.0",
            "89.6", "95.5", "q", "−0.9", "−0.5", "1", "min", "40", "s",
        ]  # fmt: skip

    @pytest.mark.parametrize(
        ("backbone", "variant"),
        [
            (VIT, "ViT CLIP-ReID"),
            ({**VIT, "name": "ViT-B-16", "patch_stride": 16}, "ViT CLIP-ReID"),
            ({**VIT, "patch_stride": 12, "sie": "camera"}, "ViT CLIP-ReID + SIE + OLP"),
            ({**VIT, "name": "RN50-quickgelu", **IMAGENET}, "RN50 CLIP-ReID"),
            ({"name": "RN50-quickgelu", "patch_stride": None}, None),
            ({**VIT, **IMAGENET}, None),
            ({**VIT, "pixel_mean": None, "pixel_std": None}, None),
            ({**VIT, "sie": "camera"}, None),
            ({**VIT, "patch_stride": 12}, None),
            ({**VIT, "name": "ViT-L-14-quickgelu"}, None),
            ({**VIT, "pretrained": None}, None),
            ({**VIT, "pretrained": "laion2b_s34b_b88k"}, None),
            ({**VIT, "image_size": [384, 128]}, None),
            ({"name": "RN50x4-quickgelu"}, None),
            ({"name": "demo-vit"}, None),
            (None, None),
        ],
    )
    def test_only_the_same_variant(self, backbone: Record | None, variant: str | None) -> None:
        comparison = compare(make_run(backbone=backbone))
        (row,) = measured_rows(comparison)
        assert getattr(row.published, "variant", None) == variant
        assert (row.difference != {}) == (variant is not None and row.published.mark != "u")
        # What was not run stands below, and is empty.
        beside = [each for each in rows_of(comparison, "clip_reid") if each is not row]
        named = [each.published.variant for each in beside] + ([variant] if variant else [])
        assert sorted(named) == ["RN50 CLIP-ReID", "ViT CLIP-ReID", "ViT CLIP-ReID + SIE + OLP"]
        assert all((each.seeds, each.measured, each.difference) == ((), {}, {}) for each in beside)

    def test_an_unverified_figure_is_no_target(self) -> None:
        (row,) = measured_rows(compare(make_run(method="baseline")))
        assert row.published.mark == "u"
        assert row.difference == {}

    @pytest.mark.parametrize(
        ("metrics", "said"),
        [
            ({"splits": "dev"}, "measured on splits dev"),
            ({"camera_filter": False}, "measured without the camera filter"),
            ({"num_queries": 12}, "measured on 12 queries, published on 3,368"),
            ({"test_set": "800"}, "measured on test set 800"),
            ({"flip_averaging": True}, "measured with flip averaging"),
            ({"query_expansion": 2}, "measured with query expansion"),
            ({"camera_mean_subtraction": True}, "measured with camera mean subtraction"),
        ],
    )
    def test_another_protocol_is_said_and_not_subtracted(self, metrics: Record, said: str) -> None:
        comparison = compare(make_run(metrics=metrics))
        (row,) = measured_rows(comparison)
        assert row.published.variant == "ViT CLIP-ReID"
        assert (row.difference, row.notes) == ({}, (said,))
        assert said in comparison_markdown(comparison)
        assert said in csv_rows(comparison)[comparison.rows.index(row)]["notes"]

    def test_a_re_ranked_run_is_beside_a_re_ranked_figure(self) -> None:
        best = {**VIT, "patch_stride": 12, "sie": "camera"}
        found = {}
        for rerank in ("none", "clip_reid", "k_reciprocal"):
            run = make_run(benchmark="msmt17", backbone=best, metrics={"rerank": rerank, "num_queries": 11659})
            (row,) = measured_rows(compare(run, benchmark="msmt17"))
            found[rerank] = row.published.variant if row.published else row.notes
        assert found == {
            "none": "ViT CLIP-ReID + SIE + OLP",
            "clip_reid": "ViT CLIP-ReID + SIE + OLP + re-ranking",
            "k_reciprocal": (
                "not comparable with a published figure; nearest is ViT CLIP-ReID + SIE + OLP: re-ranking none, here"
                " k_reciprocal",
            ),
        }

    def test_drawn_benchmarks_have_none(self) -> None:
        comparison = compare(make_run(benchmark="synthetic"), benchmark="synthetic")
        assert [row.published for row in comparison.rows] == [None] * len(METHODS)
        assert "No published figures are known for synthetic." in comparison_markdown(comparison)
        for text in (comparison_text(comparison), comparison_markdown(comparison).split("\n- ")[0]):
            assert "published mAP" not in text
            assert "difference mAP" not in text

    def test_vehicleid_is_compared_on_its_small_test_set(self) -> None:
        bare = {"mAP": 0.5, "mINP": 0.5, "rank10": 0.5, "num_valid_queries": 5693, "num_gallery": 800}
        big, small = (
            {**bare, "rank1": 0.5, "rank5": 0.6, "num_queries": 17377, "repeats": 10},
            {**bare, "rank1": 0.859, "rank5": 0.966, "num_queries": 5693, "repeats": 10},
        )
        sets = {"test_set": "2400", "test_sets": {"2400": big, "800": small}}
        backbone = {**VIT, "image_size": [256, 256]}
        run = make_run(benchmark="vehicleid", metrics={**big, **sets, "camera_filter": False}, backbone=backbone)
        comparison = compare(run, benchmark="vehicleid")
        (row,) = measured_rows(comparison)
        assert row.published.variant == "ViT CLIP-ReID"
        assert row.published.mAP is None
        assert {name: round(100 * value, 1) for name, value in row.difference.items()} == {"rank1": 0.6, "rank5": -1.0}
        assert row.notes == ()
        assert comparison_text(comparison).startswith("Methods on vehicleid, test set 800")
        header = comparison_text(comparison).splitlines()[1]
        assert "measured Rank-5" in header
        assert "published Rank-5" in header
        assert "published mAP" not in header


class TestPublishedTable:
    def test_it_is_the_table_of_the_sources(self) -> None:
        """One line of methods.md section 12 per benchmark, retyped."""
        expected = {
            "msmt17": "60.7/82.1u 66.1/84.4u 63.0/84.4u 73.4/88.7q 75.8/89.7q 86.7/91.1r 76.1/89.8q"
            " 56.4/77.9q 65.5/84.4u 67.5/85.1r",
            "market1501": "88.1/94.7u 86.4/93.3u 89.8/95.7u 89.6/95.5q 90.5/95.4q 91.4/95.9q 86.9/94.2q"
            " 88.4/94.8u 88.5/94.7r 90.2/95.5r",
            "dukemtmc": "79.3/88.6u 80.0/88.8u 80.7/90.0u 82.5/90.0q 83.1/90.8q",
            "occluded_duke": "47.4/54.2u 53.5/60.8u 53.5/61.0u 59.5/67.1q 60.3/67.2q",
            "veri776": "79.3/95.7q 79.3/95.7u 80.3/96.8q 83.3/97.4q 84.5/97.3q 82.5/97.1q",
            "vehicleid": "84.4/96.6u 84.2/96.6u 85.2/97.1q 85.3/97.6q 85.5/97.2q",
        }
        for benchmark, line in expected.items():
            found = [
                "/".join(f"{100 * value:.1f}" for value in figure.values.values()) + figure.mark
                for figure in published_figures(benchmark)
            ]
            assert " ".join(found) == line
            pair = ["rank1", "rank5"] if benchmark == "vehicleid" else ["mAP", "rank1"]
            assert all(list(figure.values) == pair for figure in published_figures(benchmark))
            assert {figure.mark for figure in published_figures(benchmark)} <= set(MARKS)

    @pytest.mark.parametrize("benchmark", ["msmt17", "market1501", "dukemtmc", "occluded_duke", "veri776", "vehicleid"])
    def test_its_protocol_is_the_benchmarks(self, benchmark: str) -> None:
        known = importlib.import_module(f"reid_pipeline.readers.{benchmark}").BENCHMARK
        counts = known.versions[0].counts
        if benchmark == "vehicleid":  # one image of each vehicle is the gallery
            queries = counts["800"].images - counts["800"].identities
        else:
            queries = counts["query"].images
        assert {figure.num_queries for figure in published_figures(benchmark)} == {queries}
        has_cameras = known.cameras is not None
        assert {figure.camera_filter for figure in published_figures(benchmark)} == {has_cameras}
        sets = {"800"} if benchmark == "vehicleid" else {""}
        assert {figure.test_set for figure in published_figures(benchmark)} == sets

    def test_methods_are_ours(self) -> None:
        methods = {figure.method for benchmark in QUERIES for figure in published_figures(benchmark)}
        assert methods <= set(METHODS)


class TestShown:
    def test_every_method_has_a_row_and_what_was_not_run_is_empty(self) -> None:
        comparison = compare(make_run(method="zero_shot"))
        assert list(dict.fromkeys(row.method for row in comparison.rows)) == list(METHODS)
        for row, line in zip(comparison.rows, csv_rows(comparison), strict=True):
            figures = [value for name, value in line.items() if name.startswith("measured_")]
            assert any(figures) == (row.method == "zero_shot") == (line["n"] == "1")
            if row.method != "zero_shot":
                assert not any(figures)
                assert not any(value for name, value in line.items() if name.startswith("difference_"))
                assert not line["training_seconds"]
        (empty,) = [each for each in comparison_markdown(comparison).splitlines() if "svll_reid" in each]
        assert set(empty) <= set("| svll_reid")

    def test_a_method_from_elsewhere_has_a_row_too(self) -> None:
        assert rows_of(compare(make_run(method="mine")), "mine")[0].seeds == (0,)

    def test_nothing_to_score_is_an_empty_cell(self) -> None:
        empty = dict.fromkeys(("mAP", "mINP", "rank1", "rank5", "rank10"))
        runs = [make_run(seed, benchmark="custom", metrics=empty) for seed in (0, 1)]
        comparison = compare(*runs, benchmark="custom")
        (line,) = [each for each in comparison_text(comparison).splitlines() if each.startswith("clip_reid")]
        assert line.split() == ["clip_reid", "2", "(0,", "1)", "1", "min", "40", "s"]
        assert "measured mAP" in comparison_text(comparison)
        assert "None" not in comparison_csv(comparison) + comparison_markdown(comparison)
        assert "nan" not in comparison_csv(comparison)

    def test_csv_holds_fractions_and_points(self) -> None:
        runs = [make_run(seed, metrics={"mAP": value}) for seed, value in ((3, 0.9), (5, 0.91))]
        (line,) = [line for line in csv_rows(compare(*runs)) if line["n"] == "2"]
        assert line["seeds"] == "3 5"
        assert float(line["measured_mAP_mean"]) == pytest.approx(0.905)
        assert float(line["measured_mAP_std"]) == pytest.approx(0.01 / math.sqrt(2))
        assert (line["published_mAP"], line["published_mark"]) == ("0.896", "q")
        assert line["difference_mAP_points"] == "0.9"
        assert line["difference_rank5_points"] == ""

    def test_numbers_of_parameters_are_shown_where_cards_have_them(self) -> None:
        without, with_them = compare(make_run()), compare(make_run(card={"num_parameters": 86_000_000}))
        assert "num_parameters" not in csv_rows(without)[0]
        assert "Parameters" not in comparison_markdown(without)
        (line,) = [line for line in csv_rows(with_them) if line["n"] == "1"]
        assert line["num_parameters"] == "86000000"
        assert "num_trainable_parameters" not in line
        assert "86,000,000" in render_comparison_page(with_them)

    def test_the_meaning_of_each_mark_is_below(self) -> None:
        comparison = compare(make_run())
        for text in (render_comparison_page(comparison), comparison_markdown(comparison)):
            for mark, meaning in MARKS.items():
                assert f"{mark}: {meaning}".replace("'", "&#39;" if "<html" in text else "'") in text

    def test_measured_and_published_share_no_column(self) -> None:
        header = comparison_markdown(compare(make_run())).splitlines()[6]
        names = [cell.strip() for cell in header.strip("|").split("|")]
        assert len(set(names)) == len(names)
        assert {"measured mAP", "published mAP", "difference mAP", "mark"} <= set(names)

    def test_the_page_loads_nothing_and_escapes(self) -> None:
        run = make_run(method=HOSTILE, benchmark=HOSTILE, note=HOSTILE)
        source = render_comparison_page(compare(run, make_run(method=HOSTILE), benchmark=HOSTILE))
        page = Page(source)
        assert_self_contained(page)
        assert (page.tags["script"], page.tags["img"]) == (0, 0)
        assert page.tags["caption"] == page.tags["table"] == 2
        assert HOSTILE in page.texts["strong"]
        assert len(source) < 30_000

    def test_pipes_do_not_break_markdown(self) -> None:
        run = make_run(method="a|b")
        lines = [line for line in comparison_markdown(compare(run)).splitlines() if "a\\|b" in line]
        assert len(lines) == 2
        bare = lines[0].replace("\\|", "")
        header = comparison_markdown(compare(run)).splitlines()[6]
        assert bare.count("|") == header.count("|")

    def test_a_terminal_says_two_differences_and_how_many_more(self) -> None:
        runs = [make_run(seed, a=seed, b=seed, c=seed, d=seed, e=seed) for seed in (0, 1)]
        assert "clip_reid [a 0, b 0 and 3 more]: ViT CLIP-ReID " in comparison_text(compare(*runs))
        assert "| a 0, b 0, c 0, d 0 and 1 more |" in comparison_markdown(compare(*runs))


class TestLabelsAndVariants:
    def test_whose_labels_were_used_has_a_column(self) -> None:
        uses = {"zero_shot": "none", "clip_reid": "all", "baseline": "partial", "pcl": "source", "mine": None}
        runs = [make_run(method=name, metrics={"label_use": use}) for name, use in uses.items()]
        comparison = compare(*runs)
        assert {row.method: row.label_use for row in measured_rows(comparison)} == uses
        words = ["none", "of all images", "of some images", "of the source", "not recorded"]
        table = comparison_markdown(comparison).split("## All that was measured")[1]
        rows = [[cell.strip() for cell in line.split("|")] for line in table.splitlines()]
        column = next(row.index("Labels") for row in rows if "Labels" in row)
        told = {row[1]: row[column] for row in rows if len(row) > column}
        assert {name: told[name] for name in uses} == dict(zip(uses, words, strict=True))
        assert Page(render_comparison_page(comparison)).texts["td"].count("of all images") == 2
        lines = {line["method"]: line["label_use"] for line in csv_rows(comparison) if line["n"] != "0"}
        assert lines == {name: use or "" for name, use in uses.items()}

    def test_runs_that_noted_other_labels_or_weights_are_not_averaged(self) -> None:
        runs = [make_run(seed, metrics={"label_use": use}) for seed, use in ((0, "none"), (1, "source"))]
        assert [row.apart for row in measured_rows(compare(*runs))] == [("label_use none",), ("label_use source",)]
        runs = [make_run(seed, card={"weights": digit * 64}) for seed, digit in ((0, "a"), (1, "b"))]
        assert [row.apart for row in measured_rows(compare(*runs))] == [("weights aaaaaaaa",), ("weights bbbbbbbb",)]

    def test_what_was_not_noted_is_averaged_with_what_was(self) -> None:
        runs = [make_run(0), make_run(1, metrics={"label_use": "all"})]
        (row,) = measured_rows(compare(*runs))
        assert (row.seeds, row.label_use) == ((0, 1), "all")

    def test_a_variant_has_rows_of_its_own_below_its_method(self) -> None:
        small = {"metrics": {"variant": "small"}, "plan": {"epochs": 12}}
        comparison = compare(make_run(0, **small), make_run(1, **small), make_run(0), make_run(1))
        rows = measured_rows(comparison)
        assert [(row.method, row.variant, row.seeds) for row in rows] == [
            ("clip_reid", "", (0, 1)),
            ("clip_reid", "small", (0, 1)),
        ]
        assert [row.apart for row in rows] == [("plan.epochs 60",), ("plan.epochs 12",)]
        same = compare(make_run(0, metrics={"variant": "same"}), make_run(0))
        assert [row.variant for row in measured_rows(same)] == ["", "same"]
        assert "| clip_reid+small |" in comparison_markdown(comparison)
        assert "\nclip_reid+small [plan.epochs 12]" in comparison_text(comparison)
        assert [line["variant"] for line in csv_rows(comparison) if line["n"] == "2"] == ["", "small"]

    def test_the_difference_of_a_variant_is_beside_its_own_row(self) -> None:
        head = {"apart": (), "seeds": (0,)}
        difference = DifferenceToBest(
            best=RunsNamed(method="clip_reid", variant="", **head),
            other=RunsNamed(method="clip_reid", variant="same", **head),
            difference=0.01,
            low=0.005,
            high=0.02,
        )
        comparison = compare_methods(
            [make_run(0), make_run(0, metrics={"variant": "same"})],
            benchmark="market1501",
            methods=METHODS,
            differences=[difference],
        )
        behind = {
            line["variant"]: line["behind_best_mAP_low_points"] for line in csv_rows(comparison) if line["n"] == "1"
        }
        assert behind == {"": "", "same": "0.5"}
        assert "clip_reid+same, seeds 0" in comparison_text(comparison)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""), (0.0, "0.0 s"), (59.94, "59.9 s"), (59.96, "1 min 0 s"), (60.0, "1 min 0 s"),
        (206.0, "3 min 26 s"), (3599.6, "1 h 0 min"), (7860.0, "2 h 11 min"),
    ],
)  # fmt: skip
def test_duration(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_an_imported_model_stands_beside_what_its_authors_published() -> None:
    backbone = {"name": "ViT-B-16-quickgelu", "patch_stride": 12, "sie": "camera"}
    run = make_run(backbone=backbone, card={"imported": "0" * 64})
    rows = compare_methods([run, make_run(1)], benchmark="market1501", methods=METHODS).rows
    (imported,) = [row for row in rows if row.notes]
    assert imported.notes == ("imported: trained by its authors, not here",)
    assert imported.published is not None
    assert imported.published.variant == "ViT CLIP-ReID + SIE + OLP"
    assert imported.difference["mAP"] is not None
