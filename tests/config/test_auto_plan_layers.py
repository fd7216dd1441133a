"""`plan: auto` in the layers: what is given stands, in which cell a run lies, and the overlay of the small CLIP."""

import json

import pytest
import yaml
from test_config_loader import CONF
from test_config_loader import load as load_anew

from reid_pipeline.engine.forecast import SMALL_BACKBONE
from reid_pipeline.methods import find_method, method_names
from reid_pipeline.schema.auto_plan import CHUNK, FIELDS, SMALL

TRAINED = [name for name in method_names() if find_method(name).stage_names]
_loaded = {}
OPEN = {f"plan.{name}" for name in (*FIELDS, CHUNK)}


def load(environment, **given):
    """Load once for all tests that ask for the same."""
    key = environment, repr(given)
    if key not in _loaded:
        _loaded[key] = {"parameters": load_anew(environment, **given)["parameters"]}
    return _loaded[key]


def cell(environment="custom", method="unsupervised_pcl", **given):
    return {"auto": {}, **load(environment, **given)["parameters"]["cells"][method]}


def plan(environment="custom", method="unsupervised_pcl", **given):
    return load(environment, **given)["parameters"][method]["plan"]


@pytest.mark.parametrize("method", TRAINED)
def test_one_s_own_images_leave_every_plan_to_the_data(method):
    found = cell(method=method)
    assert {name for name in found["auto"] if not name.startswith("prompts.")} == OPEN
    prompts = {name for name in found["auto"] if name.startswith("prompts.")}
    assert prompts == (set() if method in {"baseline", "pcl", "unsupervised_pcl"} else {
        f"prompts.plan.{name}" for name in FIELDS if name != "instances"  # prompts have random batches
    })  # fmt: skip
    assert (found["variant"], found["differs"]) == ("", {})
    assert cell(method="zero_shot")["auto"] == {}


@pytest.mark.parametrize("environment", ["market1501", "synthetic", "vehicleid"])
def test_published_plans_and_the_demo_s_stay(environment):
    assert all(cell(environment, method=method)["auto"] == {} for method in TRAINED)


@pytest.mark.parametrize(
    ("name", "value"),
    [("epochs", 3), ("iterations_per_epoch", 5), ("batch_size", 64), ("instances", 2), ("milestones", [1])],
)
def test_what_the_command_line_gives_stands(name, value):
    given = {"unsupervised_pcl": {"plan": {name: value}}}
    assert set(cell(**given)["auto"]) == OPEN - {f"plan.{name}"}
    assert plan(**given)[name] == value
    assert cell(**given)["differs"] == {f"plan.{name}": value}


def test_the_published_value_differs_from_the_data_s():
    found = cell(unsupervised_pcl={"plan": {"epochs": 60}})
    assert (found["variant"], found["differs"]) == ("plan.epochs=60", {"plan.epochs": 60})


def test_what_conf_or_an_overlay_gives_stands(tmp_path):
    file = tmp_path / "short.yml"
    file.write_text("pcl: {plan: {epochs: 2}}\n")
    assert set(cell(method="pcl", overlay=str(file))["auto"]) == OPEN - {"plan.epochs"}
    assert plan(method="pcl", overlay=str(file))["epochs"] == 2
    assert set(cell(overlay="o2cap")["auto"]) == {f"plan.{CHUNK}"}, "it has a plan of its own"
    auto = cell("synthetic", plan="auto")
    assert set(auto["auto"]) == {f"plan.{CHUNK}"}, "conf/synthetic gives all of its plan"
    assert auto["variant"] == ""
    whole = load("synthetic")["parameters"]["unsupervised_pcl"]
    assert load("synthetic", plan="auto")["parameters"]["unsupervised_pcl"] == whole


def test_auto_on_the_command_line_makes_a_variant_and_null_takes_it_back():
    assert cell("market1501", plan="auto")["differs"] == {"plan": "auto"}
    assert cell("market1501", method="zero_shot", plan="auto")["differs"] == {}
    found = cell(plan=None)
    assert (found["auto"], found["variant"]) == ({}, "plan=null")
    assert plan(plan=None) == plan("msmt17")
    both = cell("market1501", plan="auto", unsupervised_pcl={"plan": {"epochs": 60}})
    assert both["differs"] == {"plan": "auto", "plan.epochs": 60}


def test_a_batch_that_the_published_instances_do_not_divide_is_no_error():
    given = {"unsupervised_pcl": {"plan": {"batch_size": 100}}}
    values = load("custom", **given)["parameters"]["unsupervised_pcl"]
    assert find_method("unsupervised_pcl").params.model_validate(values).plan.batch_size == 100


def test_what_is_no_plan_is_left_to_the_check():
    assert load("custom", pcl={"plan": 3})["parameters"]["pcl"]["plan"] == 3


def test_a_run_card_goes_back_to_its_own_cell(tmp_path):
    parameters = load("custom", collection="zoo")["parameters"]
    own = {**parameters["pcl"], "plan": {**parameters["pcl"]["plan"], "epochs": 7, "milestones": [5]}}
    shared = {name: parameters[name] for name in ("seed", "compute", "ingestion", "splits", "evaluation")}
    card = {"method": "pcl", "variant": "", "differs": {}, "precision": "float32", "auto": sorted(OPEN)}
    file = tmp_path / "run_card.json"
    file.write_text(json.dumps({**card, "parameters": {"benchmark": "zoo", **shared, "pcl": own}}))
    found = load("custom", overlay=str(file))["parameters"]
    assert (found["cells"]["pcl"]["variant"], "auto" in found["cells"]["pcl"]) == ("", False)
    assert (found["pcl"]["plan"]["epochs"], found["pcl"]["plan"]["milestones"]) == (7, [5])


@pytest.mark.parametrize("method", method_names())
def test_every_method_takes_the_small_clip(method):
    found = load("custom", overlay=SMALL)["parameters"]
    values = find_method(method).params.model_validate(found[method])
    backbone = values.backbone
    assert (backbone.name, backbone.pretrained, backbone.image_size) == ("demo-vit", "demo", (96, 48))
    assert (backbone.pixel_mean, backbone.pixel_std) == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    assert (backbone.patch_stride, backbone.sie) == (None, "none")
    assert backbone.model_dump(include={*SMALL_BACKBONE}) == SMALL_BACKBONE, "what its time is measured with"
    assert found["cells"][method]["variant"] == SMALL
    if method in TRAINED:
        assert set(found["cells"][method]["auto"]) >= OPEN, "it names nothing that the data decide"
        demo = find_method(method).params.model_validate(load("synthetic")["parameters"][method])
        assert values.plan.learning_rate == demo.plan.learning_rate
        assert values.augmentation == demo.augmentation


def test_square_pictures_are_a_size_beside_the_overlay():
    found = load("custom", overlay=SMALL, backbone={"image_size": [72, 72]})["parameters"]
    assert {tuple(found[method]["backbone"]["image_size"]) for method in method_names()} == {(72, 72)}


def test_the_environment_says_auto():
    assert yaml.safe_load((CONF / "custom/parameters.yml").read_text())["plan"] == "auto"
