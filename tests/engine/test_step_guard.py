"""Losses that stay on their device. The CPU takes the part of a card here: its fused optimisers read the flag too."""

# ruff: noqa: ARG002 - a hook has its arguments, used or not

import copy
import math
from contextlib import nullcontext

import pytest
import torch
from torch import nn

from reid_pipeline.engine import loop, step_guard
from reid_pipeline.engine.finite import NonFiniteLoss
from reid_pipeline.engine.processes import Processes
from reid_pipeline.engine.runtime import Runtime
from reid_pipeline.engine.stage import Batch, StepOutput
from reid_pipeline.images.augment import augment
from reid_pipeline.losses import CameraProxyMemory, PrototypeMemory, fine_tuning_losses
from reid_pipeline.losses.host_labels import labels_on_device
from reid_pipeline.schema.parameters import AugmentationParameters, BackboneParameters

BROKEN = 6  # the step of the first epoch, of eight, whose loss is NaN


def set_staying(monkeypatch, stays: bool) -> None:
    for module in (loop, step_guard):
        monkeypatch.setattr(module, "stays_on_device", lambda _: stays)


@pytest.fixture
def on_device(monkeypatch):
    """Losses stay where they are, and four steps are read together."""
    set_staying(monkeypatch, True)
    monkeypatch.setattr(step_guard, "READ_EVERY", 4)


@pytest.fixture
def stage(toy_stage, make_plan):
    """A stage with a memory that follows each step; it copies all that moves before each step."""

    class Remembering(toy_stage):
        broken = 0

        def begin(self, model, data):
            generator = torch.Generator().manual_seed(0)
            rows = nn.functional.normalize(torch.randn(4, 4, generator=generator), dim=1)
            self.memory, self.model, self.before = PrototypeMemory(rows), model, []

        def step(self, model, batch):
            optimiser = self.loop.optimiser.state_dict()["state"]
            weights = [value.detach().clone() for value in model.parameters()]
            self.before.append((weights, copy.deepcopy(optimiser), self.memory.prototypes.clone()))
            output = super().step(model, batch)
            if len(self.before) == self.broken:
                output.losses["near"] = output.losses["near"] * math.nan
            rows = nn.functional.normalize(batch.images @ torch.ones(3, 4) + output.retained["output"], dim=1)
            return StepOutput(output.losses, {"embeddings": rows})

        def after_step(self, batch, output):
            self.memory.update(output.retained["embeddings"], batch.labels, stopped=output.stopped)

    return lambda **options: Remembering(make_plan(iterations_per_epoch=8, **options))


@pytest.fixture
def loops(monkeypatch):
    """Give the stage its loop, of which it copies the optimiser's state."""
    own = loop._Loop.__init__

    def seen(self, stage, *rest):
        stage.loop = self
        own(self, stage, *rest)

    monkeypatch.setattr(loop._Loop, "__init__", seen)


def equal(left, right) -> bool:
    return all(torch.equal(one, other) for one, other in zip(left, right, strict=True))


def tensors(state):
    return [value for each in state.values() for value in each.values() if value is not None]


@pytest.mark.parametrize("optimiser", ["adam", "sgd"])
def test_nothing_moves_from_the_broken_step_on(optimiser, stage, on_device, loops, make_model, make_data):
    broken, model = stage(optimiser=optimiser, momentum=0.9), make_model()
    broken.broken = BROKEN
    with pytest.raises(NonFiniteLoss, match=rf"in step {BROKEN} of epoch 1: near = nan, small = [\d.]+\. The step was"):
        list(loop.fit(broken, model, make_data()))
    assert len(broken.before) == 8, "two more steps before the losses are read"
    weights, state, memory = broken.before[BROKEN - 1]
    assert equal(model.parameters(), weights)
    assert torch.equal(broken.memory.prototypes, memory)
    assert equal(tensors(broken.loop.optimiser.state_dict()["state"]), tensors(state))
    moved, _, moved_memory = broken.before[BROKEN - 2]
    assert not equal(weights, moved), "the step before it was taken"
    assert not torch.equal(memory, moved_memory)


def test_whole_training_is_that_of_losses_read_at_once(stage, loops, make_model, make_data, request):
    at_once = list(loop.fit(stage(), model := make_model(), make_data()))
    request.getfixturevalue("on_device")
    together = list(loop.fit(stage(), guarded := make_model(), make_data()))
    for one, other in zip(at_once, together, strict=True):
        assert other.history[-1]["losses"] == pytest.approx(one.history[-1]["losses"], rel=1e-5)
    for one, other in zip(model.parameters(), guarded.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("first", ["at once", "together"])
def test_a_state_of_other_kernels_is_resumed(first, stage, loops, make_model, make_data, monkeypatch):
    """A run goes on on a card after a CPU, and on a CPU after a card."""
    set_staying(monkeypatch, first == "together")
    progress = loop.fit(stage(), make_model(), make_data())
    state = copy.deepcopy(next(progress).state)
    set_staying(monkeypatch, first != "together")
    *_, last = list(loop.fit(stage(), make_model(), make_data(), resume=state))
    fused = [group["fused"] for group in last.state["optimiser"]["param_groups"]]
    assert fused == [None if first == "together" else True]
    assert last.epoch == 4


def test_one_transfer_for_all_steps(monkeypatch):
    set_staying(monkeypatch, True)
    optimiser = torch.optim.SGD([nn.Parameter(torch.ones(1))], fused=True)
    guard = step_guard.StepGuard(optimiser, Runtime(torch.device("cpu")))
    for step in range(1, step_guard.READ_EVERY + 1):
        assert not guard.is_due
        guard.note(step, {"a": torch.tensor(float(step)), "b": torch.tensor(2.0)})
    assert guard.is_due
    totals: dict[str, float] = {}
    guard.add_to(totals, 1, "")
    assert totals == {"a": 210.0, "b": 40.0}
    guard.add_to(totals, 1, "")
    assert totals == {"a": 210.0, "b": 40.0}


def test_losses_are_read_at_once_where_no_kernel_reads_the_flag(monkeypatch):
    set_staying(monkeypatch, True)
    guard = step_guard.StepGuard(torch.optim.SGD([nn.Parameter(torch.ones(1))]), Runtime(torch.device("cpu")))
    assert guard.stopped is None
    assert guard.is_due


@pytest.mark.parametrize(
    ("device", "precision", "processes", "stays"),
    [
        ("cuda", "bfloat16", 1, True),
        ("cuda", "float32", 1, True),
        ("cuda", "float16", 1, False),
        ("cuda", "bfloat16", 2, False),
        ("cpu", "bfloat16", 1, False),
    ],
)
def test_where_losses_stay(device, precision, processes, stays):
    runtime = Runtime(torch.device(device), precision, processes=Processes(count=processes))
    assert step_guard.stays_on_device(runtime) is stays


def meta_memory(update: str) -> PrototypeMemory:
    return PrototypeMemory(torch.eye(8), update=update).to("meta")


@pytest.mark.parametrize("update", ["hard", "mean"])
def test_losses_and_updates_read_nothing_back(update, monkeypatch):
    """Tensors of the meta device have no values: to read one is an error, and so is a shape that depends on one."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
    meta = torch.device("meta")
    labels = labels_on_device(torch.tensor([3, 1, 3, 0, 1, 3]), meta)
    embeddings = torch.randn(6, 8, device=meta, requires_grad=True)
    memory = meta_memory(update)
    proxies = CameraProxyMemory(PrototypeMemory(torch.eye(8), update=update), torch.arange(8) // 2, torch.arange(8) % 2)
    proxies = proxies.to(meta)
    losses = {
        "prototypes": memory.loss(embeddings, labels),
        "intra": proxies.intra_camera_loss(embeddings, labels),
        "inter": proxies.inter_camera_loss(embeddings, labels),
        "online": proxies.online_loss(embeddings, labels),
        **fine_tuning_losses([embeddings], [embeddings], labels, weights=(1.0, 1.0), margin=0.3, label_smoothing=0.1),
    }
    optimiser = torch.optim.Adam([embeddings], fused=False)
    guard = step_guard.StepGuard(optimiser, Runtime(torch.device("cpu")))
    guard.stopped = torch.zeros((), device=meta)
    guard.note(1, losses)
    torch.stack(list(losses.values())).sum().backward()
    for each in (memory, proxies):
        each.update(embeddings.detach(), labels, stopped=guard.stopped)
    assert not guard.is_due
    with pytest.raises(RuntimeError, match="meta tensor"):  # the one read-back, which a tensor without values refuses
        guard.add_to({}, 1, "")


@pytest.mark.parametrize("fill", ["noise", "mean", "imagenet_mean"])
def test_augmentation_reads_nothing_back(fill):
    images = torch.zeros(4, 3, 32, 16, dtype=torch.uint8, device="meta")
    parameters = AugmentationParameters(erasing=1.0, erasing_fill=fill)
    made = augment(images, BackboneParameters(name="demo-vit"), parameters, torch.Generator().manual_seed(0))
    assert (made.shape, made.device.type) == ((4, 3, 32, 16), "meta")


def test_wrong_labels_are_refused_by_what_the_host_knows(monkeypatch):
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
    labels = labels_on_device(torch.tensor([0, 9]), torch.device("meta"))
    with pytest.raises(ValueError, match="labels range from 0 to 9; 8 prototypes allow 0 to 7"):
        meta_memory("hard").loss(torch.randn(2, 8, device="meta"), labels)


def test_labels_of_the_cpu_stay_what_they_are():
    labels = torch.tensor([1, 2])
    assert labels_on_device(labels, torch.device("cpu")) is labels
    assert isinstance(Batch(torch.zeros(1), labels, None).labels, torch.Tensor)
