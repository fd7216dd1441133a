"""Steps measured before a training: they change nothing of it, and what follows from them."""

import logging
import random
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from reid_pipeline.engine import forecast
from reid_pipeline.engine.forecast import Forecast, device_name
from reid_pipeline.engine.plan_of_data import resolved_parameters, size_of_table
from reid_pipeline.engine.rehearsal import Rehearsal, fitting_chunk, rehearsed, untouched
from reid_pipeline.engine.runtime import Runtime
from reid_pipeline.engine.starting import Start
from reid_pipeline.engine.training import TrainingRun, train_stage
from reid_pipeline.methods import find_method
from reid_pipeline.schema.addresses import Cell
from reid_pipeline.schema.auto_plan import CollectionSize, auto_values
from reid_pipeline.schema.parameters import TowerPlan
from reid_pipeline.schema.population import Population
from reid_pipeline.schema.raw_folder import RawFolder

CPU = Runtime(torch.device("cpu"), threads=1)
BACKBONE = {"name": "demo-vit", "pretrained": None, "image_size": [32, 16]}
PLAN = {
    "epochs": 2, "iterations_per_epoch": 2, "batch_size": 8, "instances": 4, "learning_rate": 0.01,
    "warmup_epochs": 0, "milestones": [],
}  # fmt: skip
BASELINE = find_method("baseline")


def parameters(**plan):
    values = {"backbone": BACKBONE, "augmentation": {"padding": 2}, "plan": {**PLAN, **plan}}
    return BASELINE.params.model_validate(values)


def chance():
    return random.random(), np.random.rand(), torch.rand(1).item()  # noqa: NPY002


def split_table_of(drawn_folder, drawn_files):
    from test_training import tables_of

    return tables_of(drawn_folder, drawn_files).split_table


@pytest.fixture(scope="module")
def training(drawn_folder, drawn_files):
    table = split_table_of(drawn_folder, drawn_files)
    read = (BASELINE, parameters(), table, RawFolder(drawn_folder, tuple(drawn_files)), CPU, 3)

    def run(auto=frozenset(), resume=None, **plan):
        run = TrainingRun(*read, auto=frozenset(auto))
        return list(train_stage(replace(run, parameters=parameters(**plan)), "fine_tuning", resume))

    return run


@pytest.mark.slow
def test_a_training_with_and_without_the_measurement_has_the_same_bits(training, monkeypatch):
    (*_, (plain, without)) = training()
    measured = []
    monkeypatch.setattr(
        forecast, "rehearsed", lambda *work, **how: measured.append(rehearsed(*work, **how)) or measured[-1]
    )
    (*_, (state, history)) = training(auto={"plan.epochs"})
    assert measured
    for name, tensor in plain["model"].items():
        assert torch.equal(tensor, state["model"][name]), name
    for one, other in zip(plain["optimiser"]["state"].values(), state["optimiser"]["state"].values(), strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)
    assert [record.loss for record in history] == [record.loss for record in without]
    assert "running_mean" in " ".join(plain["model"]), "there are batch norms that a pass would change"
    assert plain.keys() | {"plan"} == state.keys()
    assert state["plan"]["epochs"] == 2


def test_passes_leave_model_and_chance_as_they_were():
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
    model[2].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    random.seed(0), np.random.seed(0), torch.manual_seed(0)  # noqa: NPY002
    expected = chance()
    random.seed(0), np.random.seed(0), torch.manual_seed(0)  # noqa: NPY002
    with untouched(model):
        model.train()
        model(torch.randn(8, 3)).sum().backward()
        assert model[1].num_batches_tracked == 1
        chance()
    assert chance() == expected
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert [module.training for module in model] == [True, True, False]
    assert all(value.grad is None for value in model.parameters())


def test_chunks_are_the_largest_power_of_two_in_half_the_memory():
    model = Start(BASELINE, parameters(), Population(4)).model()
    assert fitting_chunk(64, 100, 2 * 6400, model) is None, "64 images of 100 bytes are half of it"
    assert fitting_chunk(64, 100, 2 * 6399, model) == 32
    assert fitting_chunk(64, 100, 2 * 1000, model) == 8
    assert fitting_chunk(64, 100, 10, model) == 1
    model.encoder.dropped = nn.Dropout(0.1)
    assert fitting_chunk(64, 100, 2 * 1000, model) is None, "other masks would be sampled"
    model.encoder.dropped = nn.BatchNorm1d(3)
    assert fitting_chunk(64, 100, 2 * 1000, model) is None, "statistics would be a chunk's"


def test_the_memory_of_an_image_grows_with_its_pixels_and_not_with_the_batch():
    def held(size):
        given = parameters().model_copy(
            update={"backbone": parameters().backbone.model_copy(update={"image_size": size})}
        )
        model = Start(BASELINE, given, Population(4)).model()
        (stage,) = BASELINE.stages(given)
        return rehearsed(stage, model, CPU, given, memory=10**12)

    small, large = held((32, 16)), held((64, 32))
    assert 2 < large.image_bytes / small.image_bytes < 8  # four times the patches, and their attention
    assert small.images == 8
    assert small.step_seconds > 0


def lines_of(caplog, stage, start, *, measured, images=100, **options):
    data = SimpleNamespace(images=range(images), camids=None, viewids=None, runtime=CPU)
    auto = options.pop("auto", frozenset())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forecast, "rehearsed", lambda *_, **__: measured)
        Forecast(start, stage, data, auto, **options).fit_to_machine(start.model(), options.get("stored"))
    lines = [record.getMessage() for record in caplog.records if record.name == "reid_pipeline.engine.forecast"]
    caplog.clear()
    return lines


def test_lines_say_plan_device_time_and_what_less_would_cost(caplog):
    caplog.set_level(logging.INFO, logger="reid_pipeline")
    given = parameters(epochs=10, milestones=[8], warmup_epochs=1, iterations_per_epoch=30)
    (stage,), start = BASELINE.stages(given), Start(BASELINE, given, Population(4))
    open_fields = frozenset({"plan.batch_size", "plan.instances", "plan.milestones", "plan.warmup_epochs"})
    measured = Rehearsal(images=2, step_seconds=2.0, embedding_seconds=0.1, image_bytes=1000)
    assert lines_of(caplog, stage, start, measured=measured, auto=open_fields) == [
        "baseline, fine_tuning: the plan for 100 training images is 10 epochs of 30 steps of 8 images, 4 of an"
        " identity; warm-up 1, rate down after 8. Given, and not from the data: epochs, iterations_per_epoch.",
        # 300 steps of two seconds.
        "baseline, fine_tuning: about 10 min on the CPU (1 thread), computed from what was measured: 2 s for a step of"
        " 8 images (in proportion to one of 2).",
        "baseline, fine_tuning: less would cost, computed likewise: baseline.plan.epochs=5 takes about 5 min.",
    ]
    lines = lines_of(caplog, stage, start, measured=measured, auto=open_fields, done=9)
    assert "about 60 s on the CPU (1 thread) for the 1 epochs that are left" in lines[1]


def test_another_network_is_compared_with_the_small_clip(caplog):
    caplog.set_level(logging.INFO, logger="reid_pipeline")
    method = find_method("unsupervised_pcl")
    values = {"backbone": BACKBONE, "augmentation": {}, "plan": PLAN, "clustering": {}, "memory": {"momentum": 0.1}}
    given = method.params.model_validate(values)
    (stage,) = method.stages(given)
    start = Start(method, given, Population(0))
    renamed = given.model_copy(update={"backbone": given.backbone.model_copy(update={"name": "ViT-B-16"})})
    measured = Rehearsal(images=8, step_seconds=1.0, embedding_seconds=0.5, image_bytes=1000)
    forecast_of = Forecast(replace(start, parameters=renamed), stage, SimpleNamespace(
        images=range(20), camids=None, viewids=None, runtime=CPU), frozenset())  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forecast, "rehearsed", lambda *_, **__: measured)
        line = forecast_of._smaller_line(measured)
    # 4 steps of a second, and 20 images of half a second in each of 2 epochs.
    assert line.endswith("unsupervised_pcl.plan.epochs=1 takes about 12 s; overlay=small about 24 s.")


def test_the_memory_of_the_machine_decides_chunks_and_a_stored_one_stands(caplog):
    caplog.set_level(logging.INFO, logger="reid_pipeline")
    given, measured = parameters(batch_size=64), Rehearsal(8, 1.0, 0.1, image_bytes=10**6)
    start, open_chunk = Start(BASELINE, given, Population(4)), frozenset({"plan.chunk_size"})

    def chunk(memory, stored=None, auto=open_chunk):
        (stage,) = BASELINE.stages(given)
        data = SimpleNamespace(images=range(100), camids=None, viewids=None, runtime=CPU)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(forecast, "rehearsed", lambda *_, **__: measured)
            patch.setattr(forecast, "memory_of", lambda _: memory)
            Forecast(start, stage, data, auto).fit_to_machine(start.model(), stored)
        assert isinstance(stage.plan, TowerPlan)
        return stage.plan.chunk_size

    assert chunk(10**9) is None
    assert chunk(40 * 10**6) == 16
    assert "0.1 GB, as measured, and there are 0.0 GB: 16 images" in caplog.text
    assert chunk(10**9, stored={"chunk_size": 16}) == 16, "a killed run goes on as it was"
    assert chunk(10 * 10**6, stored={"chunk_size": 16}) == 4, "but for a machine with less memory"
    assert chunk(40 * 10**6, auto=frozenset()) is None, "null was given"


def test_a_device_is_named():
    assert device_name(replace(CPU, threads=2)) == "the CPU (2 threads)"


def table(labels, split="train"):
    return pd.DataFrame({"split": split, "label": pd.Series(labels, dtype="Int64")})


def test_identities_are_read_only_where_a_method_learns_from_them():
    rows = table([0, 0, 0, 1, 1, 2, -1])
    assert size_of_table(find_method("unsupervised_pcl"), rows) == CollectionSize(7)
    assert size_of_table(BASELINE, rows) == CollectionSize(6, 3, 2)
    assert size_of_table(BASELINE, table([0, 0], "query")) == CollectionSize(0)


def test_parameters_are_resolved_from_the_table_and_what_is_given_stands():
    auto = {f"plan.{name}": value for name, value in PLAN.items() if name not in {"learning_rate", "epochs"}}
    cell = Cell(benchmark="zoo", method="baseline", seed=0, auto={**auto, "plan.batch_size": 64})
    rows = table(np.repeat(np.arange(50), 15))
    found = resolved_parameters(BASELINE, parameters(epochs=3), cell, rows)
    by_rule = auto_values(parameters(epochs=3).model_dump(mode="json"), cell.auto, CollectionSize(750, 50, 15))
    assert {
        f"plan.{name}": value for name, value in found.plan.model_dump(mode="json").items() if f"plan.{name}" in auto
    } == by_rule
    assert (found.plan.epochs, found.plan.batch_size, found.plan.milestones) == (3, 64, (2,))
    assert resolved_parameters(BASELINE, parameters(), cell.model_copy(update={"auto": {}}), rows) == parameters()
