"""The project's config loader: layers of parameters, names as text, collections, the catalog's cells."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from kedro.framework.context.context import _convert_paths_to_absolute_posix
from published import conf_layer, published

from reid_pipeline.config.loader import LayeredConfigLoader
from reid_pipeline.methods import find_method, method_names
from reid_pipeline.schema.addresses import ZERO_SHOT
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.layers import LEARNT, resolved
from reid_pipeline.settings import CONFIG_LOADER_ARGS

CONF = Path(__file__).parents[2] / "conf"
ENVIRONMENTS = sorted(file.parent.name for file in CONF.glob("*/globals.yml") if file.parent.name != "base")


def load(environment: str, **runtime: Any) -> LayeredConfigLoader:
    return LayeredConfigLoader(str(CONF), environment, runtime, **CONFIG_LOADER_ARGS)


def variants(loader: LayeredConfigLoader) -> dict[str, str]:
    return {name: cell["variant"] for name, cell in loader["parameters"]["cells"].items()}


def paths(loader: LayeredConfigLoader) -> dict[str, str]:
    return {name: entry["filepath"] for name, entry in loader["catalog"].items() if "filepath" in entry}


def leaves(values: dict[str, Any], path: tuple[str, ...] = ()):
    for name, value in values.items():
        if isinstance(value, dict):
            yield from leaves(value, (*path, name))
        else:
            yield *path, name


def without(values: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    name, *rest = path
    if not rest:
        return {key: value for key, value in values.items() if key != name}
    return {**values, name: without(values[name], tuple(rest))}


class TestConf:
    """conf/ repeats nothing that is equal."""

    @pytest.mark.parametrize("environment", ENVIRONMENTS)
    def test_whatever_an_environment_says_changes_something(self, environment):
        models = {name: find_method(name).params for name in method_names()}
        base, own = conf_layer("base"), conf_layer(environment)
        whole = resolved([base, own], 2, models)
        for path in leaves(own):
            less = resolved([base, without(own, path)], 2, models)
            assert less != whole, f"conf/{environment}: {'.'.join(path)} is the same without"

    @pytest.mark.parametrize("folder", ["base", *ENVIRONMENTS])
    def test_no_methods_own_backbone_repeats_the_shared_one(self, folder):
        layer = conf_layer(folder)
        for method in method_names():
            shared = layer.get("backbone", {})
            if method == ZERO_SHOT:
                shared = {name: value for name, value in shared.items() if name not in LEARNT}
            own = layer.get(method, {}).get("backbone", {})
            assert not {name for name in own if name in shared and own[name] == shared[name]}

    def test_what_recipes_fill_in_is_not_shared(self):
        recipes = [
            recipe for name in method_names() for recipe in getattr(find_method(name).params, "RECIPES", {}).values()
        ]
        filled = {name for recipe in recipes for name in recipe.get("backbone", {})}
        assert filled == {"evaluation_resize", "sie_tokens", "pixel_mean", "pixel_std"}
        for folder in ("base", *ENVIRONMENTS):
            assert not filled & set(conf_layer(folder).get("backbone", {}))


class TestSharedBackbone:
    def test_from_the_command_line_it_is_every_methods(self):
        parameters = load("market1501", backbone={"pretrained": "here", "sie": "camera"})["parameters"]
        assert {parameters[name]["backbone"]["pretrained"] for name in method_names()} == {"here"}
        assert {parameters[name]["backbone"]["sie"] for name in method_names() if name != ZERO_SHOT} == {"camera"}
        assert parameters[ZERO_SHOT]["backbone"]["sie"] == "none"

    def test_the_methods_own_wins_beside_it(self):
        parameters = load("synthetic", backbone={"name": "A"}, pcl={"backbone": {"name": "B"}})["parameters"]
        assert parameters["pcl"]["backbone"]["name"] == "B"
        assert parameters["baseline"]["backbone"]["name"] == parameters[ZERO_SHOT]["backbone"]["name"] == "A"

    def test_it_beats_an_overlays_own_one(self, tmp_path):
        (tmp_path / "mine.yml").write_text("pcl: {backbone: {name: B, patch_stride: 8}}")
        loader = load("synthetic", overlay=str(tmp_path / "mine.yml"), backbone={"name": "A"})
        backbone = loader["parameters"]["pcl"]["backbone"]
        assert (backbone["name"], backbone["patch_stride"]) == ("A", 8)

    def test_zero_shot_has_the_overlays_backbone(self):
        parameters = load("veri776", overlay="rn50")["parameters"]
        ours, floors = (parameters[name]["backbone"] for name in ("baseline", ZERO_SHOT))
        for name in ("name", "pretrained", "image_size", "pixel_mean", "pixel_std"):
            assert ours[name] == floors[name]
        assert floors["pixel_mean"] == [0.485, 0.456, 0.406]

    def test_zero_shot_follows_one_methods_own(self):
        loader = load("synthetic", unsupervised_pcl={"backbone": {"image_size": [32, 16], "sie": "camera"}})
        parameters = loader["parameters"]
        assert parameters[ZERO_SHOT]["backbone"]["image_size"] == [32, 16]
        assert parameters["pcl"]["backbone"]["image_size"] == [96, 48]
        assert variants(loader)[ZERO_SHOT] == "backbone.image_size=(32,16)"
        assert variants(loader)["pcl"] == ""


class TestCells:
    def test_the_parameters_in_conf_have_no_variant(self):
        loader = load("synthetic", seed=4, report={"top": 3})
        cell = loader["parameters"]["cells"]["pcl"]
        assert cell == {"benchmark": "synthetic", "method": "pcl", "variant": "", "seed": 4, "differs": {}}

    def test_what_differs_names_the_folders_of_that_method_alone(self):
        loader = load("synthetic", unsupervised_pcl={"clustering": {"eps": 0.6}})
        assert loader["parameters"]["cells"]["unsupervised_pcl"]["differs"] == {"clustering.eps": 0.6}
        found = paths(loader)
        folder = "unsupervised_pcl+clustering.eps=0.6"
        assert found["unsupervised_pcl.metrics"] == f"data/08_reporting/synthetic/{folder}/seed_0/metrics.json"
        assert found["unsupervised_pcl.report"] == f"data/08_reporting/synthetic/{folder}/report_seed_0.html"
        assert found["unsupervised_pcl.embedder"] == f"data/06_models/synthetic/{folder}/seed_0/embedder.safetensors"
        assert found["unsupervised_pcl.{stage}_state"].startswith(f"data/06_models/synthetic/{folder}/seed_0/scratch/")
        assert found["unsupervised_pcl.recorded_metrics"].startswith(f"data/09_records/synthetic/{folder}/seed_0/")
        assert found["zero_shot_metrics"] == "data/08_reporting/synthetic/zero_shot/seed_0/metrics.json"
        assert not [name for name in found if name.startswith("pcl.")]

    def test_kedro_takes_the_cells_entry(self):
        from kedro.io import DataCatalog

        catalog = DataCatalog.from_config(load("synthetic", overlay="rn50")["catalog"])
        for name, path in {
            "clip_reid.x_state": "data/06_models/synthetic/clip_reid+rn50/seed_0/scratch/x_state.pt",
            "clip_reid.x_history": "data/08_reporting/synthetic/clip_reid+rn50/seed_0/x_history.json",
            "clip_reid.history": "data/08_reporting/synthetic/clip_reid+rn50/seed_0/history.json",
            "zero_shot_metrics": "data/08_reporting/synthetic/zero_shot+rn50/seed_0/metrics.json",
            "toy.metrics": "data/08_reporting/synthetic/toy/seed_0/metrics.json",
        }.items():
            dataset = catalog.get(name)
            assert str(dataset._filepath) == path  # type: ignore[union-attr]

    @pytest.mark.parametrize(
        ("given", "folder"),
        [
            ({"method": "pcl"}, "pcl"),
            ({"method": "pcl", "overlay": "rn50"}, "pcl+rn50"),
            ({"method": "pcl+mine"}, "pcl+mine"),
            ({"method": "pcl+a:b"}, "pcl+a%3Ab"),
            ({"method": "pcl", "variant": "a/b"}, "pcl+a%2Fb"),
        ],
    )
    def test_changes_are_those_of_the_cell(self, given, folder):
        found = paths(load("synthetic", **given))
        assert found["present_metrics"] == f"data/08_reporting/synthetic/{folder}/seed_0/metrics.json"
        assert found["earlier_run_card"] == f"data/09_records/synthetic/{folder}/seed_0/run_card.json"

    def test_two_overlay_files_of_one_name_are_one_address(self, tmp_path):
        """Which is why the run card that lies there is asked before the run: tests/e2e/test_addresses.py."""
        (tmp_path / "best.yml").write_text("pcl: {memory: {temperature: 0.07}}")
        assert variants(load("synthetic", overlay=str(tmp_path / "best.yml")))["pcl"] == "best"

    def test_a_seed_that_is_no_number_is_left_for_the_check(self):
        assert load("synthetic", seed="one")["parameters"]["seed"] == "one"


class TestGiven:
    @pytest.mark.parametrize("name", ["raw_root", "collection", "variant", "overlay", "method", "study", "tuned"])
    @pytest.mark.parametrize("value", [202410, True, None, 1.5, ["a"]])
    def test_what_names_something_is_text(self, name, value):
        with pytest.raises(UserError, match=rf"Parameter {name} is .*: it must be text\. Put it in quotes"):
            load("custom", **{name: value})

    def test_the_benchmark_comes_with_the_environment(self, tmp_path):
        with pytest.raises(UserError, match=r"Parameter benchmark \('veri776'\).*--env=<benchmark>.*collection="):
            load("synthetic", benchmark="veri776")
        (tmp_path / "mine.yml").write_text("benchmark: veri776")
        with pytest.raises(UserError, match=r"Parameter benchmark \('veri776'\)"):
            load("synthetic", overlay=str(tmp_path / "mine.yml"))

    @pytest.mark.parametrize("seed", [True, 1.0, 1e3])
    def test_a_seed_that_would_name_other_folders(self, seed):
        with pytest.raises(
            UserError, match=rf"^Parameter seed is {seed}, and names folders: it must be a whole number"
        ):
            load("synthetic", seed=seed)

    @pytest.mark.parametrize("folder", ["", "  "])
    def test_an_empty_raw_root_is_not_the_folder_one_is_in(self, folder):
        with pytest.raises(
            UserError, match=r"^Parameter raw_root is empty\. Give the folder that holds the images.* data/01_raw"
        ):
            load("custom", raw_root=folder)

    def test_an_overlay_file_without_an_ending_is_none_of_confs(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "mine").write_text("pcl: {memory: {temperature: 0.07}}")
        with pytest.raises(UserError, match=r"^There is no overlay 'mine' in conf/overlays/, .*overlay=\./mine"):
            load("synthetic", overlay="mine")
        assert variants(load("synthetic", overlay="./mine"))["pcl"] == "mine"

    def test_cells_are_made(self):
        with pytest.raises(UserError, match=r"Parameter cells is made by the run.*variant=<name>"):
            load("synthetic", cells={})

    def test_a_home_folder_and_what_looks_like_a_template(self, monkeypatch):
        monkeypatch.setenv("HOME", "/home/somebody")
        assert paths(load("custom", raw_root="~/x"))["raw_images"] == "/home/somebody/x"
        strange = "/data/${globals:benchmark}/{method}/${nothing"
        loader = load("custom", raw_root=strange, collection="${x}{y}")
        assert paths(loader)["raw_images"] == loader["parameters"]["raw_root"] == strange
        assert paths(loader)["split_table"] == "data/03_primary/%24%7Bx%7D%7By%7D/split_table.parquet"
        assert (
            load("synthetic", unsupervised_pcl={"memory": {"update": "${seed}"}})["parameters"]["unsupervised_pcl"][
                "memory"
            ]["update"]
            == "${seed}"
        )

    @pytest.mark.slow
    @pytest.mark.parametrize("name", ["a:b", "c:x", "c:/x", "http:x", "rel/../x", "a, b", "x/", "2024", "a=b", "a\\b"])
    def test_any_folder_may_be_named(self, name):
        """Kedro takes what is before a colon for a drive or a scheme, and would not look in the project."""
        found = _convert_paths_to_absolute_posix(Path("/project"), load("custom", raw_root=name)["catalog"])
        assert Path(found["raw_images"]["filepath"]) == Path("/project") / name

    @pytest.mark.parametrize(
        ("given", "says"),
        [
            ("", r"Parameter raw_root is empty\. Give the folder that holds the images, as in --params raw_root=/wh"),
            (" \t", "Parameter raw_root is empty"),
            ("~nobody_here/x", r"'~nobody_here/x', and the home folder .* is not known\. Write the path in full"),
            ("s3://bucket/x", r"'s3://bucket/x', an address on the network\. Images are read from a folder: copy"),
            ("https://a.org/Market.zip", "an address on the network"),
        ],
    )
    def test_what_names_no_folder(self, given, says):
        with pytest.raises(UserError, match=says):
            load("custom", raw_root=given)

    def test_an_environments_catalog_names_it_in_the_same_ways(self, tmp_path, monkeypatch):
        monkeypatch.setenv("HOME", "/home/somebody")
        shutil.copytree(CONF, tmp_path / "conf")

        def raw_images(filepath, kind="reid_pipeline.io.raw.RawFolderDataset"):
            entry = {"raw_images": {"type": kind, "filepath": filepath}}
            (tmp_path / "conf/custom/catalog.yml").write_text(json.dumps(entry))
            return LayeredConfigLoader(str(tmp_path / "conf"), "custom", {}, **CONFIG_LOADER_ARGS)["catalog"][
                "raw_images"
            ]["filepath"]

        assert raw_images("~/x") == "/home/somebody/x"
        assert raw_images("a:b") == "./a:b"
        assert raw_images("s3://a/b", "own.Dataset") == "s3://a/b", "a dataset of one's own may read it"
        with pytest.raises(UserError, match=r'raw_images in catalog.yml is 2024, of type int.* as in filepath: "2024"'):
            raw_images(2024)
        with pytest.raises(UserError, match=r"is empty\. Give the folder"):
            raw_images("")


class TestCollections:
    @pytest.mark.slow
    @pytest.mark.parametrize("name", ["2024_10", "007", "on", "~", "My #2"])
    def test_a_name_names_the_folders(self, name):
        loader = load("custom", collection=name, unsupervised_pcl={"plan": {"epochs": 2}})
        assert loader["parameters"]["benchmark"] == name
        assert paths(loader)["raw_images"] == f"data/01_raw/{name}"
        assert paths(loader)["manifest"] == f"data/02_intermediate/{name}/manifest.parquet"
        cell = loader["parameters"]["cells"]["unsupervised_pcl"]
        assert (cell["benchmark"], cell["variant"]) == (name, "plan.epochs=2")
        assert paths(load("custom"))["raw_images"] == "data/01_raw/custom"

    @pytest.mark.parametrize(
        ("name", "says"),
        [
            ("market1501", "whose folders are those of --env=market1501. Give your collection another name"),
            ("leaderboard", "whose folders are those of the leaderboard pipeline"),
            ("", "cannot name a folder"),
        ],
    )
    def test_a_name_that_is_taken_or_none(self, name, says):
        with pytest.raises(UserError, match=says):
            load("custom", collection=name)

    def test_a_run_card_brings_its_collection_along(self, tmp_path):
        card = tmp_path / "run_card.json"
        parameters = {"benchmark": "my%2Fzoo", "seed": 2, "pcl": {"plan": {"epochs": 3}}}
        card.write_text(json.dumps({"method": "pcl", "variant": "mine", "parameters": parameters}))
        loader = load("custom", overlay=str(card))
        assert loader["parameters"]["collection"] == "my/zoo"
        assert paths(loader)["pcl.metrics"] == "data/08_reporting/my%2Fzoo/pcl+mine/seed_2/metrics.json"
        assert load("custom", overlay=str(card), collection="my/zoo")["parameters"]["seed"] == 2
        with pytest.raises(UserError, match=r"of benchmark 'my%2Fzoo', and this run is of benchmark 'other': leave"):
            load("custom", overlay=str(card), collection="other")


class TestTuned:
    def test_the_whole_block_is_in_force_and_named(self, tmp_path):
        loader = load("synthetic", tuned="pcl/short", pcl={"memory": {"momentum": 0.5}})
        loader.project_path = tmp_path
        file = tmp_path / "data/08_reporting/synthetic/tuning/pcl/short/parameters.yml"
        file.parent.mkdir(parents=True)
        block = find_method("pcl").params.model_validate(published("pcl", "synthetic")).model_dump(mode="json")
        block["plan"]["epochs"] = 3
        block["memory"]["temperature"] = 0.07
        file.write_text(f"{json.dumps({'pcl': block})}\n")  # JSON is YAML
        found = loader["parameters"]["pcl"]
        assert (found["plan"]["epochs"], found["memory"]["temperature"], found["memory"]["momentum"]) == (3, 0.07, 0.5)
        assert variants(loader) == dict.fromkeys(method_names(), "") | {"pcl": "tuned-short,memory.momentum=0.5"}
        assert loader["parameters"]["cells"]["pcl"]["differs"] == {
            "plan.epochs": 3,
            "memory.temperature": 0.07,
            "memory.momentum": 0.5,
        }
        assert "study" not in loader["parameters"]
        assert "/pcl+tuned-short,memory.momentum=0.5/" in paths(loader)["pcl.metrics"]

    def test_a_study_that_is_not_there(self, tmp_path):
        loader = load("synthetic", tuned="pcl")
        loader.project_path = tmp_path
        with pytest.raises(UserError, match=r"tuned is 'pcl', and there is nothing in .*/pcl/main/parameters\.yml"):
            loader["catalog"]
