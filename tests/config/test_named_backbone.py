"""A backbone by its name alone: which weights it gets, and what they are called."""

import logging
from typing import Any

import pytest
from test_config_loader import CONF, variants

from reid_pipeline.config.loader import LayeredConfigLoader
from reid_pipeline.config.named_backbone import weights_of
from reid_pipeline.methods import method_names
from reid_pipeline.models.open_clip_lists import configs, default_tag, facts_of, tags_of
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
        ({"pretrained": "here"}, {"pretrained": "here", **HALF}),
        ({"pretrained": None}, {"pretrained": None, **HALF}),
        ({"pixel_mean": [0.1, 0.1, 0.1]}, {"pretrained": "webli", **NULL, "pixel_mean": [0.1, 0.1, 0.1]}),
    ],
)
def test_what_is_given_stands(given, wanted):
    loader = load("market1501", backbone={"name": "ViT-B-16-SigLIP2", **given})
    assert weights(loader) == wanted
    assert set(variants(loader).values()) != {"backbone.name=ViT-B-16-SigLIP2"}


@pytest.mark.parametrize("name", ["ViT-B-16-quickgelu", "no-such-name", "ViT-B-32-256x"])
def test_the_same_name_and_names_without_weights_change_nothing(name):
    assert weights(load("market1501", backbone={"name": name})) == {"pretrained": "openai", **HALF}


def test_random_weights_stay_random(tmp_path):
    (tmp_path / "random.yml").write_text("backbone: {pretrained: null}")
    loader = load("market1501", overlay=str(tmp_path / "random.yml"), backbone={"name": "ViT-B-16-SigLIP2"})
    assert weights(loader) == {"pretrained": None, **HALF}


def test_an_overlays_name_counts_and_zero_shot_follows_one_methods(tmp_path):
    (tmp_path / "mine.yml").write_text("pcl: {backbone: {name: ViT-B-16-SigLIP2}}")
    loader = load("market1501", overlay=str(tmp_path / "mine.yml"))
    assert weights(loader, "pcl") == weights(loader) == {"pretrained": "webli", **NULL}
    assert weights(loader, "baseline") == {"pretrained": "openai", **HALF}


def test_the_log_says_so_once(caplog):
    weights_of.cache_clear()
    with caplog.at_level(logging.INFO, "reid_pipeline"):
        for _ in range(2):
            assert load("market1501", backbone={"name": "ViT-L-14-quickgelu"})["parameters"]
    (line,) = [record.getMessage() for record in caplog.records if "without weights" in record.getMessage()]
    assert line == (
        "backbone.name is ViT-L-14-quickgelu, without weights: it gets backbone.pretrained=openai, with the pixel"
        " statistics of these. There are also metaclip_400m, metaclip_fullcc, dfn2b."
    )


def test_no_default_is_of_another_activation():
    """Of every name that has published weights there is a tag, and it is one that the network was trained with."""
    for name, config in configs().items():
        tag = default_tag(name, None)
        quick_partner = f"{name}-quickgelu" in configs() and not config.get("quick_gelu", False)
        assert (tag is None) == all(quick_partner and facts_of(name, each).get("quick_gelu") for each in tags_of(name))
        if tag is not None:
            assert tag in tags_of(name)
            assert not (quick_partner and facts_of(name, tag).get("quick_gelu", False))
