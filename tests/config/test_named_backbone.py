"""A backbone by its name alone: which weights it gets, and what they are called."""

import logging
from typing import Any
from urllib.parse import unquote

import pytest
from test_config_loader import CONF, variants

from reid_pipeline.config import named_backbone
from reid_pipeline.config.loader import LayeredConfigLoader
from reid_pipeline.methods import method_names
from reid_pipeline.models.open_clip_lists import configs, default_tag, facts_of, tags_of
from reid_pipeline.models.pretrained import weights_digest
from reid_pipeline.schema.errors import UserError
from reid_pipeline.settings import CONFIG_LOADER_ARGS

NULL = {"pixel_mean": None, "pixel_std": None}
HALF = {"pixel_mean": [0.5, 0.5, 0.5], "pixel_std": [0.5, 0.5, 0.5]}


def load(environment: str, **given: Any) -> LayeredConfigLoader:
    return LayeredConfigLoader(str(CONF), environment, given, **CONFIG_LOADER_ARGS)


def weights(loader: LayeredConfigLoader, method: str = "zero_shot") -> dict[str, Any]:
    backbone = loader["parameters"][method]["backbone"]
    return {name: backbone[name] for name in ("pretrained", "pixel_mean", "pixel_std")}


@pytest.mark.parametrize(
    ("name", "environment", "tag"),
    [
        ("ViT-B-16-SigLIP2", "market1501", "webli"),  # its only one
        ("ViT-B-16-SigLIP2", "synthetic", "webli"),  # demo is of the demo's CLIP
        ("ViT-L-14-quickgelu", "market1501", "openai"),  # the tag in force fits
        ("ViT-L-14", "market1501", "laion400m_e31"),  # openai's were trained with QuickGELU
        ("RN50-quickgelu", "synthetic", "openai"),  # the first that is listed
        ("RN50", "synthetic", "openai"),  # is refused later, with the name of the network that it fits
        ("MobileCLIP2-S0", "synthetic", "dfndr2b"),
    ],
)
def test_every_method_gets_weights_of_that_name(name, environment, tag):
    loader = load(environment, backbone={"name": name})
    assert {loader["parameters"][method]["backbone"]["name"] for method in method_names()} == {name}
    for method in method_names():
        assert weights(loader, method) == {"pretrained": tag, **NULL}
    assert set(variants(loader).values()) == {f"backbone.name={name}"}, "what follows from the name is not in it"
    differs = loader["parameters"]["cells"]["zero_shot"]["differs"]
    assert {"backbone.name": name, "backbone.pixel_mean": None}.items() <= differs.items(), "but in the run card"


def test_the_demos_has_its_own():
    assert weights(load("market1501", backbone={"name": "demo-vit"})) == {"pretrained": "demo", **HALF}


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"pretrained": "here"}, {"pretrained": "here", **NULL}),
        ({"pretrained": None}, {"pretrained": None, **NULL}),
        ({"pretrained": "here", **HALF}, {"pretrained": "here", **HALF}),
        ({"pixel_mean": [0.1, 0.1, 0.1]}, {"pretrained": "webli", **NULL, "pixel_mean": [0.1, 0.1, 0.1]}),
    ],
)
def test_what_is_given_stands(given, wanted):
    loader = load("market1501", backbone={"name": "ViT-B-16-SigLIP2", **given})
    assert weights(loader) == wanted
    assert set(variants(loader).values()) != {"backbone.name=ViT-B-16-SigLIP2"}


@pytest.mark.parametrize("name", ["ViT-B-16-quickgelu", "no-such-name"])
def test_the_same_name_and_unknown_names_change_nothing(name):
    assert weights(load("market1501", backbone={"name": name})) == {"pretrained": "openai", **HALF}


def test_random_weights_stay_random(tmp_path):
    (tmp_path / "random.yml").write_text("backbone: {pretrained: null}")
    loader = load("market1501", overlay=str(tmp_path / "random.yml"), backbone={"name": "ViT-B-16-SigLIP2"})
    assert weights(loader) == {"pretrained": None, **NULL}


@pytest.mark.parametrize("environment", ["market1501", "synthetic"])
@pytest.mark.parametrize("given", ["dfndr2b", None])
def test_a_name_brings_its_pixels_for_every_method_whatever_weights_are_given(environment, given):
    loader = load(environment, backbone={"name": "MobileCLIP2-S0", "pretrained": given})
    for method in method_names():
        assert weights(loader, method) == {"pretrained": given, **NULL}
    wanted = {"backbone.name=MobileCLIP2-S0"} if given else {"backbone.name=MobileCLIP2-S0+backbone.pretrained=null"}
    names = {unquote(each).replace(",", "+") for each in variants(loader).values()}
    assert names == wanted, "pixels follow from the name, and dfndr2b does"


def test_of_a_name_without_published_weights_the_one_given_is_refused():
    assert weights(load("synthetic", backbone={"name": "ViT-M-16"})) == {"pretrained": "demo", **NULL}
    with pytest.raises(UserError, match=r"^'ViT-M-16' has no published weights: set `backbone.pretrained` to the path"):
        weights_digest("ViT-M-16", "demo")
    with pytest.raises(UserError, match="Set `backbone` to 'RN50-quickgelu'"):
        weights_digest("RN50", "openai")


@pytest.mark.parametrize(("environment", "prefix"), [("market1501", ""), ("synthetic", "local-dir:")])
def test_a_folder_has_its_own_weights_and_pixels(tmp_path, environment, prefix):
    loader = load(environment, backbone={"name": f"{prefix}{tmp_path}"})
    for method in method_names():
        assert weights(loader, method) == {"pretrained": None, **NULL}
    (tmp_path / "mine.yml").write_text(f"backbone: {{name: '{prefix}{tmp_path}'}}")
    after = load(environment, overlay=str(tmp_path / "mine.yml"), backbone={"name": "ViT-B-16-SigLIP2"})
    assert weights(after) == {"pretrained": "webli", **NULL}, "the folder's null is not random"


def test_zero_shot_follows_pixels_that_stand_against_the_name():
    own = {"name": "ViT-B-16-SigLIP2", "pixel_mean": HALF["pixel_mean"], "pixel_std": HALF["pixel_std"]}
    loader = load("market1501", pcl={"backbone": own})
    assert weights(loader) == weights(loader, "pcl") == {"pretrained": "webli", **HALF}


def test_an_overlays_name_counts_and_zero_shot_follows_one_methods(tmp_path):
    (tmp_path / "mine.yml").write_text("pcl: {backbone: {name: ViT-B-16-SigLIP2}}")
    loader = load("market1501", overlay=str(tmp_path / "mine.yml"))
    assert weights(loader, "pcl") == weights(loader) == {"pretrained": "webli", **NULL}
    assert weights(loader, "baseline") == {"pretrained": "openai", **HALF}


def test_the_log_says_so_once(caplog):
    named_backbone._log_once.cache_clear()
    with caplog.at_level(logging.INFO, "reid_pipeline"):
        for _ in range(2):
            assert load("market1501", backbone={"name": "ViT-L-14-quickgelu"})["parameters"]
    (line,) = [record.getMessage() for record in caplog.records if "without weights" in record.getMessage()]
    assert line == (
        "backbone.name is ViT-L-14-quickgelu, without weights: it gets backbone.pretrained=openai, with the pixel"
        " statistics of these. There are also metaclip_400m, metaclip_fullcc, dfn2b."
    )


def test_it_says_nothing_that_is_not_in_force(tmp_path, caplog):
    named_backbone._log_once.cache_clear()
    (tmp_path / "mine.yml").write_text("backbone: {name: ViT-B-16-SigLIP2}")
    with caplog.at_level(logging.INFO, "reid_pipeline"):
        load("market1501", backbone={"name": "PE-Core-B-16", "pretrained": None})["parameters"]
        load("market1501", overlay=str(tmp_path / "mine.yml"), backbone={"pretrained": None})["parameters"]
        load("market1501", overlay=str(tmp_path / "mine.yml"), backbone={"name": "PE-Core-S-16-384"})["parameters"]
    (line,) = [record.getMessage() for record in caplog.records if "without weights" in record.getMessage()]
    assert line.startswith("backbone.name is PE-Core-S-16-384, without weights: it gets backbone.pretrained=meta")


def test_no_default_is_of_another_activation():
    """Of every name that has published weights there is a tag, and it is one that the network was trained with."""
    for name, config in configs().items():
        tag = default_tag(name, None)
        quick_partner = f"{name}-quickgelu" in configs() and not config.get("quick_gelu", False)
        assert (tag is None) == all(quick_partner and facts_of(name, each).get("quick_gelu") for each in tags_of(name))
        if tag is not None:
            assert tag in tags_of(name)
            assert not (quick_partner and facts_of(name, tag).get("quick_gelu", False))
