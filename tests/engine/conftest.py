"""A linear model and a toy stage: the loop without images."""

# ruff: noqa: ARG002 - a hook has its arguments, used or not

import numpy as np
import pytest
import torch
from torch import nn

from reid_pipeline.engine.runtime import Runtime
from reid_pipeline.engine.seeding import torch_generator
from reid_pipeline.engine.stage import Batch, Stage, StepOutput, TrainingData
from reid_pipeline.schema.parameters import TowerPlan, TrainingPlan


class ToyStage(Stage):
    """Regression with dropout, so that global random state matters; it writes down what it is asked."""

    name = "toy"

    def __init__(self, plan: TrainingPlan) -> None:
        super().__init__(plan)
        self.asked: list[str] = []

    def begin(self, model, data):
        self.asked.append("begin")

    def epoch_batches(self, model, data, epoch):
        self.asked.append(f"epoch {epoch}")
        for step in range(self.plan.iterations_per_epoch):
            generator = torch_generator(data.seed, "toy", epoch, step)
            images = torch.randn(4, 3, generator=generator)
            yield Batch(images, torch.arange(4), None)

    def step(self, model, batch):
        self.asked.append("step" if model.training else "step in eval mode")
        output = model(torch.nn.functional.dropout(batch.images, 0.25))
        return StepOutput(
            {"near": (output - 1).square().mean(), "small": 0.1 * output.abs().mean()}, {"output": output}
        )

    def after_step(self, batch, output):
        assert not output.retained["output"].requires_grad
        self.asked.append("after_step")

    def facts(self):
        self.asked.append("facts")
        return {"clusters": 3, "seconds": {"clustering": 0.0}}


@pytest.fixture
def toy_stage():
    return ToyStage


def toy_plan(**options) -> TowerPlan:
    defaults = {
        "epochs": 4,
        "iterations_per_epoch": 3,
        "batch_size": 4,
        "instances": 2,
        "learning_rate": 0.05,
        "warmup_epochs": 1,
        "milestones": (2,),
    }
    return TowerPlan(**{**defaults, **options})


@pytest.fixture
def make_plan():
    return toy_plan


@pytest.fixture
def make_model():
    def make(seed: int = 0) -> nn.Module:
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))

    return make


@pytest.fixture
def make_data():
    def make(seed: int = 0, runtime: Runtime | None = None) -> TrainingData:
        runtime = runtime or Runtime(torch.device("cpu"))
        return TrainingData(None, np.arange(4), None, runtime, seed)

    return make
