"""The parameter models: names, ranges, and what they say about a mistake."""

import re

import pytest
from pydantic import ValidationError

from reid_pipeline.schema.base import Parameters
from reid_pipeline.schema.errors import UserError, first_few, nearest
from reid_pipeline.schema.parameters import (
    AugmentationParameters,
    BackboneParameters,
    ComputeParameters,
    ContrastParameters,
    EvaluationParameters,
    IngestionParameters,
    ReportParameters,
    SharedParameters,
    SplitParameters,
    TrainingPlan,
)

PLAN = {"epochs": 60, "iterations_per_epoch": 200, "batch_size": 256, "instances": 16, "learning_rate": 3.5e-4}
CONTRAST = {
    "epochs": 1,
    "batch_size": 2,
    "learning_rate": 0.1,
    "warmup_share": 0.0,
    "weight_decay": 0.0,
    "padding": 0,
    "held_out": 2,
}
SHARED = {
    "benchmark": "synthetic",
    "compute": {},
    "ingestion": {"reader": "market1501"},
    "splits": {},
    "evaluation": {},
    "report": {},
}


def test_an_unknown_name_gives_the_nearest_and_the_allowed_ones():
    with pytest.raises(ValidationError) as caught:
        ComputeParameters(devise="cpu")
    text = str(caught.value)
    assert re.search(r"unknown parameter 'devise'\. Did you mean 'device'\?", text)
    assert re.search(
        r"Allowed here: deterministic, device, image_cache_limit, image_memory, launcher, precision, processes,"
        r" stall_seconds, threads\.",
        text,
    )


def test_an_unknown_name_far_from_all_gives_only_the_allowed_ones():
    with pytest.raises(ValidationError, match=r"unknown parameter 'zzz'\. Allowed here: dev_fraction, dev_seed"):
        SplitParameters(zzz=1)


def test_an_unknown_name_two_levels_down_is_found():
    with pytest.raises(ValidationError, match=r"unknown parameter 'precison'\. Did you mean 'precision'\?"):
        SharedParameters.model_validate({**SHARED, "compute": {"precison": "auto"}})


def test_a_name_that_is_no_text_is_refused_in_words():
    with pytest.raises(ValidationError, match="unknown parameter 3"):
        ReportParameters.model_validate({3: 1})


def test_something_else_than_names_is_refused():
    with pytest.raises(ValidationError, match="valid dictionary"):
        ReportParameters.model_validate([("queries", 3)])


@pytest.mark.parametrize("model", [ComputeParameters, SplitParameters, EvaluationParameters])
def test_parameters_are_frozen(model):
    made = model()
    name = next(iter(model.model_fields))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(made, name, getattr(made, name))


def _every_model(base=Parameters):
    for model in base.__subclasses__():
        yield model
        yield from _every_model(model)


def test_every_parameter_model_is_frozen_and_closed():
    from reid_pipeline.pipeline_registry import register_pipelines

    register_pipelines()  # imports all methods and pipelines
    models = {model for model in _every_model() if model.__module__.startswith("reid_pipeline")}
    assert len(models) > 10
    for model in models:
        assert model.model_config["frozen"] is True, model
        assert model.model_config["extra"] == "forbid", model


@pytest.mark.parametrize("device", ["auto", "cpu", "mps", "cuda", "cuda:0", "cuda:12"])
def test_devices_that_are_words(device):
    assert ComputeParameters(device=device).device == device


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:x", "cpu:0", "", "CUDA"])
def test_devices_that_are_not(device):
    with pytest.raises(ValidationError, match="device"):
        ComputeParameters(device=device)


@pytest.mark.parametrize(
    ("model", "given", "says"),
    [
        (ComputeParameters, {"precision": "half"}, "'auto', 'float32', 'bfloat16' or 'float16'"),
        (ComputeParameters, {"threads": -1}, "greater than or equal to 0"),
        (ComputeParameters, {"image_memory": 0}, "greater than or equal to 1"),
        (ComputeParameters, {"image_cache_limit": -1}, "greater than or equal to 0"),
        (SplitParameters, {"dev_fraction": 0.51}, "less than or equal to 0.5"),
        (SplitParameters, {"dev_fraction": -0.1}, "greater than or equal to 0"),
        (SplitParameters, {"dev_seed": -1}, "greater than or equal to 0"),
        (IngestionParameters, {}, "reader\n.*Field required"),
        (EvaluationParameters, {"splits": "train"}, "'test' or 'dev'"),
        (EvaluationParameters, {"max_rank": 0}, "greater than or equal to 1"),
        (EvaluationParameters, {"batch_size": 0}, "greater than or equal to 1"),
        (ReportParameters, {"queries": 0}, "greater than or equal to 1"),
        (ReportParameters, {"top": 0}, "greater than or equal to 1"),
        (AugmentationParameters, {"flip": 1.1}, "less than or equal to 1"),
        (AugmentationParameters, {"padding": -1}, "greater than or equal to 0"),
        (AugmentationParameters, {"erasing": -0.1}, "greater than or equal to 0"),
        (AugmentationParameters, {"erasing_area": (0.4, 0.02)}, r"erasing_area \(0.4, 0.02\) is empty"),
        (AugmentationParameters, {"erasing_area": (0.0, 1.5)}, "less than or equal to 1"),
        (AugmentationParameters, {"erasing_area": (-0.1, 0.5)}, "greater than or equal to 0"),
        (AugmentationParameters, {"erasing_fill": "black"}, "'mean', 'noise', 'half' or 'imagenet_mean'"),
        (SharedParameters, {**SHARED, "seed": -1}, "greater than or equal to 0"),
        (SharedParameters, {**SHARED, "seed": 2**32}, "less than 4294967296"),
        (ContrastParameters, {**CONTRAST, "warmup_share": 1.0}, "less than 1"),
        (ContrastParameters, {**CONTRAST, "batch_size": 1}, "greater than or equal to 2"),
        (ContrastParameters, {**CONTRAST, "held_out": 1}, "greater than or equal to 2"),
        (ContrastParameters, {**CONTRAST, "learning_rate": 0}, "greater than 0"),
    ],
)
def test_values_out_of_range_are_refused(model, given, says):
    with pytest.raises(ValidationError, match=says):
        model.model_validate(given)


def test_the_bounds_themselves_are_allowed():
    assert SplitParameters(dev_fraction=0.5).dev_fraction == 0.5
    assert AugmentationParameters(erasing_area=(0.3, 0.3), flip=0, erasing=1).erasing_area == (0.3, 0.3)
    assert SharedParameters.model_validate({**SHARED, "seed": 2**32 - 1}).seed == 2**32 - 1
    assert ContrastParameters.model_validate(CONTRAST).batch_size == 2


class TestTrainingPlan:
    def test_defaults_are_the_published_schedule(self):
        plan = TrainingPlan(**PLAN)
        assert (plan.warmup_epochs, plan.warmup_factor) == (10, 0.01)
        assert (plan.milestones, plan.decay) == ((20, 40), 0.1)
        assert (plan.optimiser, plan.momentum, plan.weight_decay) == ("sgd", 0.9, 5e-4)
        assert (plan.schedule, plan.step_at, plan.warmup_learning_rate) == ("steps", "end", None)
        assert (plan.bias_rate_multiplier, plan.bias_weight_decay) == (1.0, None)

    def test_random_batches_and_whole_passes(self):
        """Null says so; a plan that leaves them out is still incomplete."""
        plan = TrainingPlan(**PLAN | {"instances": None, "iterations_per_epoch": None, "batch_size": 7})
        assert (plan.instances, plan.iterations_per_epoch, plan.batch_size) == (None, None, 7)

    def test_a_cosine(self):
        plan = TrainingPlan(**PLAN, schedule="cosine", milestones=(), warmup_learning_rate=1e-5)
        assert plan.final_learning_rate == 1e-6
        assert TrainingPlan(**plan.model_dump()) == plan

    @pytest.mark.parametrize("name", sorted(PLAN))
    def test_what_has_no_default_must_be_given(self, name):
        rest = {key: value for key, value in PLAN.items() if key != name}
        with pytest.raises(ValidationError, match=f"{name}\n.*Field required"):
            TrainingPlan(**rest)

    @pytest.mark.parametrize(
        ("name", "value", "says"),
        [
            ("epochs", 0, "greater than or equal to 1"),
            ("iterations_per_epoch", 0, "greater than or equal to 1"),
            ("batch_size", 0, "greater than or equal to 1"),
            ("instances", 1, "greater than or equal to 2"),
            ("optimiser", "adamw", "'sgd' or 'adam'"),
            ("learning_rate", 0, "greater than 0"),
            ("momentum", 1, "less than 1"),
            ("momentum", -0.1, "greater than or equal to 0"),
            ("weight_decay", -1e-9, "greater than or equal to 0"),
            ("warmup_epochs", -1, "greater than or equal to 0"),
            ("warmup_factor", 0, "greater than 0"),
            ("warmup_factor", 1.01, "less than or equal to 1"),
            ("milestones", (0, 5), "greater than or equal to 1"),
            ("milestones", (40, 20), r"milestones must increase, got \(40, 20\)"),
            ("milestones", (20, 20), r"milestones must increase, got \(20, 20\)"),
            ("decay", 0, "greater than 0"),
            ("decay", 1.5, "less than or equal to 1"),
            ("batch_size", 250, r"batch_size 250 must be a multiple \(at least twice\) of instances 16"),
            ("batch_size", 16, r"batch_size 16 must be a multiple \(at least twice\) of instances 16"),
            ("batch_size", 8, r"batch_size 8 must be a multiple"),
            ("learning_rat", 1, "Did you mean 'learning_rate'"),
            ("bias_rate_multiplier", 0, "greater than 0"),
            ("bias_weight_decay", -1e-9, "greater than or equal to 0"),
            ("schedule", "linear", "'steps' or 'cosine'"),
            (
                "schedule",
                "cosine",
                r"cosine has no milestones, got \(20, 40\)\. Write milestones: \[\] or schedule: steps",
            ),
            ("step_at", "middle", "'start' or 'end'"),
            ("warmup_learning_rate", 0, "greater than 0"),
            ("warmup_learning_rate", 3.6e-4, r"warmup_learning_rate 0\.00036 must not be above learning_rate 0\.00035"),
            ("final_learning_rate", 0, "greater than 0"),
        ],
    )
    def test_constraints(self, name, value, says):
        with pytest.raises(ValidationError, match=says):
            TrainingPlan(**{**PLAN, name: value})

    def test_edges_that_are_allowed(self):
        plan = TrainingPlan(**PLAN | {"batch_size": 32, "milestones": (), "warmup_epochs": 0, "momentum": 0})
        assert plan.milestones == ()
        assert TrainingPlan(**PLAN, warmup_learning_rate=3.5e-4).warmup_learning_rate == 3.5e-4
        assert TrainingPlan(**PLAN, final_learning_rate=1.0).schedule == "steps", "steps do not read it"

    def test_a_cosine_that_would_rise(self):
        with pytest.raises(
            ValidationError, match=r"final_learning_rate 0\.001 must not be above learning_rate 0\.00035"
        ):
            TrainingPlan(**PLAN, schedule="cosine", milestones=(), final_learning_rate=1e-3)


class TestBackbone:
    def test_defaults(self):
        backbone = BackboneParameters(name="ViT-B-16-quickgelu")
        assert backbone.image_size == (256, 128)
        assert backbone.patch_stride is None
        assert backbone.pretrained is None

    @pytest.mark.parametrize(
        ("given", "says"),
        [
            ({}, "name\n.*Field required"),
            ({"name": "x", "image_size": (0, 128)}, "greater than or equal to 1"),
            ({"name": "x", "image_size": (256,)}, "image_size"),
            ({"name": "x", "image_size": 256}, "image_size"),
            ({"name": "x", "patch_stride": 0}, "greater than or equal to 1"),
            ({"name": "x", "pixel_std": (0.5, 0.0, 0.5)}, r"above 0 in every channel, got \(0.5, 0.0, 0.5\)"),
            ({"name": "x", "pixel_mean": (0.5, 0.5)}, "pixel_mean"),
            ({"name": "x", "pretrained": "weights/none.pt"}, "no checkpoint file at 'weights/none.pt'"),
            ({"name": "x", "pretrained": "none.safetensors"}, "no checkpoint file at 'none.safetensors'"),
            ({"name": "x", "pretrained": "/work"}, "no checkpoint file at '/work'.*or one of open_clip's tags"),
        ],
    )
    def test_constraints(self, given, says):
        with pytest.raises(ValidationError, match=says):
            BackboneParameters(**given)

    @pytest.mark.parametrize("tag", ["openai", "laion2b_s34b_b88k", "demo"])
    def test_a_tag_is_no_file(self, tag):
        assert BackboneParameters(name="x", pretrained=tag).pretrained == tag

    def test_an_existing_file_is_taken(self, tmp_path):
        file = tmp_path / "clip.pt"
        file.write_bytes(b"weights")
        assert BackboneParameters(name="x", pretrained=str(file)).pretrained == str(file)


class TestWords:
    def test_nearest_is_empty_where_nothing_is_near(self):
        assert nearest("market", ["market1501", "msmt17"]) == " Did you mean 'market1501'?"
        assert nearest("xyz", ["market1501", "msmt17"]) == ""

    def test_first_few_counts_the_rest(self):
        assert first_few([1, 2, 3], 3) == "1, 2, 3"
        assert first_few(range(10), 3) == "0, 1, 2 and 7 more"

    def test_a_user_error_is_a_value_error(self):
        assert issubclass(UserError, ValueError)


class TestColumns:
    def columns(self, given):
        return IngestionParameters(reader="custom", columns=given).columns

    @pytest.mark.parametrize(
        ("given", "read"),
        [
            (None, None),
            ({}, None),
            ({"path": "filename", "pid": "individual"}, {"path": "filename", "pid": "individual"}),
            ({"pid": 7}, {"pid": "7"}),
            ({"camid": None}, {"camid": None}),
        ],
    )
    def test_what_is_read(self, given, read):
        assert self.columns(given) == read

    @pytest.mark.parametrize(
        ("given", "says"),
        [
            (
                {"pth": "filename"},
                r"'pth' is no column of a manifest\. Did you mean 'path'\? Those are path, pid, camid",
            ),
            ({"identity": "x"}, r"'identity' is no column of a manifest\. Those are .*as in \{path: filename"),
            ({3: "x"}, r"3 is no column of a manifest"),
            ({"path": "f", "pid": "f"}, r"path and pid are both read from 'f': give each a column of its own"),
            ({"camid": "x", "viewid": "x"}, r"camid and viewid are both read from 'x'"),
            ({"pid": None}, r"pid is null, and no table is read without it: name its column"),
            ("filename", r"'filename' maps no columns: write those of a manifest to your table's, as in \{path"),
            (["path"], r"maps no columns"),
            (False, r"False maps no columns"),
            ({"pid": ["x"]}, r"valid string"),
            ({"pid": True}, r"valid string"),
        ],
    )
    def test_what_is_refused(self, given, says):
        with pytest.raises(ValidationError, match=says):
            self.columns(given)

    def test_it_does_not_stand_in_the_way_of_equality(self):
        assert IngestionParameters(reader="custom") == IngestionParameters(reader="custom", columns={})
