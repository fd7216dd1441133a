"""What every method keeps to. A method is found by itself: nothing here names one, except at the end."""

import importlib
import inspect
import json
import logging
import math
import re
import sys
import textwrap
from contextlib import nullcontext
from dataclasses import fields, replace
from functools import cache

import numpy as np
import pytest
import torch
from published import published

import reid_pipeline.methods
from reid_drawings import SyntheticBenchmark, draw_benchmark
from reid_pipeline.engine.loop import fit
from reid_pipeline.engine.runtime import Runtime
from reid_pipeline.engine.seeding import seed_global_state
from reid_pipeline.engine.stage import Method, Stage, TrainingData
from reid_pipeline.evaluation.extraction import extract_embeddings
from reid_pipeline.images.reid_images import ReIDImages
from reid_pipeline.losses.host_labels import labels_on_device
from reid_pipeline.methods import find_method, method_names
from reid_pipeline.readers.synthetic import read
from reid_pipeline.schema.base import Parameters
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.parameters import BackboneParameters, IngestionParameters, TrainingPlan
from reid_pipeline.schema.population import Population
from reid_pipeline.schema.raw_folder import RawFolder

pytestmark = pytest.mark.slow  # many that take a moment each

SIZE = (48, 24)
POPULATION = Population(identities=6, cameras=6)
BACKBONE = {"name": "demo-vit", "pretrained": None, "image_size": list(SIZE)}
PLAN = {"epochs": 1, "iterations_per_epoch": 2, "batch_size": 8, "instances": 4, "learning_rate": 1e-3}
HEAD = {"hidden_width": 64, "output_width": 16}
CLUSTERING = {"k1": 8, "k2": 2, "eps": 0.9, "min_samples": 2}

ALL = method_names()
TRAINED = [name for name in ALL if find_method(name).stage_names]


def shrunk(given: dict, model: type[Parameters]) -> dict:
    """The published recipe with the demo backbone, a plan of two steps, and clustering fit for 48 images."""
    small = {"plan": PLAN, "backbone": BACKBONE, "clustering": CLUSTERING, "projection_head": HEAD}
    for name, field in model.model_fields.items():
        kind = field.annotation
        if not inspect.isclass(kind) or not issubclass(kind, Parameters):
            continue
        if issubclass(kind, TrainingPlan):
            given[name] = {**given[name], **small["plan"]}
        elif issubclass(kind, BackboneParameters):
            given[name] = {**given[name], **small["backbone"]}
        else:
            given[name] = {**shrunk(given[name], kind), **small.get(name, {})}
    return given


@pytest.fixture
def small_parameters():
    def make(name: str) -> Parameters:
        params = find_method(name).params
        return params.model_validate(shrunk(published(name), params))

    return make


@pytest.fixture(scope="module")
def training_images(tmp_path_factory) -> tuple[ReIDImages, np.ndarray, np.ndarray]:
    """Six drawn people, two cameras, four images from each."""
    parameters = SyntheticBenchmark(
        lighting=0.0,
        places_per_camera=1,
        tracklet_length=4,
        seed=1,
        train_identities=6,
        test_identities=1,
        cameras_per_identity=(2, 2),
        images_per_camera=(4, 4),
        distractors=0,
        junk=0,
    )
    root = tmp_path_factory.mktemp("people")
    drawn = draw_benchmark(parameters, processes=1)
    for path, content in drawn.items():
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).write_bytes(content)
    raw = RawFolder(root, tuple(drawn))
    table = read(raw, IngestionParameters(reader="synthetic")).manifest
    train = table[table["subset"] == "train"]
    assert len(train) == 48
    labels = np.searchsorted(np.unique(train["pid"]), train["pid"]).astype(np.int64)
    return ReIDImages(root, train["path"].tolist(), SIZE), labels, train["camid"].to_numpy(np.int64)


@pytest.fixture
def make_data(training_images):
    images, labels, camids = training_images

    def make(seed=0, labels=labels, camids=camids):
        return TrainingData(images, labels, camids, Runtime(torch.device("cpu")), seed)

    return make


def built(method: Method, parameters: Parameters, seed: int = 0):
    seed_global_state(seed, "build")
    return method.build(parameters, POPULATION)


def trained(name, parameters, data):
    """The model and the history of all stages, each on the model as the one before left it."""
    method = find_method(name)
    model = built(method, parameters, data.seed)
    history = []
    for stage in method.stages(parameters):
        *_, last = fit(stage, model, data)
        history += last.history
    return model, history


@pytest.fixture(scope="module")
def trained_once(training_images):
    """What training as `small_parameters` say gives, by method; nothing may change it."""
    images, labels, camids = training_images

    @cache
    def made(name):
        params = find_method(name).params
        parameters = params.model_validate(shrunk(published(name), params))
        return trained(name, parameters, TrainingData(images, labels, camids, Runtime(torch.device("cpu")), 0))

    return made


def weights(model) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def equal(left, right) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


class TestDeclaration:
    @pytest.mark.parametrize("name", ALL)
    def test_fields(self, name):
        method = find_method(name)
        assert isinstance(method, Method)
        assert method.name == name
        assert issubclass(method.params, Parameters)
        assert issubclass(method.params.model_fields["backbone"].annotation, BackboneParameters)
        assert method.description.endswith(".")
        assert "\n" not in method.description
        assert len(set(method.stage_names)) == len(method.stage_names)

    @pytest.mark.parametrize("name", ALL)
    def test_stage_names_are_those_of_the_stages(self, name, small_parameters):
        stages = find_method(name).stages(small_parameters(name))
        assert all(isinstance(stage, Stage) for stage in stages)
        assert tuple(stage.name for stage in stages) == find_method(name).stage_names

    @pytest.mark.parametrize("name", ALL)
    def test_each_parameter_has_a_file_and_a_docstring(self, name, project):
        assert (project / f"conf/base/parameters_{name}.yml").is_file()
        assert (importlib.import_module(f"reid_pipeline.methods.{name}").__doc__ or "").strip()

    @pytest.mark.parametrize("name", ALL)
    def test_an_unknown_parameter_is_refused(self, name, small_parameters):
        given = small_parameters(name).model_dump()
        with pytest.raises(ValueError, match=r"unknown parameter 'backbon'.*Did you mean 'backbone'"):
            find_method(name).params.model_validate({**given, "backbon": given["backbone"]})


class TestBuild:
    @pytest.mark.parametrize("name", ALL)
    def test_the_embedder_gives_unit_rows(self, name, small_parameters, make_data):
        embedder = built(find_method(name), small_parameters(name)).embedder()
        data = make_data()
        embeddings = extract_embeddings(embedder, data.images, data.runtime, ids=(data.camids, None))
        assert embeddings.shape == (48, embedder.encoder.embedding_width)
        np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-5)
        assert np.std(embeddings, axis=0).max() > 0, "different images, different embeddings"

    @pytest.mark.parametrize("name", ALL)
    def test_the_seed_decides_the_weights(self, name, small_parameters):
        method, parameters = find_method(name), small_parameters(name)
        first = weights(built(method, parameters, 0))
        assert equal(weights(built(method, parameters, 0)), first)
        assert not equal(weights(built(method, parameters, 1)), first)

    @pytest.mark.parametrize("name", ALL)
    def test_the_embedder_is_for_inference(self, name, small_parameters):
        """It holds no head of training, and can be rebuilt from its description and state."""
        from reid_pipeline.models.embedder import embedder_from_description

        embedder = built(find_method(name), small_parameters(name)).embedder()
        rebuilt = embedder_from_description(json.loads(json.dumps(embedder.description())), embedder.state_dict())
        images = torch.randn(3, 3, *SIZE)
        assert torch.equal(embedder(images), rebuilt(images))


class TestTraining:
    @pytest.mark.slow
    @pytest.mark.parametrize("name", TRAINED)
    def test_an_epoch_of_every_stage(self, name, small_parameters, trained_once):
        before = built(find_method(name), small_parameters(name))
        model, history = trained_once(name)
        assert json.loads(json.dumps(history)) == history
        assert [record["stage"] for record in history] == list(find_method(name).stage_names)
        for record in history:
            assert math.isfinite(record["loss"])
            assert all(math.isfinite(value) for value in record["losses"].values())
            assert record["loss"] == pytest.approx(sum(record["losses"].values()))
            assert record["learning_rate"] > 0
            assert record["seconds"]["epoch"] > 0
        start = dict(before.named_parameters())
        moved = {name: not torch.equal(p, start[name]) for name, p in model.named_parameters()}
        frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
        assert not [name for name in frozen if moved[name]]
        still = [name for name, did in moved.items() if not did and name not in frozen]
        assert not still, "every parameter that requires a gradient moves"
        assert all(torch.isfinite(p).all() for p in model.parameters())

    @pytest.mark.slow
    @pytest.mark.parametrize("name", TRAINED)
    def test_a_seed_gives_the_same_bits(self, name, small_parameters, make_data, trained_once):
        parameters = small_parameters(name)
        first, _ = trained_once(name)
        torch.manual_seed(12345)
        second, _ = trained(name, parameters, make_data())
        other, _ = trained(name, parameters, make_data(seed=1))
        assert equal(weights(first), weights(second))
        assert not equal(weights(first), weights(other))

    @pytest.mark.slow
    @pytest.mark.parametrize("name", TRAINED)
    def test_a_resumed_stage_gives_the_same_bits(self, name, small_parameters, make_data):
        """The stage keeps nothing from epoch to epoch that the state does not hold."""
        parameters = small_parameters(name)
        method = find_method(name)
        plan = {"epochs": 2, "iterations_per_epoch": 1}
        for place, _ in enumerate(method.stage_names):

            def stage(place=place):
                made = method.stages(parameters)[place]
                made.plan = made.plan.model_copy(update=plan)
                return made

            whole = built(method, parameters)
            *_, wanted = fit(stage(), whole, make_data())
            killed = fit(stage(), built(method, parameters), make_data())
            state = next(killed).state
            fresh = built(method, parameters, seed=99)
            *_, resumed = fit(stage(), fresh, make_data(), resume=state)
            assert equal(weights(whole), weights(fresh))
            assert _untimed(resumed.history) == _untimed(wanted.history)

    @pytest.mark.parametrize("name", TRAINED)
    def test_a_step_reads_nothing_back(self, name, small_parameters, make_data, monkeypatch):
        """On the meta device, whose tensors have no values, to read one is an error: a GPU would make the host wait."""
        parameters, data = small_parameters(name), make_data()
        method = find_method(name)
        monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
        for stage in method.stages(parameters):
            model = built(method, parameters).train()
            stage.begin(model, data)
            batch = next(iter(stage.epoch_batches(model, data, 1)))
            to_meta(model), to_meta(stage)
            there = on_meta(batch)
            output = stage.step(model, there)
            torch.stack([loss.float() for loss in output.losses.values()]).sum().backward()
            stage.after_step(there, output)


def to_meta(holder):
    """Move the tensors and modules that an object holds."""
    if isinstance(holder, torch.nn.Module):
        holder.to("meta")
    for name, held in list(vars(holder).items()):
        if isinstance(held, torch.nn.Module | torch.Tensor):
            setattr(holder, name, held.to("meta"))


def on_meta(batch):
    """Return the batch there; what the host knows of the labels, it still knows."""

    def moved(value):
        return value.to("meta") if isinstance(value, torch.Tensor) else value

    there = {field.name: moved(getattr(batch, field.name)) for field in fields(batch)}
    views = tuple(view.to("meta") for view in batch.views)
    return replace(batch, **there | {"labels": labels_on_device(batch.labels, torch.device("meta")), "views": views})


def _untimed(history):
    return [{key: value for key, value in record.items() if key != "seconds"} for record in history]


class TestDiscovery:
    def test_a_method_dropped_in_is_found(self, tmp_path, monkeypatch):
        (tmp_path / "dropped_in.py").write_text(
            textwrap.dedent(
                """
                from reid_pipeline.engine.stage import Method
                from reid_pipeline.methods.zero_shot import ZeroShotParameters, build

                METHOD = Method(
                    name="dropped_in", params=ZeroShotParameters, build=build,
                    stages=lambda _: (), stage_names=(), label_use="none", description="A test.",
                )
                """
            )
        )
        assert "dropped_in" not in method_names()
        monkeypatch.setattr(reid_pipeline.methods, "__path__", [*reid_pipeline.methods.__path__, str(tmp_path)])
        importlib.invalidate_caches()
        try:
            assert method_names() == sorted([*ALL, "dropped_in"])
            assert find_method("dropped_in").name == "dropped_in"

            from reid_pipeline.pipeline_registry import register_pipelines

            outputs = register_pipelines()["dropped_in"].outputs()
            assert "dropped_in.report" in outputs
        finally:
            sys.modules.pop("reid_pipeline.methods.dropped_in", None)

    @pytest.mark.parametrize(
        ("given", "says"),
        [
            ("unsupervised_pc", "no method 'unsupervised_pc'. Did you mean 'unsupervised_pcl'? Methods are: "),
            ("qqq", "no method 'qqq'. Methods are: "),
        ],
    )
    def test_an_unknown_method(self, given, says):
        with pytest.raises(UserError, match=re.escape(says)) as caught:
            find_method(given)
        assert str(caught.value).endswith(f"{', '.join(ALL)}.")


class TestUnsupervisedPCL:
    NAME = "unsupervised_pcl"

    @pytest.mark.slow
    def test_labels_are_never_used_in_training(self, small_parameters, make_data, trained_once):
        """Other identities, or none, change the diagnostics and not one bit of the weights."""
        parameters = small_parameters(self.NAME)
        labels = make_data().labels
        permuted = np.random.default_rng(0).permutation(labels)
        model, history = trained_once(self.NAME)
        (other, other_history), (blind, blind_history) = (
            trained(self.NAME, parameters, make_data(labels=given)) for given in (permuted, np.full_like(labels, -1))
        )
        assert equal(weights(model), weights(other))
        assert equal(weights(model), weights(blind))
        (record,), (other_record,), (blind_record,) = map(_untimed, (history, other_history, blind_history))
        assert record.pop("ground_truth") != other_record.pop("ground_truth")
        assert "ground_truth" not in blind_record
        assert record == other_record == blind_record

    def test_conv1_is_frozen_only_where_asked(self, small_parameters, make_data):
        parameters = small_parameters(self.NAME)
        for frozen in (True, False):
            chosen = parameters.model_copy(update={"freeze_patch_projection": frozen})
            start = built(find_method(self.NAME), chosen).encoder.visual.conv1.weight
            model, _ = trained(self.NAME, chosen, make_data())
            assert torch.equal(model.encoder.visual.conv1.weight, start) is frozen

    def test_facts(self, trained_once):
        _, (record,) = trained_once(self.NAME)
        histogram = record["cluster_sizes"]["histogram"]
        assert sum(part["clusters"] for part in histogram) == record["clusters"] >= 2
        assert 0 <= record["noise_share"] < 1
        assert set(record["losses"]) == {"pcl"}
        assert {"ari", "nmi", "precision", "recall"} <= set(" ".join(record["ground_truth"]).replace("_", " ").split())
        assert set(record["seconds"]) == {"extraction", "clustering", "training", "epoch"}
        assert record["seconds"]["extraction"] > 0

    def test_the_memory_moves_after_the_step(self, small_parameters, make_data):
        """The prototypes are the clusters' unit means before the first step, and others after it."""
        stage = find_method(self.NAME).stages(small_parameters(self.NAME))[0]
        model, data = built(find_method(self.NAME), small_parameters(self.NAME)), make_data()
        batch = next(iter(stage.epoch_batches(model, data, 1)))
        prototypes = [tensor.clone() for tensor in stage._memory.buffers()]
        model.train()
        output = stage.step(model, batch)
        assert all(map(torch.equal, prototypes, stage._memory.buffers())), "a step alone moves nothing"
        stage.after_step(batch, output)
        assert not all(map(torch.equal, prototypes, stage._memory.buffers()))
        assert torch.allclose(output.retained["embeddings"].norm(dim=1), torch.ones(8), atol=1e-5)

    def test_a_step_before_the_epoch_is_a_fault(self, small_parameters):
        stage = find_method(self.NAME).stages(small_parameters(self.NAME))[0]
        with pytest.raises(RuntimeError, match=r"epoch_batches\(\) makes the prototype memory"):
            stage.after_step(None, None)

    @pytest.mark.parametrize(
        ("changes", "says"),
        [
            ({"min_samples": 48, "eps": 0.1}, r"no cluster was found.*k1 8, k2 2, eps 0\.1.*Raise eps"),
            ({"k1": 47, "k2": 1, "eps": 1.0}, r"one cluster.*k1 47, k2 1, eps 1\.0.*Lower eps"),
            ({"max_noise_share": 1e-9, "eps": 0.3}, r"(?s)noise.*k1 8, k2 2, eps 0\.3.*Raise eps"),
        ],
    )
    def test_a_collapse_says_what_it_saw(self, small_parameters, make_data, changes, says):
        from reid_pipeline.clustering import ClusteringCollapse

        parameters = small_parameters(self.NAME)
        clustering = parameters.clustering.model_copy(update=changes)
        stage = find_method(self.NAME).stages(parameters.model_copy(update={"clustering": clustering}))[0]
        model = built(find_method(self.NAME), parameters)
        before = weights(model)
        with pytest.raises(ClusteringCollapse, match=says):
            list(fit(stage, model, make_data()))
        assert equal(weights(model), before)

    def test_a_warning_free_epoch(self, small_parameters, make_data, caplog, recwarn):
        with caplog.at_level(logging.WARNING):
            trained(self.NAME, small_parameters(self.NAME), make_data())
        assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
        assert not [str(warning.message) for warning in recwarn]
