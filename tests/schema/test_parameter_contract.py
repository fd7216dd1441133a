"""What conf/ holds is what the models allow, and Kedro sees the models before anything runs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from kedro.validation import TypeExtractor, type_extractor
from published import published

from reid_pipeline.clustering.settings import ClusteringSettings
from reid_pipeline.config.loader import LayeredConfigLoader
from reid_pipeline.config.overlays import FOLDER
from reid_pipeline.methods import find_method, method_names
from reid_pipeline.pipeline_registry import register_pipelines
from reid_pipeline.pipelines.pretrain_demo_clip import PretrainingParameters
from reid_pipeline.schema.addresses import Cells
from reid_pipeline.schema.embed_parameters import EmbedParameters
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.export_parameters import ExportParameters
from reid_pipeline.schema.gallery_parameters import GALLERY_BLOCKS, GalleryParameters
from reid_pipeline.schema.nested import merged
from reid_pipeline.schema.parameters import (
    ComputeParameters,
    EvaluationParameters,
    IngestionParameters,
    ReportParameters,
    SharedParameters,
    SplitParameters,
)
from reid_pipeline.schema.tuning import TuningParameters
from reid_pipeline.settings import CONFIG_LOADER_ARGS
from reid_pipeline.tuning.space import search_space

pytestmark = pytest.mark.slow  # many that take a moment each

SHARED = {
    "compute": ComputeParameters,
    "evaluation": EvaluationParameters,
    "splits": SplitParameters,
    "ingestion": IngestionParameters,
    "report": ReportParameters,
}


def environments(project):
    return sorted(folder.name for folder in (project / "conf").iterdir() if folder.is_dir() and folder.name != FOLDER)


def pytest_generate_tests(metafunc):
    if "environment" in metafunc.fixturenames:
        found = environments(Path(__file__).resolve().parents[2])
        metafunc.parametrize("environment", [name for name in found if name not in ("base", "local")])


@pytest.fixture(scope="module")
def pipelines():
    return register_pipelines()


@pytest.fixture(autouse=True)
def in_project(project, monkeypatch):
    monkeypatch.chdir(project)


def load(project, environment, **runtime):
    return LayeredConfigLoader(
        conf_source=str(project / "conf"), env=environment, runtime_params=runtime, **CONFIG_LOADER_ARGS
    )


def test_kedro_sees_one_schema_per_parameter(pipelines, monkeypatch):
    warned = []
    monkeypatch.setattr(type_extractor.logger, "warning", lambda *words: warned.append(words))
    seen = TypeExtractor(pipelines).extract_types_from_pipelines()
    wanted = (
        {name: find_method(name).params for name in method_names()}
        | SHARED
        | {"cells": Cells, "clusters": ClusteringSettings, "embed": EmbedParameters}
        | {"export": ExportParameters}
        | {name: GalleryParameters.model_fields[name].annotation for name in GALLERY_BLOCKS}
    )
    alone = {"pretrain_demo_clip": PretrainingParameters, "tuning": TuningParameters, "embed": EmbedParameters}
    assert seen == wanted | alone
    assert not warned, "Kedro warns where it loses or doubts a schema"


def test_kedro_sees_a_methods_schema_in_its_own_pipeline(pipelines):
    for name in method_names():
        seen = TypeExtractor({name: pipelines[name]}).extract_types_from_pipelines()
        assert seen[name] is find_method(name).params
        assert {key: seen[key] for key in SHARED} == SHARED


def test_every_node_that_takes_parameters_has_a_model_for_them(pipelines):
    """No node of ours reads a whole parameter group without its schema."""
    extractor = TypeExtractor({})
    for node in pipelines["__default__"].nodes:
        groups = {name[7:] for name in node.inputs if name.startswith("params:")} - {"seed", "benchmark", "sample"}
        assert set(extractor._extract_types_from_node(node)) == groups, node.name


@pytest.mark.parametrize("name", method_names())
def test_the_published_recipe_validates(project, name):
    content = yaml.safe_load((project / f"conf/base/parameters_{name}.yml").read_text())
    assert set(content) == {name}, "a method's file holds its own parameters and nothing else"
    given = LayeredConfigLoader(conf_source=str(project / "conf"), env="base", **CONFIG_LOADER_ARGS)["parameters"]
    find_method(name).params.model_validate(given[name])


def leaves(values, path=""):
    """The dotted names of a mapping's leaves."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{path}{name}.")
        else:
            yield f"{path}{name}"


@pytest.mark.parametrize("name", method_names())
def test_the_published_recipe_is_complete(name):
    """Base holds every parameter, so that a reader and DVC see all of them; no hidden default.

    What the recipe sets is left out there: written down it would stand against either recipe.
    """
    recipes = getattr(find_method(name).params, "RECIPES", {})
    by_recipe = {f"{name}.{path}" for recipe in recipes.values() for path in leaves(recipe)}

    def missing(model, given, path):
        for field, info in model.model_fields.items():
            if field not in given:
                if f"{path}.{field}" not in by_recipe:
                    yield f"{path}.{field}"
            elif f"{path}.{field}" in by_recipe:
                yield f"{path}.{field} is the recipe's"
            elif hasattr(info.annotation, "model_fields") and field in given:
                yield from missing(info.annotation, given[field], f"{path}.{field}")

    assert not list(missing(find_method(name).params, published(name), name))


def test_every_environment_merges_and_validates(project, environment):
    parameters = load(project, environment)["parameters"]
    tuning = TuningParameters.model_validate(parameters.pop("tuning"))
    for name in method_names():
        method, given = find_method(name), parameters.pop(name)
        method.params.model_validate(given)
        if method.stage_names:
            assert search_space(name, method.params, given, tuning), "each method that trains can be tuned"
    PretrainingParameters.model_validate(parameters.pop("pretrain_demo_clip"))
    assert {cell["variant"] for cell in parameters.pop("cells").values()} == {""}
    shared = SharedParameters.model_validate(parameters)
    assert shared.benchmark == environment


@pytest.mark.slow
def test_every_environments_catalog_resolves_under_its_benchmark(project, environment):
    catalog = load(project, environment, seed=7)["catalog"]
    paths = {name: entry["filepath"] for name, entry in catalog.items() if "filepath" in entry}
    assert paths["split_table"] == f"data/03_primary/{environment}/split_table.parquet"
    assert paths["raw_images"] == f"data/01_raw/{environment}"
    metrics = f"data/08_reporting/{environment}/{{method}}/seed_7/metrics.json"
    assert paths["{method}.metrics"] == metrics
    assert paths["zero_shot_metrics"] == metrics.format(method="zero_shot")


def test_a_runtime_parameter_moves_the_raw_folder(project, environment):
    catalog = load(project, environment, raw_root="/elsewhere")["catalog"]
    assert catalog["raw_images"]["filepath"] == "/elsewhere"


def test_the_environments_files_override_and_do_not_replace(project):
    """Soft merge: what conf/synthetic does not name is as published."""
    parameters = load(project, "synthetic")["parameters"]["unsupervised_pcl"]
    assert parameters["backbone"]["name"] == "demo-vit"
    assert parameters["memory"]["temperature"] == published("unsupervised_pcl")["memory"]["temperature"]


WIRING = """
import reid_pipeline.settings, reid_pipeline.cli
import reid_pipeline.methods.unsupervised_pcl
import reid_pipeline.pipeline_registry
reid_pipeline.pipeline_registry.register_pipelines()
import reid_pipeline.models, reid_pipeline.io.weights, reid_pipeline.io.raw
"""


@pytest.mark.slow
def test_the_wiring_does_not_load_heavy_libraries():
    """One process, in which no line may load one."""
    heavy = {"torch", "torchvision", "open_clip", "faiss", "sklearn"}
    lines = WIRING.strip().splitlines()
    check = f"; import sys; print(sorted({heavy} & set(sys.modules)))"
    code = "\n".join(line + check for line in lines)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert dict(zip(lines, done.stdout.splitlines()[-len(lines) :], strict=True)) == dict.fromkeys(lines, "[]")


class TestOverlays:
    def test_rn50_is_the_published_plan(self, project):
        """methods.md, sections 1, 4 and 5."""
        for name, weight, size in (("baseline", 1.0, "market1501"), ("clip_reid", 1.0, "veri776")):
            values = load(project, size, overlay="rn50")["parameters"][name]
            found = find_method(name).params.model_validate(values)
            assert (found.backbone.name, found.backbone.pixel_mean[0]) == ("RN50-quickgelu", 0.485)
            plan = found.plan
            assert (plan.epochs, plan.learning_rate, plan.weight_decay) == (120, 3.5e-4, 5e-4)
            assert (plan.warmup_factor, plan.milestones, plan.bias_rate_multiplier) == (0.01, (40, 70), 2.0)
            assert found.identity_weight == weight
        assert found.prompts.plan.epochs == 60
        assert (found.backbone.image_size, found.prompts.noun) == ((256, 256), "vehicle")

    def test_what_else_is_given_goes_over_it(self, project):
        loaded = load(project, "market1501", overlay="sie_olp", clip_reid={"backbone": {"sie": "none"}})
        backbone = loaded["parameters"]["clip_reid"]["backbone"]
        assert (backbone["patch_stride"], backbone["sie"], backbone["name"]) == (12, "none", "ViT-B-16-quickgelu")
        assert loaded["parameters"]["baseline"]["backbone"]["sie"] == "camera"

    @pytest.mark.parametrize("kind", ["cap", "o2cap"])
    @pytest.mark.parametrize("benchmark", ["dukemtmc", "market1501", "msmt17", "occluded_duke", "veri776", "custom"])
    def test_cap_and_o2cap_are_the_released_plans(self, project, benchmark, kind):
        """methods.md, section 8; clusters and images stay the benchmark's."""
        params = find_method("unsupervised_pcl").params
        own = params.model_validate(load(project, benchmark)["parameters"]["unsupervised_pcl"])
        loaded = load(project, benchmark, overlay=kind)["parameters"]
        found = params.model_validate(loaded["unsupervised_pcl"])
        plan, aware = found.plan, found.camera_aware
        assert (plan.epochs, plan.batch_size, plan.instances) == (50, 8 * 4, 4)
        assert plan.iterations_per_epoch == {"cap": None, "o2cap": 400}[kind]
        assert (plan.optimiser, plan.learning_rate, plan.weight_decay) == ("adam", 3.5e-4, 5e-4)
        assert (plan.warmup_epochs, plan.warmup_factor, plan.milestones, plan.decay) == (10, 0.01, (20, 40), 0.1)
        assert (found.memory.momentum, found.memory.update) == (0.2, "mean")
        assert (aware.kind, aware.temperature, aware.hard_negatives, aware.camera_reduction) == (kind, 0.07, 50, "sum")
        if kind == "cap":
            assert aware.cap.model_dump() == {
                "intra_weight": 1.0, "inter_weight": 0.5, "inter_from_epoch": 6, "own_proxy": True
            }  # fmt: skip
        else:
            assert aware.o2cap.model_dump() == {
                "intra_weight": 0.0, "offline_weight": 1.0, "online_weight": 1.0, "online_from_epoch": 1,
                "online_positives": 3, "instance_share": 0.15, "camera_penalty": 0.0,
            }  # fmt: skip
        for of_the_benchmark in ("clustering", "augmentation", "backbone"):
            assert getattr(found, of_the_benchmark) == getattr(own, of_the_benchmark)
        variants = {name: cell["variant"] for name, cell in loaded["cells"].items()}
        assert variants == dict.fromkeys(variants, "") | {"unsupervised_pcl": kind}

    @pytest.mark.parametrize("kind", ["cap", "o2cap"])
    def test_cap_and_o2cap_of_the_demo_see_as_many_images(self, project, kind):
        conf, params = project / "conf", find_method("unsupervised_pcl").params
        files = (conf / f"overlays/{kind}.yml", conf / f"synthetic/overlays/{kind}.yml")
        given = merged(*(yaml.safe_load(file.read_text()) for file in files))
        plain, found = (
            params.model_validate(load(project, "synthetic", **each)["parameters"]["unsupervised_pcl"])
            for each in ({}, given)
        )
        seen = [one.plan.epochs * one.plan.iterations_per_epoch * one.plan.batch_size for one in (plain, found)]
        assert seen[0] == seen[1]
        assert (found.camera_aware.kind, found.plan.instances) == (kind, 4)
        assert (found.plan.optimiser, found.camera_aware.camera_reduction) in (("sgd", "mean"), ("adam", "sum"))

    def test_what_is_given_goes_over_cap_and_o2cap(self, project):
        given = {"plan": {"learning_rate": 5e-6}, "camera_aware": {"camera_reduction": "mean"}}
        loaded = load(project, "market1501", overlay="o2cap", unsupervised_pcl=given)
        found = loaded["parameters"]["unsupervised_pcl"]
        assert (found["plan"]["learning_rate"], found["plan"]["batch_size"]) == (5e-6, 32)
        assert (found["camera_aware"]["camera_reduction"], found["camera_aware"]["kind"]) == ("mean", "o2cap")

    @pytest.mark.slow
    @pytest.mark.parametrize("overlay", ["rn50", "sie_olp", "cap", "o2cap"])
    def test_every_one_validates_in_every_environment(self, project, environment, overlay):
        parameters = load(project, environment, overlay=overlay)["parameters"]
        for name in method_names():
            find_method(name).params.model_validate(parameters.pop(name))

    def test_a_file_of_ones_own(self, project, tmp_path):
        own = tmp_path / "best.yml"
        own.write_text("pcl:\n  memory:\n    temperature: 0.07\n")
        parameters = load(project, "synthetic", overlay=str(own))["parameters"]
        assert parameters["pcl"]["memory"] == {"temperature": 0.07, "momentum": 0.2, "update": "mean"}

    @pytest.mark.parametrize(
        ("content", "says"),
        [
            (None, r"There is no overlay 'rn5'\. Did you mean 'rn50'\? Allowed: .*rn50.*sie_olp"),
            ("- 1", r"holds a list, and must map names to values"),
            ("a: [", r"cannot be read as YAML: line 1, column 5"),
        ],
    )
    def test_what_is_no_overlay(self, project, tmp_path, content, says):
        name = "rn5"
        if content is not None:
            (tmp_path / "bad.yml").write_text(content)
            name = str(tmp_path / "bad.yml")
        with pytest.raises(UserError, match=says):
            load(project, "synthetic", overlay=name)


class TestRunCards:
    @staticmethod
    def write_card(folder, **changes):
        given = {"benchmark": "synthetic", "seed": 3, "pcl": {"plan": {"learning_rate": 5e-06}}, **changes}
        card = folder / "run_card.json"
        card.write_text(json.dumps({"method": "pcl", "parameters": given}))
        return str(card)

    def test_its_parameters_and_its_seed_are_in_force(self, project, tmp_path):
        loader = load(project, "synthetic", overlay=self.write_card(tmp_path, compute={"threads": 2}))
        parameters = loader["parameters"]
        assert "5e-06" in (tmp_path / "run_card.json").read_text()  # which YAML would read as text
        assert parameters["pcl"]["plan"]["learning_rate"] == 5e-06
        assert (parameters["seed"], parameters["compute"]["threads"]) == (3, 2)
        assert "/seed_3/" in loader["catalog"]["{method}.metrics"]["filepath"]

    @pytest.mark.parametrize(
        ("chosen", "given", "says"),
        [
            ("market1501", {}, r"of benchmark 'synthetic', and this run is of benchmark 'market1501': give --env=syn"),
            ("synthetic", {"seed": 0}, r"of seed 3, and this run is of seed 0: leave out seed"),
        ],
    )
    def test_another_benchmark_or_seed_is_refused(self, project, tmp_path, chosen, given, says):
        with pytest.raises(UserError, match=says):
            load(project, chosen, overlay=self.write_card(tmp_path), **given)

    @pytest.mark.parametrize(
        ("content", "says"),
        [
            ("[1]", "holds a list, and must map"),
            ('{"mAP": 0.5}', "is JSON, and no run card"),
            ("{", "cannot be read as JSON: line 1"),
        ],
    )
    def test_other_json_is_refused(self, project, tmp_path, content, says):
        (tmp_path / "metrics.json").write_text(content)
        with pytest.raises(UserError, match=says):
            load(project, "synthetic", overlay=str(tmp_path / "metrics.json"))
