"""What the whole costs, from what a sample took: by hand, and by the samplers themselves."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from reid_pipeline.engine.whole_cost import (
    CostOfWhole,
    about,
    cost_of_whole,
    cost_sentence,
    planned_steps,
    whole_parameters,
)
from reid_pipeline.images.samplers import batches_per_pass, random_batches
from reid_pipeline.methods import find_method
from reid_pipeline.schema.addresses import Cell
from reid_pipeline.schema.parameters import TrainingPlan
from reid_pipeline.schema.sample import SampledSide, SampleFacts

SIDE = SampledSide(identities=50, of_identities=1000, images=500, of_images=10_000)
SAMPLE = SampleFacts(train=SIDE, test=SIDE, images_per_identity=((10, 1000),), training_images=10_000, test_images=9000)
PCL, UNSUPERVISED = find_method("pcl"), find_method("unsupervised_pcl")


def plan(**given) -> TrainingPlan:
    return TrainingPlan.model_validate(
        {"epochs": 60, "iterations_per_epoch": 200, "batch_size": 64, "instances": 4, "learning_rate": 0.1, **given}
    )


def test_planned_steps_are_those_of_the_plan_or_of_one_pass_over_the_whole():
    assert planned_steps(PCL, plan(), SAMPLE) == 200
    for images, identities, size, instances in ((10, 1000, 64, 4), (3, 7, 64, 4), (9, 40, 32, 8), (5, 33, 24, 2)):
        labels = np.repeat(np.arange(identities), images)
        sample = SAMPLE.model_copy(
            update={"images_per_identity": ((images, identities),), "training_images": len(labels)}
        )
        sizes = {"batch_size": size, "instances": instances}
        counted = batches_per_pass(labels, **sizes)
        assert planned_steps(PCL, plan(iterations_per_epoch=None, **sizes), sample) == counted
        shuffled = list(random_batches(len(labels), size, np.random.default_rng(0)))
        random = plan(iterations_per_epoch=None, batch_size=size, instances=None)
        assert planned_steps(PCL, random, sample) == len(shuffled)
    assert planned_steps(UNSUPERVISED, plan(iterations_per_epoch=None), SAMPLE) == 156  # 10,000 images by 64


def test_the_cost_is_planned_steps_by_the_rate_after_the_first_epoch_and_the_embedding():
    cost = CostOfWhole(UNSUPERVISED, plan(), SAMPLE)
    assert cost.facts() == {}
    cost.measure(20, {"extraction": 9.0, "clustering": 9.0, "training": 99.0, "epoch": 117.0})
    assert cost.facts()["steps_per_second"] == pytest.approx(20 / 99, abs=1e-3)  # all there is so far
    cost.measure(20, {"extraction": 1.0, "clustering": 0.5, "training": 4.0, "epoch": 5.5})
    cost.measure(20, {"extraction": 2.0, "clustering": 0.5, "training": 6.0, "epoch": 8.5})
    # 12,000 steps at 4 a second; 500 images took 1.5 s, 10,000 take 30 s in each of 60 epochs.
    assert cost.facts() == {
        "epochs": 60,
        "steps": 12_000,
        "steps_per_second": 4.0,
        "embedding_seconds": 1800.0,
        "seconds": 4800.0,
        "beside": ["clustering"],
    }
    assert cost_sentence("unsupervised_pcl, cluster_contrast", cost.facts()) == (
        "unsupervised_pcl, cluster_contrast: the whole will take about 80 min on this machine: 60 epochs, 12,000 steps"
        " at the 4.00 a second of here, and 30 min to embed its training images; clustering not counted."
    )


def test_times_are_short():
    assert [about(each) for each in (0.2, 59.6, 100, 5400, 6100, 90_000)] == [
        "1 s", "60 s", "2 min", "90 min", "1 h 42 min", "25 h 0 min",
    ]  # fmt: skip


def test_a_plan_of_a_sample_s_card_has_no_cost_and_a_line_says_so(caplog):
    caplog.set_level("INFO", logger="reid_pipeline")
    parameters = PCL.params.model_construct()
    for benchmark, lines in (("msmt17", 0), ("msmt17+sample=20", 1)):
        cell = Cell(benchmark=benchmark, method="pcl", variant="", seed=0)
        assert whole_parameters(PCL, parameters, cell, pd.DataFrame()) is None
        assert caplog.text.count("pcl: what the whole will take is not known") == lines


def test_a_whole_benchmark_is_not_measured():
    table = SimpleNamespace(attrs={})
    assert cost_of_whole(PCL, object(), "prototype_contrast", table) is None
