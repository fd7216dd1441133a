"""`sample` in the layers: addresses of its own, short plans under what was given, cards, and refusals."""

import json
from pathlib import Path

import pytest

from reid_pipeline.config.loader import LayeredConfigLoader
from reid_pipeline.schema.errors import UserError
from reid_pipeline.settings import CONFIG_LOADER_ARGS

CONF = Path(__file__).parents[2] / "conf"


def load(environment="msmt17", conf=CONF, **given):
    return LayeredConfigLoader(str(conf), environment, given, **CONFIG_LOADER_ARGS)


def test_all_but_the_images_lies_in_folders_of_its_own():
    whole, sample = (load(**given)["catalog"] for given in ({}, {"sample": 50}))
    assert sample["raw_images"] == whole["raw_images"]
    benchmark_free = {"all_results", "trained_embedders", "test_splits", "demo_clip_weights", "demo_clip_provenance"}
    for name, entry in sample.items():
        path = entry.get("filepath") or (entry.get("dataset") or {}).get("filepath")
        if name in benchmark_free | {"raw_images"} or path is None or name.startswith(("leaderboard", "cross_")):
            continue
        of_any = ("/embeddings/", "/galleries/", "/exports/")
        if any(each in path for each in of_any) or name in {
            "run_clusters",
            "tested_collection",
            "all_pages",
            "index_page",
        }:
            continue
        assert "/msmt17+sample=50/" in f"{path}/", name
        assert path == whole[name]["filepath"].replace("/msmt17", "/msmt17+sample=50")


def test_plans_are_short_and_the_cells_know_those_of_the_whole():
    parameters = load(sample=True)["parameters"]
    assert parameters["sample"] == 50
    assert parameters["benchmark"] == "msmt17+sample=50"
    plans = [parameters["pcl"]["plan"], parameters["clip_reid"]["prompts"]["plan"], parameters["clip_reid"]["plan"]]
    assert [plan["epochs"] for plan in plans] == [6, 6, 6]
    assert [plan["iterations_per_epoch"] for plan in plans] == [20, None, None]
    cell = parameters["cells"]["clip_reid"]
    assert (cell["benchmark"], cell["variant"], cell["differs"]) == ("msmt17+sample=50", "", {})
    assert cell["whole"]["prompts.plan.epochs"] == 120
    assert cell["whole"]["plan.milestones"] == [30, 50]


def test_what_is_given_stands_and_names_the_variant():
    parameters = load(sample=20, pcl={"plan": {"epochs": 12, "iterations_per_epoch": 150}})["parameters"]
    plan, cell = parameters["pcl"]["plan"], parameters["cells"]["pcl"]
    assert (plan["epochs"], plan["iterations_per_epoch"], plan["milestones"]) == (12, 150, [6, 10])
    assert cell["variant"] == "plan.epochs=12,plan.iterations_per_epoch=150"
    assert cell["whole"]["plan.epochs"] == 12  # the same command without its sample


def test_collections_have_samples_and_names_of_their_own():
    assert load("custom", collection="zoo", sample=5)["globals"]["benchmark"] == "zoo+sample=5"
    with pytest.raises(UserError, match="whose folders are those of a sample of zoo"):
        load("custom", collection="zoo+sample=5")


@pytest.mark.parametrize(
    ("of", "given", "benchmark"),
    [
        ("msmt17+sample=20", {}, "msmt17+sample=20"),
        ("msmt17", {"sample": 20}, "msmt17+sample=20"),
        ("zoo+sample=20", {}, "zoo+sample=20"),
    ],
)
def test_a_card_is_in_force_again(tmp_path, of, given, benchmark):
    card = tmp_path / "run_card.json"
    card.write_text(json.dumps({"method": "pcl", "parameters": {"benchmark": of, "seed": 0, "pcl": {"margin": 1}}}))
    environment = "custom" if of.startswith("zoo") else "msmt17"
    assert load(environment, overlay=str(card), **given)["globals"]["benchmark"] == benchmark


def test_the_whole_of_a_sample_s_own_card_is_not_known(tmp_path):
    """Its plan is the short one: 6 epochs of 20 iterations are not what the whole takes."""
    card, short = tmp_path / "run_card.json", {"epochs": 6, "iterations_per_epoch": 20, "milestones": [3]}
    for of, plan, whole in (
        ("msmt17+sample=20", short, None),
        ("msmt17", {"epochs": 8, "iterations_per_epoch": 30}, (8, 30)),
    ):
        parameters = {"benchmark": of, "seed": 0, "pcl": {"plan": plan}}
        card.write_text(json.dumps({"method": "pcl", "parameters": parameters}))
        cells = load(overlay=str(card), sample=20)["parameters"]["cells"]
        found = cells["pcl"].get("whole")
        assert (found and (found["plan.epochs"], found["plan.iterations_per_epoch"])) == whole
        assert cells["clip_reid"]["whole"]["plan.epochs"] == 60  # of which the card has nothing


def test_a_card_of_another_sample_is_refused(tmp_path):
    card = tmp_path / "run_card.json"
    card.write_text(json.dumps({"method": "pcl", "parameters": {"benchmark": "msmt17+sample=20", "seed": 0}}))
    with pytest.raises(UserError, match="'msmt17\\+sample=50': leave out sample, or take another card"):
        load(overlay=str(card), sample=50)
    with pytest.raises(UserError, match="give --env=msmt17, or take another card"):
        load("market1501", overlay=str(card))
