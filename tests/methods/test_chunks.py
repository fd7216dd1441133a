"""A batch in chunks is the undivided batch: losses, weights and memories of every method, in any precision."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from published import published
from torch import Tensor

from reid_pipeline.engine.loop import fit
from reid_pipeline.engine.runtime import Runtime
from reid_pipeline.engine.seeding import seed_global_state
from reid_pipeline.engine.stage import Batch, Stage, StepOutput, TrainingData
from reid_pipeline.methods import find_method
from reid_pipeline.models.architecture import Architecture
from reid_pipeline.models.backbone import build_image_encoder
from reid_pipeline.schema.nested import merged
from reid_pipeline.schema.population import Population

pytestmark = pytest.mark.slow  # small models, trained many times
BATCH, CHUNK = 8, 3  # the last chunk has two images
STEPS = {"epochs": 2, "iterations_per_epoch": 2, "batch_size": BATCH, "warmup_epochs": 0}
SMALL: dict[str, Any] = {
    "backbone": {"name": "demo-vit", "pretrained": "demo", "image_size": [48, 24], "patch_stride": None},
    "plan": STEPS | {"instances": 2, "learning_rate": 1e-3, "milestones": []},
}
PROMPTED = {"prompts": {"plan": STEPS | {"warmup_learning_rate": None}}, "backbone": {"sie": "camera"}}
OF_METHOD: dict[str, Any] = {
    "clip_reid": PROMPTED,
    "svll_reid": PROMPTED | {"projection_head": {"hidden_width": 32, "output_width": 16}},
    "unsupervised_pcl": {"clustering": {"k1": 8, "k2": 2, "eps": 0.7, "min_samples": 2}},
}
KINDS = [{"camera_aware": {"kind": "cap", "cap": {"inter_from_epoch": 1}}}, {"camera_aware": {"kind": "o2cap"}}]
CASES = [(name, {}) for name in ("baseline", "clip_reid", "pcl", "svll_reid", "unsupervised_pcl")]
CASES += [("unsupervised_pcl", kind) for kind in KINDS] + [("svll_reid", {"views_with_sie": True})]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Doubled(Stage):
    """A stage whose images are in double precision, with the losses of every step.

    Adam divides a gradient by its size: where the true one is zero, as of the bias of attention's keys, it would move
    weights by the rounding of single precision.
    """

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage.plan)
        self.name, self.stage, self.losses = stage.name, stage, []
        self.double = stage.plan.optimiser == "adam"

    def begin(self, model: Any, data: TrainingData) -> None:
        self.stage.begin(model, data)

    def param_groups(self, model: Any) -> list[dict[str, Any]]:
        return self.stage.param_groups(model)

    def epoch_batches(self, model: Any, data: TrainingData, epoch: int) -> Any:
        for batch in self.stage.epoch_batches(model, data, epoch):
            double = {"images": batch.images.double(), "views": tuple(view.double() for view in batch.views)}
            yield replace(batch, **double) if self.double else batch

    def step(self, model: Any, batch: Batch) -> StepOutput:
        output = self.stage.step(model, batch)
        self.losses += [float(loss.detach()) for loss in output.losses.values()]
        return output

    def after_step(self, batch: Batch, output: StepOutput) -> None:
        self.stage.after_step(batch, output)


def trained(name: str, changes: dict[str, Any], data: TrainingData) -> tuple[dict[str, Tensor], list[float], Any]:
    """Return weights and buffers, the losses of all steps, and the memory, after the last stage's four steps."""
    method = find_method(name)
    parameters = method.params.model_validate(
        merged(merged(published(name), SMALL), merged(OF_METHOD.get(name, {}), changes))
    )
    seed_global_state(0, "build")
    model = method.build(parameters, Population(identities=4, cameras=3))
    stage = Doubled(method.stages(parameters)[-1])
    list(fit(stage, model.double() if stage.double else model, data))
    memory = getattr(stage.stage, "_memory", None)
    return dict(model.state_dict()), stage.losses, memory and memory.state_dict()


def assert_close(one: Any, other: Any, atol: float = 1e-5) -> None:
    torch.testing.assert_close(one, other, atol=atol, rtol=0.0)


@pytest.mark.parametrize(("name", "changes"), CASES)
def test_it_is_the_undivided_step(data, name, changes):
    weights, losses, memory = trained(name, changes, data)
    divided = trained(name, merged(changes, {"plan": {"chunk_size": CHUNK}}), data)
    assert len(losses) >= 4
    assert_close(divided[1], losses)
    assert_close(divided[0], weights)
    assert_close(divided[2], memory)
