"""Overlays of towers that no plan was published for: what they name exists, and every method takes what they give."""

from typing import Any

import pytest
import yaml
from test_config_loader import CONF, load

from reid_pipeline.engine.plan_checks import PLANNED, STARTS
from reid_pipeline.methods import find_method, method_names
from reid_pipeline.models.open_clip_lists import configs, default_tag

TRAINED = [name for name in method_names() if find_method(name).stage_names]


def overlay(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((CONF / "overlays" / f"{name}.yml").read_text())
    return found


@pytest.mark.parametrize("name", STARTS.values())
def test_it_names_published_weights_and_their_pixels(name):
    backbone = overlay(name)["backbone"]
    assert STARTS[backbone["name"].removesuffix("-quickgelu")] == name
    assert backbone["name"] in configs()
    assert default_tag(backbone["name"], None) == backbone["pretrained"]
    assert backbone["pixel_mean"] is backbone["pixel_std"] is None


@pytest.mark.slow
@pytest.mark.parametrize("name", STARTS.values())
@pytest.mark.parametrize("environment", ["market1501", "veri776"])
def test_every_trained_method_has_a_start(name, environment):
    given, parameters = overlay(name), load(environment, overlay=name)["parameters"]
    assert set(given) == {"backbone", *TRAINED}
    for method in TRAINED:
        found = find_method(method).params.model_validate(parameters[method])
        assert found.backbone.name == given["backbone"]["name"]
        assert found.plan.layer_decay == 0.75
        assert found.plan.rate_by_width == (name != "mobileclip2_s0")
        assert found.plan.chunk_size == (16 if name == "vit_l14" else None)


@pytest.mark.parametrize("environment", ["base", "market1501", "vehicleid", "synthetic"])
def test_plans_that_were_published_stay_as_they_are(environment):
    parameters = load(environment if environment != "base" else "msmt17")["parameters"]
    for method in TRAINED:
        found = find_method(method).params.model_validate(parameters[method])
        assert found.backbone.name.removesuffix("-quickgelu") in PLANNED
        assert (found.plan.chunk_size, found.plan.rate_by_width, found.plan.layer_decay) == (None, False, 1.0)
