"""A run stands beside the published figures of its like: pixel statistics, eps, camera-aware kind and the rest."""

import csv
from itertools import product
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from made_records import make_metrics, make_run_card
from made_records import make_run as make_records
from published import CONF, conf_layer, published

from reid_pipeline.methods import find_method, method_names
from reid_pipeline.reporting.comparison import compare_methods, comparison_csv, comparison_markdown
from reid_pipeline.reporting.published import TRAITS, PublishedFigure, figures_beside, published_figures, run_traits
from reid_pipeline.schema.comparison import ComparisonRow
from reid_pipeline.schema.layers import resolved

Record = dict[str, Any]

BENCHMARKS = ("market1501", "msmt17", "dukemtmc", "occluded_duke", "veri776", "vehicleid")
QUERIES = {"market1501": 3368, "msmt17": 11659}
HALF = {"pixel_mean": [0.5, 0.5, 0.5], "pixel_std": [0.5, 0.5, 0.5]}
IMAGENET = {"pixel_mean": [0.485, 0.456, 0.406], "pixel_std": [0.229, 0.224, 0.225]}
OF_THE_WEIGHTS = {"pixel_mean": None, "pixel_std": None}
STATISTICS = {"0.5": HALF, "ImageNet": IMAGENET, "of the weights": OF_THE_WEIGHTS}
PAPER, ONLINE = "PCL unsupervised (Cluster Contrast memory)", "PCL unsupervised (O2CAP)"
LOG, README, MSMT = (
    f"PCL unsupervised, unofficial release ({what})" for what in ("log, eps 0.5", "README, eps 0.4", "eps 0.7")
)


def unsupervised(statistics: Record, eps: float, kind: str | None = "none", **backbone: Any) -> Record:
    given = {"name": "ViT-B-16-quickgelu", "pretrained": "openai", "patch_stride": None, "sie": "none", **statistics}
    cameras = {} if kind is None else {"camera_aware": {"kind": kind, "temperature": 0.07}}
    return {"backbone": {**given, **backbone}, "clustering": {"k1": 30, "eps": eps}, **cameras}


def rows_of_a_run(
    benchmark: str, parameters: Record, method: str = "unsupervised_pcl", **card: Any
) -> list[ComparisonRow]:
    head = {"benchmark": benchmark, "method": method, "mean_ap": 0.9, "rank1": 0.95}
    run = make_records(
        {**head, "num_queries": QUERIES[benchmark]}, {"parameters": {"seed": 0, method: parameters}, **card}
    )
    compared = compare_methods([run], benchmark=benchmark, methods=[method])
    return [row for row in compared.rows if row.seeds]


def beside(benchmark: str, method: str, parameters: Record) -> list[str]:
    figures = [figure for figure in published_figures(benchmark) if figure.method == method]
    return [figure.variant for figure in figures_beside(figures, run_traits(parameters, make_metrics()))[0]]


class TestUnsupervised:
    @pytest.mark.parametrize(
        ("benchmark", "parameters", "variant", "figures", "points"),
        [
            ("market1501", unsupervised(HALF, 0.5), PAPER, "86.9/94.2q", (3.1, 0.8)),
            ("market1501", unsupervised(IMAGENET, 0.5), LOG, "88.5/94.7r", (1.5, 0.3)),
            ("market1501", unsupervised(IMAGENET, 0.4), README, "90.2/95.5r", (-0.2, -0.5)),
            ("market1501", unsupervised(HALF, 0.5, "o2cap"), ONLINE, "88.4/94.8u", None),
            ("market1501", unsupervised(IMAGENET, 0.4, "o2cap"), ONLINE, "88.4/94.8u", None),
            ("msmt17", unsupervised(HALF, 0.7), PAPER, "56.4/77.9q", (33.6, 17.1)),
            ("msmt17", unsupervised(HALF, 0.5), PAPER, "56.4/77.9q", (33.6, 17.1)),  # its eps is unknown
            ("msmt17", unsupervised(IMAGENET, 0.7), MSMT, "67.5/85.1r", (22.5, 9.9)),
            ("msmt17", unsupervised(HALF, 0.7, "o2cap"), ONLINE, "65.5/84.4u", None),
            # A run card from before there were camera-aware kinds.
            ("market1501", unsupervised(HALF, 0.5, None), PAPER, "86.9/94.2q", (3.1, 0.8)),
            ("market1501", unsupervised(HALF, 0.5, name="ViT-B-16"), PAPER, "86.9/94.2q", (3.1, 0.8)),
        ],
    )
    def test_every_row(
        self, benchmark: str, parameters: Record, variant: str, figures: str, points: tuple[float, float] | None
    ) -> None:
        (row,) = rows_of_a_run(benchmark, parameters)
        shown = row.published
        assert shown is not None
        assert (shown.variant, f"{100 * shown.mAP:.1f}/{100 * shown.rank1:.1f}{shown.mark}") == (variant, figures)
        found = {name: round(100 * value, 1) for name, value in row.difference.items()}
        assert found == ({} if points is None else {"mAP": points[0], "rank1": points[1]})
        assert row.notes == ()

    def test_an_import_has_neither_eps_nor_kind_of_conf(self) -> None:
        (row,) = rows_of_a_run("market1501", unsupervised(IMAGENET, 0.4), imported="0" * 64)
        assert (row.published, row.difference) == (None, {})
        assert row.notes[0].endswith("camera-aware kind o2cap, here unknown")

    def test_an_import_of_another_benchmark_is_beside_none(self) -> None:
        parameters = {"backbone": unsupervised(HALF, 0.5)["backbone"]}
        for label_use, is_beside in (("all", True), ("source", False)):
            (row,) = rows_of_a_run("market1501", parameters, "pcl", imported="0" * 64, label_use=label_use)
            assert (row.published is not None) is is_beside
            assert any("trained on other identities" in note for note in row.notes) is not is_beside

    def test_the_cases_above_are_all_there_are(self) -> None:
        rows = {
            (benchmark, figure.variant)
            for benchmark in BENCHMARKS
            for figure in published_figures(benchmark)
            if figure.method == "unsupervised_pcl"
        }
        assert rows == {("market1501", each) for each in (PAPER, LOG, README, ONLINE)} | {
            ("msmt17", each) for each in (PAPER, MSMT, ONLINE)
        }

    @pytest.mark.parametrize(
        ("benchmark", "parameters", "nearest"),
        [
            ("market1501", unsupervised(HALF, 0.4), f"{PAPER}: eps 0.5, here 0.4"),
            ("market1501", unsupervised(HALF, 0.6), f"{PAPER}: eps 0.5, here 0.6"),
            ("market1501", unsupervised(IMAGENET, 0.6), f"{LOG}: eps 0.5, here 0.6"),
            ("market1501", unsupervised(HALF, 0.5, "cap"), f"{PAPER}: camera-aware kind none, here cap"),
            ("market1501", unsupervised(OF_THE_WEIGHTS, 0.5), f"{PAPER}: pixel statistics 0.5, here of the weights"),
            ("market1501", unsupervised(HALF, 0.5, patch_stride=12), f"{PAPER}: patch stride 16, here 12"),
            ("market1501", unsupervised(HALF, 0.5, pretrained=None), f"{PAPER}: weights openai, here random"),
            (
                "market1501",
                unsupervised(HALF, 0.5, pretrained="/a/clip.pt"),
                f"{PAPER}: weights openai, here file clip.pt",
            ),
            (
                "market1501",
                unsupervised(HALF, 0.5, image_size=[384, 128]),
                f"{PAPER}: image size 256x128, here 384x128",
            ),
            ("market1501", unsupervised(HALF, 0.5, sie="camera"), f"{PAPER}: side information no, here camera"),
            (
                "market1501",
                unsupervised(HALF, 0.5, "o2cap", sie="camera"),
                f"{ONLINE}: side information no, here camera",
            ),
            ("msmt17", unsupervised(IMAGENET, 0.5), f"{MSMT}: eps 0.7, here 0.5"),
        ],
    )
    def test_another_run_is_beside_none_and_hears_why(self, benchmark: str, parameters: Record, nearest: str) -> None:
        (row,) = rows_of_a_run(benchmark, parameters)
        assert (row.published, row.difference) == (None, {})
        assert row.notes == (f"not comparable with a published figure; nearest is {nearest}",)

    @given(
        st.sampled_from(("market1501", "msmt17")),
        st.sampled_from(tuple(STATISTICS)),
        st.sampled_from((0.3, 0.4, 0.5, 0.55, 0.6, 0.7)),
        st.sampled_from(("none", "cap", "o2cap")),
        st.sampled_from((16, 12)),
    )
    def test_whoever_differs_in_one_known_trait_is_not_comparable(
        self, benchmark: str, statistics: str, eps: float, kind: str, stride: int
    ) -> None:
        """Compared with the table itself, read as text: no line whose cell is another value, and no line left out."""
        run = {
            "pixel_statistics": statistics,
            "clustering_eps": f"{eps}",
            "camera_aware": kind,
            "patch_stride": f"{stride}",
        }
        table = (CONF.parent / "src/reid_pipeline/reporting/published.csv").read_text()
        expected = [
            line["variant"]
            for line in csv.DictReader(table.splitlines())
            if (line["benchmark"], line["method"]) == (benchmark, "unsupervised_pcl")
            if all(line[name] in {value, f"{value}?", "?"} for name, value in run.items())
        ]
        parameters = unsupervised(STATISTICS[statistics], eps, kind, patch_stride=stride)
        assert beside(benchmark, "unsupervised_pcl", parameters) == expected

    def test_one_run_is_beside_one_row_at_most(self) -> None:
        for benchmark, statistics, eps, kind in product(
            ("market1501", "msmt17"), STATISTICS.values(), (0.4, 0.5, 0.7), ("none", "cap", "o2cap")
        ):
            assert len(beside(benchmark, "unsupervised_pcl", unsupervised(statistics, eps, kind))) <= 1


class TestEveryFigure:
    @pytest.mark.parametrize("benchmark", BENCHMARKS)
    def test_each_says_its_traits_or_that_they_are_unknown(self, benchmark: str) -> None:
        for figure in published_figures(benchmark):
            wanted = {"backbone", "weights", "image_size", "side_information", "pixel_statistics", "rerank"}
            wanted |= {"patch_stride"} if figure.traits["backbone"] != "RN50" else set()
            wanted |= {"clustering_eps", "camera_aware"} if figure.method == "unsupervised_pcl" else set()
            assert set(figure.traits) | set(figure.unknown) == wanted
            assert set(figure.presumed) <= set(figure.traits)
            for name in (*figure.presumed, *figure.unknown):
                assert (
                    TRAITS[name]
                    in figure.note.partition("not stated, presumed: " if figure.presumed else "unknown: ")[2]
                )

    def test_what_its_source_does_not_state_is_shown(self) -> None:
        notes = {figure.variant: figure.note for figure in published_figures("market1501")}
        assert notes[PAPER] == (
            "ViT-B-16, patch stride 16, pixel statistics 0.5, eps 0.5, camera-aware kind none;"
            " not stated, presumed: pixel statistics, eps; figure of the paper"
        )
        assert notes[ONLINE] == (
            "ViT-B-16, patch stride 16, camera-aware kind o2cap; unknown: pixel statistics, eps; figure of the paper"
        )
        compared = compare_methods([], benchmark="market1501", methods=["unsupervised_pcl"])
        for note in (notes[PAPER], notes[ONLINE]):
            assert note in comparison_markdown(compared)
            assert note in [line["published_note"] for line in csv.DictReader(comparison_csv(compared).splitlines())]

    @pytest.mark.parametrize("benchmark", BENCHMARKS)
    def test_a_change_of_any_one_trait_is_another_run(self, benchmark: str) -> None:
        for figure in published_figures(benchmark):
            assert figure.unlike(figure.traits) == {}
            for name, value in figure.traits.items():
                assert figure.unlike({**figure.traits, name: "another"}) == {name: (value, "another")}
                without = {other: each for other, each in figure.traits.items() if other != name}
                assert set(figure.unlike(without)) == {name} or value == "none"
            for name in figure.unknown:
                assert figure.unlike({**figure.traits, name: "any"}) == {}

    @pytest.mark.parametrize("benchmark", BENCHMARKS)
    def test_what_conf_has_is_beside_a_figure(self, benchmark: str) -> None:
        """The recipes of conf/ are those of published figures, in each benchmark that a method has any of."""
        for method in {figure.method for figure in published_figures(benchmark)}:
            in_force = find_method(method).params.model_validate(published(method, benchmark)).model_dump(mode="json")
            assert len(beside(benchmark, method, in_force)) == 1

    @pytest.mark.parametrize("benchmark", BENCHMARKS)
    def test_overlapping_patches_come_with_side_information_but_on_vehicleid(self, benchmark: str) -> None:
        """VehicleID has neither cameras nor viewpoints."""
        title, vit = "ViT CLIP-ReID + SIE + OLP", {"name": "ViT-B-16", "pretrained": "openai", "patch_stride": 12}
        vit["image_size"] = [256, 256] if benchmark in {"veri776", "vehicleid"} else [256, 128]
        kinds = ("none", "camera", "view", "both")
        found = {sie: beside(benchmark, "clip_reid", {"backbone": {**vit, "sie": sie}}) for sie in kinds}
        kind = {"vehicleid": "none", "veri776": "both"}.get(benchmark, "camera")
        assert found == {sie: [title] if sie == kind else [] for sie in kinds}

    @pytest.mark.parametrize("benchmark", BENCHMARKS)
    def test_overlay_rn50_is_beside_the_figures_of_rn50(self, benchmark: str) -> None:
        models = {name: find_method(name).params for name in method_names()}
        overlay = yaml.safe_load((CONF / "overlays/rn50.yml").read_text())
        layers = [conf_layer("base"), conf_layer(benchmark), overlay]
        for method, title in (("baseline", "RN50 baseline"), ("clip_reid", "RN50 CLIP-ReID")):
            in_force = models[method].model_validate(resolved(layers, 2, models)[method]).model_dump(mode="json")
            assert beside(benchmark, method, in_force) == [title]


class TestRunTraits:
    def test_by_hand(self) -> None:
        parameters = unsupervised(IMAGENET, 0.70, "o2cap", sie="both", patch_stride=12, name="ViT-B/16-quickgelu")
        assert run_traits(parameters, make_metrics(rerank="clip_reid")) == {
            "backbone": "ViT-B-16",
            "weights": "openai",
            "image_size": "256x128",
            "patch_stride": "12",
            "side_information": "both",
            "pixel_statistics": "ImageNet",
            "clustering_eps": "0.7",
            "camera_aware": "o2cap",
            "rerank": "clip_reid",
        }

    @pytest.mark.parametrize(
        ("backbone", "statistics"),
        [
            ({}, "0.5"),
            (HALF, "0.5"),
            ({"pixel_mean": (0.5, 0.5, 0.5)}, "0.5"),
            (IMAGENET, "ImageNet"),
            (OF_THE_WEIGHTS, "of the weights"),
            ({"pixel_mean": None}, "of the weights / 0.5 0.5 0.5"),
            ({"pixel_mean": [0.25, 0.5, 0.75]}, "0.25 0.5 0.75 / 0.5 0.5 0.5"),
            ({**IMAGENET, "pixel_std": [0.5, 0.5, 0.5]}, "0.485 0.456 0.406 / 0.5 0.5 0.5"),
        ],
    )
    def test_pixel_statistics(self, backbone: Record, statistics: str) -> None:
        assert run_traits({"backbone": backbone}, make_metrics())["pixel_statistics"] == statistics

    @pytest.mark.parametrize(
        ("given", "card", "weights"),
        [
            ("laion2b_s34b_b88k", {}, "laion2b_s34b_b88k"),
            (None, {"weights": "random"}, "random"),
            (None, {"weights": "0" * 64}, "the folder's own"),
            ("models/clip.pt", {"weights": "0" * 64}, "file clip.pt"),
            ("clip.safetensors", {}, "file clip.safetensors"),
            # The digest is in the address of OpenAI's ViT-B-16.pt.
            ("a/b", {"weights": "5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f"}, "openai"),
            ("openai", {"init_from": "market1501/pcl/seed_0"}, "those of a trained model"),
            (None, {"imported": "0" * 64}, "?"),
        ],
    )
    def test_weights(self, given: str | None, card: Record, weights: str) -> None:
        traits = run_traits({"backbone": {"pretrained": given}}, make_metrics(), make_run_card(**card))
        assert traits["weights"] == weights

    @pytest.mark.parametrize(
        ("name", "stride"),
        [
            ("RN50", "?"), ("ViT-B-16-SigLIP2", "16"), ("ViT-B-16-SigLIP2-512", "16"), ("ViT-L-14-336", "14"),
            ("EVA02-B-16", "16"), ("MobileCLIP2-S0", "?"), ("vit_small_patch16_224", "16"), ("demo-vit", "?"),
        ],
    )  # fmt: skip
    def test_the_patch_is_that_of_the_name(self, name: str, stride: str) -> None:
        assert run_traits({"backbone": {"name": name}}, make_metrics())["patch_stride"] == stride

    def test_an_unknown_stride_is_no_difference_to_name(self) -> None:
        (row,) = rows_of_a_run("market1501", unsupervised(HALF, 0.5, name="RN50"))
        assert row.notes[0].endswith(f"nearest is {PAPER}: backbone ViT-B-16, here RN50")

    def test_a_run_without_parameters_is_beside_nothing(self) -> None:
        figure = published_figures("market1501")[0]
        assert isinstance(figure, PublishedFigure)
        assert "backbone" in figure.unlike(run_traits({}, make_metrics()))
