"""What a recipe and an overlay come to in every environment, against methods.md sections 1, 7, 8 and 9."""

import json
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from published import published

from reid_pipeline.config.loader import LayeredConfigLoader
from reid_pipeline.methods import find_method
from reid_pipeline.schema.errors import UserError
from reid_pipeline.settings import CONFIG_LOADER_ARGS

CONF = Path(__file__).parents[2] / "conf"
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
DEMO = {"synthetic": 0.5, "synthetic_vehicles": 0.45}
EPS = {"market1501": 0.4, "msmt17": 0.7, "veri776": 0.7}
OTHERS = {"dukemtmc": 0.5, "occluded_duke": 0.5, "vehicleid": 0.5}
OWN = (*DEMO, "custom")
ENVIRONMENTS = sorted({**EPS, **OTHERS, **dict.fromkeys(OWN)})


def load(environment: str, conf: Path = CONF, **given: Any) -> dict[str, Any]:
    return deepcopy(loaded(environment, conf, json.dumps(given)))


@cache
def loaded(environment: str, conf: Path, given: str) -> dict[str, Any]:
    """The parameters in force; several tests read the same."""
    found: dict[str, Any] = LayeredConfigLoader(str(conf), environment, json.loads(given), **CONFIG_LOADER_ARGS)[
        "parameters"
    ]
    return found


def method(name: str, parameters: dict[str, Any]) -> Any:
    return find_method(name).params.model_validate(parameters[name])


def unsupervised(environment: str, **given: Any) -> tuple[Any, ...]:
    """Pixel statistics, fill, eps and precision in force, and the variant's name."""
    parameters = load(environment, **({"unsupervised_pcl": given} if given else {}))
    found = method("unsupervised_pcl", parameters)
    statistics = (found.backbone.pixel_mean, found.backbone.pixel_std)
    variant = parameters["cells"]["unsupervised_pcl"]["variant"]
    return statistics, found.augmentation.erasing_fill, found.clustering.eps, found.embedding_precision, variant


def test_these_are_all_environments() -> None:
    assert sorted(file.parent.name for file in CONF.glob("*/globals.yml") if file.parent.name != "base") == ENVIRONMENTS


class TestUnsupervisedPCL:
    @pytest.mark.parametrize(("environment", "eps"), [*EPS.items(), *OTHERS.items()])
    def test_released_is_the_default(self, environment: str, eps: float) -> None:
        assert unsupervised(environment) == (IMAGENET, "imagenet_mean", eps, "float32", "")

    @pytest.mark.parametrize("environment", OWN)
    def test_images_without_a_published_recipe_have_one_of_their_own(self, environment: str) -> None:
        assert unsupervised(environment) == ((None, None), "mean", 0.7, "float32", "")
        found = method("unsupervised_pcl", load(environment))
        assert (found.recipe, found.keep, found.clustering.kind) == ("own_data", "best", "communities")

    @pytest.mark.parametrize("environment", [*EPS, *OTHERS])
    def test_own_data_is_a_word_away(self, environment: str) -> None:
        found = unsupervised(environment, recipe="own_data")
        assert found == ((None, None), "mean", 0.7, "float32", "recipe=own_data")
        assert method("unsupervised_pcl", load(environment)).keep == "last"

    @pytest.mark.parametrize(("environment", "eps"), DEMO.items())
    def test_released_on_the_demo_reads_pixels_as_its_weights_do(self, environment: str, eps: float) -> None:
        assert unsupervised(environment, recipe="released") == (HALF, "mean", eps, "float32", "recipe=released")

    @pytest.mark.parametrize("environment", ENVIRONMENTS)
    def test_paper_is_paper_everywhere(self, environment: str) -> None:
        assert unsupervised(environment, recipe="paper") == (HALF, "mean", 0.5, "compute", "recipe=paper")

    @pytest.mark.parametrize("environment", ["market1501", "synthetic_vehicles"])
    @pytest.mark.parametrize("recipe", ["released", "paper", "own_data"])
    def test_what_is_given_wins(self, environment: str, recipe: str) -> None:
        given = {"clustering": {"eps": 0.6}, "backbone": {"pixel_mean": [0.1, 0.2, 0.3]}}
        statistics, _, eps, _, variant = unsupervised(environment, recipe=recipe, **given)
        assert (statistics[0], eps) == ((0.1, 0.2, 0.3), 0.6)
        named = "backbone.pixel_mean=(0.1,0.2,0.3),clustering.eps=0.6"
        usual = "released" if environment == "market1501" else "own_data"
        assert variant == (named if recipe == usual else f"{named},recipe={recipe}")

    def test_the_shared_backbone_of_an_overlay_wins_over_the_recipe(self) -> None:
        parameters = load("market1501", overlay="rn50", unsupervised_pcl={"recipe": "paper"})
        backbone = method("unsupervised_pcl", parameters).backbone
        assert (backbone.pixel_mean, backbone.pixel_std) == IMAGENET

    def test_a_run_card_stands_against_the_recipe_of_today(self) -> None:
        """A card of before there were recipes holds all values, but neither recipe nor precision."""
        whole = method("unsupervised_pcl", load("market1501", unsupervised_pcl={"recipe": "paper"}))
        card = whole.model_dump(mode="json", exclude={"recipe", "embedding_precision"})
        again = find_method("unsupervised_pcl").params.model_validate(card)
        assert again.model_dump(exclude={"recipe", "embedding_precision"}) == whole.model_dump(
            exclude={"recipe", "embedding_precision"}
        )

    @pytest.mark.parametrize(
        ("given", "says"),
        [
            ({"recipe": "papr"}, "recipe"),
            ({"recipes": {"papr": {}}}, r"recipes has 'papr', which is no recipe\. Did you mean 'paper'\?"),
            ({"recipes": {"paper": 0.5}}, r"recipes must hold a block of parameters for each recipe \(own_data, paper"),
            (
                {"recipes": {"paper": {"clustering": {"epsilon": 0.5}}}},
                r"recipes\.paper\.clustering has 'epsilon', which no recipe can set\. Did you mean 'eps'\?",
            ),
            (
                {"recipes": {"released": {"recipe": "paper"}}},
                r"recipes\.released has 'recipe', which no recipe can set",
            ),
        ],
    )
    def test_what_is_no_recipe(self, given: dict[str, Any], says: str) -> None:
        with pytest.raises(ValueError, match=says):
            method("unsupervised_pcl", {"unsupervised_pcl": published("unsupervised_pcl") | given})


@pytest.mark.parametrize("precision", ["bfloat16", "float32"])
def test_a_card_of_before_the_precision_of_tests_has_that_of_training(tmp_path: Path, precision: str) -> None:
    parameters = {"benchmark": "market1501", "seed": 0, "evaluation": {"splits": "test"}}
    card, content = tmp_path / "run_card.json", {"method": "pcl", "precision": precision, "parameters": parameters}
    card.write_text(json.dumps(content))
    again = load("market1501", overlay=str(card))
    assert again["evaluation"]["precision"] == precision
    assert (again["cells"]["pcl"]["variant"], again["cells"]["pcl"]["differs"]) == ("", {})


def test_a_card_of_before_a_parameter_has_its_default(tmp_path: Path) -> None:
    """What a card does not hold ran with the default, whatever conf/ says now."""
    parameters = load("veri776")
    whole = method("pcl", parameters).model_dump(mode="json")
    del whole["augmentation"]["erasing_aspect"]
    ingestion = {name: value for name, value in parameters["ingestion"].items() if name != "without_viewpoint"}
    given = {"benchmark": "veri776", "seed": 0, "pcl": whole, "ingestion": ingestion}
    card = tmp_path / "run_card.json"
    card.write_text(json.dumps({"method": "pcl", "variant": "", "parameters": given}))
    again = load("veri776", overlay=str(card))
    assert method("pcl", again).augmentation.erasing_aspect == "log_uniform"
    assert again["ingestion"]["without_viewpoint"] == "keep"
    assert method("pcl", parameters).augmentation.erasing_aspect == "uniform"
    assert parameters["ingestion"]["without_viewpoint"] == "drop"


class TestSVLLReID:
    PARTS = (
        ("recipe", "corrected", "released"),
        ("train_projection_head", True, False),
        ("views_with_sie", True, False),
        ("plan.step_at", "end", "start"),
        ("prompts.plan.step_at", "end", "start"),
        ("prompts.normalise", True, False),
        ("backbone.evaluation_resize", "bicubic", "bilinear"),
        ("backbone.sie_tokens", "all", "class"),
        ("prompt_augmentation.mask_positions", "learnt", "all"),
    )

    @pytest.mark.parametrize("environment", ["market1501", "veri776", "vehicleid", "custom"])
    def test_corrected_is_its_default_and_released_needs_no_footnote(self, environment: str) -> None:
        default, released = (
            method("svll_reid", load(environment, **given)) for given in ({}, {"svll_reid": {"recipe": "released"}})
        )
        for path, corrected, as_released in self.PARTS:
            for found, wanted in ((default, corrected), (released, as_released)):
                value = found
                for name in path.split("."):
                    value = getattr(value, name)
                assert value == wanted, path

    @pytest.mark.parametrize("environment", DEMO)
    def test_the_demo_is_as_it_was(self, environment: str) -> None:
        found = method("svll_reid", load(environment))
        assert (found.recipe, found.train_projection_head, found.plan.step_at) == ("released", True, "start")


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_aspect_of_erased_areas(environment: str) -> None:
    """Uniform in the PCL family, its logarithm in CLIP-ReID's; the demo has the one it was measured with."""
    parameters = load(environment)
    for name in ("baseline", "clip_reid", "svll_reid"):
        assert method(name, parameters).augmentation.erasing_aspect == "log_uniform"
    assert method("svll_reid", parameters).vision_augmentation.erasing_aspect == "log_uniform"
    for name in ("pcl", "unsupervised_pcl"):
        wanted = "log_uniform" if environment in DEMO else "uniform"
        assert method(name, parameters).augmentation.erasing_aspect == wanted


class TestOverlaysByEnvironment:
    @pytest.mark.parametrize(
        ("overlay", "baseline", "clip_reid"), [(None, 0.0, 0.1), ("rn50", 0.0, 0.0), ("sie_olp", 0.0, 0.1)]
    )
    def test_label_smoothing_on_vehicleid(self, overlay: str | None, baseline: float, clip_reid: float) -> None:
        for environment in ("vehicleid", "market1501"):
            parameters = load(environment, **({"overlay": overlay} if overlay else {}))
            found = [method(name, parameters).label_smoothing for name in ("baseline", "clip_reid")]
            assert found == ([baseline, clip_reid] if environment == "vehicleid" else [0.1, 0.1])

    @pytest.mark.parametrize(
        ("environment", "sie"),
        [("veri776", "both"), ("vehicleid", "none"), ("market1501", "camera"), ("custom", "camera")],
    )
    def test_the_side_information_of_sie_olp(self, environment: str, sie: str) -> None:
        parameters = load(environment, overlay="sie_olp")
        for name in ("baseline", "clip_reid"):
            backbone = method(name, parameters).backbone
            assert (backbone.sie, backbone.patch_stride) == (sie, 12)
            assert parameters["cells"][name]["variant"] == "sie_olp"

    @pytest.fixture
    def conf(self, tmp_path: Path) -> Path:
        (tmp_path / "conf/base").mkdir(parents=True)
        (tmp_path / "conf/base/globals.yml").write_text("benchmark: base\nseed: 0\n")
        (tmp_path / "conf/base/parameters.yml").write_text("benchmark: ${globals:benchmark}\na: {b: 0, c: 0, d: 0}\n")
        for name in ("one", "two"):
            (tmp_path / "conf" / name / "overlays").mkdir(parents=True)
            (tmp_path / "conf" / name / "globals.yml").write_text(f"benchmark: {name}\n")
        (tmp_path / "conf/overlays").mkdir()
        (tmp_path / "conf/overlays/big.yml").write_text("a: {b: 1, c: 1}\n")
        (tmp_path / "conf/one/overlays/big.yml").write_text("a: {c: 2}\n")
        (tmp_path / "conf/one/overlays/own.yml").write_text("a: {d: 3}\n")
        (tmp_path / "conf/one/overlays/parameters_x.yml").write_text("a: {b: 9}\n")
        return tmp_path / "conf"

    def test_the_environments_goes_over_that_of_all(self, conf: Path) -> None:
        assert load("one", conf)["a"] == {"b": 0, "c": 0, "d": 0}, "no overlay is a parameter file"
        assert load("one", conf, overlay="big")["a"] == {"b": 1, "c": 2, "d": 0}
        assert load("two", conf, overlay="big")["a"] == {"b": 1, "c": 1, "d": 0}
        assert load("one", conf, overlay="own")["a"] == {"b": 0, "c": 0, "d": 3}
        assert load("one", conf, overlay="big", a={"c": 5})["a"] == {"b": 1, "c": 5, "d": 0}

    @pytest.mark.parametrize(
        ("environment", "name", "says"),
        [
            ("two", "own", r"^There is no overlay 'own' for --env=two\. It is one of --env=one alone\. Allowed:"),
            ("two", "bog", r"^There is no overlay 'bog'\. Did you mean 'big'\? Allowed: .*conf/two/overlays/ \(big\)"),
            ("one", "onw", r"^There is no overlay 'onw'\. Did you mean 'own'\? .*\(big, own, parameters_x\)"),
        ],
    )
    def test_what_is_no_overlay_here(self, conf: Path, environment: str, name: str, says: str) -> None:
        with pytest.raises(UserError, match=says):
            load(environment, conf, overlay=name)

    def test_a_slip_in_the_environments_file_is_named(self, conf: Path) -> None:
        (conf / "one/overlays/big.yml").write_text("a: [")
        with pytest.raises(UserError, match=r"one/overlays/big\.yml cannot be read as YAML: line 1"):
            load("one", conf, overlay="big")
