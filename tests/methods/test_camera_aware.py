"""`unsupervised_pcl` with clusters split by camera, and that without it nothing is different."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from published import published

from reid_pipeline.clustering import cluster_pseudo_labels
from reid_pipeline.engine.batches import augmented_batches
from reid_pipeline.engine.loop import fit
from reid_pipeline.engine.seeding import seed_global_state
from reid_pipeline.engine.stage import Batch, Stage, StepOutput, TrainingData
from reid_pipeline.evaluation.extraction import extract_embeddings
from reid_pipeline.losses import CameraProxyMemory, PrototypeMemory
from reid_pipeline.methods._prototypes import CameraAwareParameters, camera_aware_losses
from reid_pipeline.methods.unsupervised_pcl import METHOD
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.nested import merged
from reid_pipeline.schema.population import Population

pytestmark = pytest.mark.slow  # small models, trained many times
SMALL: dict[str, Any] = {
    "backbone": {"name": "demo-vit", "pretrained": "demo", "image_size": [48, 24]},
    "plan": {"epochs": 2, "iterations_per_epoch": 3, "batch_size": 8, "instances": 2, "learning_rate": 1e-3},
    "clustering": {"k1": 8, "k2": 2, "eps": 0.7, "min_samples": 2},
}


def parameters_of(**camera_aware: Any) -> Any:
    base = published("unsupervised_pcl")
    return METHOD.params.model_validate(merged(merged(base, SMALL), {"camera_aware": camera_aware}))


def built(parameters: Any, seed: int = 0) -> Any:
    seed_global_state(seed, "build")
    return METHOD.build(parameters, Population(identities=4, cameras=3))


def stage_of(parameters: Any) -> Any:
    return METHOD.stages(parameters)[0]


class Recorded(Stage):
    """Another stage, and the losses of every step of it."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage.plan)
        self.name, self.stage, self.steps = stage.name, stage, []

    def begin(self, model: Any, data: TrainingData) -> None:
        self.stage.begin(model, data)

    def epoch_batches(self, model: Any, data: TrainingData, epoch: int) -> Any:
        return self.stage.epoch_batches(model, data, epoch)

    def step(self, model: Any, batch: Batch) -> StepOutput:
        output = self.stage.step(model, batch)
        self.steps.append({name: loss.detach().clone() for name, loss in output.losses.items()})
        return output

    def after_step(self, batch: Batch, output: StepOutput) -> None:
        self.stage.after_step(batch, output)


class Plain(Stage):
    """The method without cameras in a few lines: cluster, one prototype each, contrast, move."""

    name = "cluster_contrast"

    def __init__(self, parameters: Any) -> None:
        super().__init__(parameters.plan)
        self.parameters = parameters

    def epoch_batches(self, model: Any, data: TrainingData, epoch: int) -> Any:
        rows = extract_embeddings(model.embedder(), data.images, data.runtime, ids=(data.camids, None))
        labels = cluster_pseudo_labels(rows, **SMALL["clustering"])
        kept, memory = labels >= 0, self.parameters.memory
        self.memory = PrototypeMemory.from_embeddings(
            torch.from_numpy(rows[kept]), torch.from_numpy(labels[kept]), labels.max() + 1,
            **memory.model_dump(),
        )  # fmt: skip
        pixels = (self.parameters.backbone, self.parameters.augmentation)
        return augmented_batches(labels, data, self.plan, pixels=pixels, position=(self.name, epoch))

    def step(self, model: Any, batch: Batch) -> StepOutput:
        rows = torch.nn.functional.normalize(model.embed(batch.images, batch.camids).float(), dim=1)
        return StepOutput({"pcl": self.memory.loss(rows, batch.labels)}, {"rows": rows})

    def after_step(self, batch: Batch, output: StepOutput) -> None:
        self.memory.update(output.retained["rows"], batch.labels)


def trained(stage: Stage, parameters: Any, data: TrainingData) -> tuple[Any, Any]:
    model = built(parameters)
    *_, last = fit(stage, model, data)
    return model.state_dict(), last.history


def equal(left: Any, right: Any) -> bool:
    return all(torch.equal(left[name], right[name]) for name in left)


def test_none_is_the_plain_method_to_the_bit(data: TrainingData) -> None:
    parameters = parameters_of(kind="none")
    ours, plain = Recorded(stage_of(parameters)), Recorded(Plain(parameters))
    state, _ = trained(ours, parameters, data)
    plain_state, _ = trained(plain, parameters, data)
    assert len(ours.steps) == 6
    assert len({float(losses["pcl"]) for losses in ours.steps}) == 6
    assert all(map(equal, ours.steps, plain.steps))
    assert [set(losses) for losses in ours.steps] == [{"pcl"}] * 6
    assert equal(state, plain_state)
    left_out = METHOD.params.model_validate(parameters.model_dump(exclude={"camera_aware"}))
    assert left_out.camera_aware.kind == "none"


@pytest.mark.parametrize(
    ("given", "first", "second"),
    [
        ({"kind": "cap", "cap": {"inter_from_epoch": 2}}, {"intra_camera"}, {"intra_camera", "inter_camera"}),
        ({"kind": "o2cap"}, {"offline", "online"}, {"offline", "online"}),
        ({"kind": "o2cap", "o2cap": {"online_from_epoch": 2}}, {"offline"}, {"offline", "online"}),
    ],
)
def test_an_epoch(data: TrainingData, given: Any, first: set[str], second: set[str]) -> None:
    parameters = parameters_of(**given)
    state, history = trained(stage_of(parameters), parameters, data)
    assert [set(record["losses"]) for record in history] == [first, second]
    assert all(record["proxies"] >= record["clusters"] for record in history)
    start = built(parameters).state_dict()
    assert not equal(start, state)
    blind = replace(data, labels=np.full_like(data.labels, -1))
    assert equal(trained(stage_of(parameters), parameters, blind)[0], state)


def test_batches_are_of_proxies(data: TrainingData) -> None:
    parameters = parameters_of(kind="cap")
    stage, model = stage_of(parameters), built(parameters)
    batches = list(stage.epoch_batches(model, data, 1))
    memory = stage._memory
    assert isinstance(memory, CameraProxyMemory)
    assert memory.memory.temperature == 0.07
    for batch in batches:
        assert torch.equal(memory.camids[batch.labels], batch.camids)
    pairs = torch.cat([batch.labels for batch in batches]).reshape(-1, 2)
    assert torch.equal(pairs[:, 0], pairs[:, 1])
    assert all(len(batch.labels.unique()) == 4 <= len(memory.clusters) for batch in batches), "P distinct proxies"


def test_a_step_moves_the_proxies(data: TrainingData) -> None:
    parameters = parameters_of(kind="o2cap")
    stage, model = stage_of(parameters), built(parameters)
    batch = next(iter(stage.epoch_batches(model, data, 1)))
    before = stage._memory.memory.prototypes.clone()
    output = stage.step(model.train(), batch)
    assert torch.equal(stage._memory.memory.prototypes, before)
    stage.after_step(batch, output)
    moved = (stage._memory.memory.prototypes != before).any(dim=1)
    assert set(moved.nonzero().squeeze(1).tolist()) == set(batch.labels.tolist())


def test_a_resumed_run_keeps_the_epoch_at_which_a_loss_begins(data: TrainingData) -> None:
    parameters = parameters_of(kind="cap", cap={"inter_from_epoch": 2})
    whole, _ = trained(stage_of(parameters), parameters, data)
    state = next(fit(stage_of(parameters), built(parameters), data)).state
    model = built(parameters, seed=9)
    *_, resumed = fit(stage_of(parameters), model, data, resume=state)
    assert "inter_camera" in resumed.history[-1]["losses"]
    assert equal(whole, model.state_dict())


@pytest.mark.parametrize("kind", ["cap", "o2cap"])
@pytest.mark.parametrize(
    ("camids", "says"),
    [
        (None, r"have no cameras, and .* at least 2 are needed\. Give camids, or .*camera_aware\.kind: none"),
        (np.full(24, 4), r"have 1 camera, and camera-aware training contrasts images of different ones"),
        (np.arange(24) % 3 - 1, r"camera of 8 of 24 images is not known .*Complete the camids"),
    ],
)
def test_cameras_are_asked_for_before_training(data: TrainingData, kind: str, camids: Any, says: str) -> None:
    parameters = parameters_of(kind=kind)
    model = built(parameters)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(UserError, match=says):
        next(fit(stage_of(parameters), model, replace(data, camids=camids)))
    assert equal(before, model.state_dict())


def test_without_cameras_the_plain_method_trains(data: TrainingData) -> None:
    parameters = parameters_of(kind="none")
    next(fit(stage_of(parameters), built(parameters), replace(data, camids=None)))


@pytest.mark.parametrize(
    ("camids", "like"),
    [
        (np.arange(24) % 3, "o2cap"),
        (None, "none"),
        (np.full(24, 4), "none"),
        (np.arange(24) % 3 - 1, "none"),  # some are not known
    ],
)
def test_auto_is_what_the_cameras_allow(data: TrainingData, camids: Any, like: str) -> None:
    """The same training, to the bit, as with the kind that auto stands for."""
    trained = {}
    for kind in ("auto", like):
        parameters = parameters_of(kind=kind)
        model = built(parameters)
        next(fit(stage_of(parameters), model, replace(data, camids=camids)))
        trained[kind] = model.state_dict()
    assert equal(trained["auto"], trained[like])


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"kind": "CAP"}, r"Input should be 'none', 'cap', 'o2cap' or 'auto'"),
        ({"kind": "cap", "temperature": 0}, r"greater than 0"),
        ({"kind": "cap", "cap": {"inter_wait": 1}}, r"unknown parameter 'inter_wait'.*Did you mean"),
    ],
)
def test_bad_parameters_are_refused(given: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parameters_of(**given)


def losses_with(**changes: Any) -> dict[str, float]:
    """The losses of a fixed batch against 12 proxies: 3 clusters, each in 4 cameras."""
    generator = torch.Generator().manual_seed(0)
    chosen = CameraAwareParameters.model_validate(changes)
    unit = torch.nn.functional.normalize(torch.randn(12, 6, generator=generator), dim=1)
    cluster, camera = torch.arange(12) // 4, torch.arange(12) % 4
    memory = CameraProxyMemory(
        PrototypeMemory(unit, temperature=0.07),
        cluster,
        camera,
        hard_negatives=chosen.hard_negatives,
        camera_reduction=chosen.camera_reduction,
    )
    rows, proxies = torch.randn(8, 6, generator=generator), torch.arange(8)
    losses = camera_aware_losses(memory, rows, proxies, parameters=chosen, epoch=6)
    return {name: float(loss) for name, loss in losses.items()}


CAP, O2CAP = losses_with(kind="cap"), losses_with(kind="o2cap")


@pytest.mark.parametrize(
    ("kind", "weight", "name"),
    [
        ("cap", "intra_weight", "intra_camera"),
        ("cap", "inter_weight", "inter_camera"),
        ("o2cap", "offline_weight", "offline"),
        ("o2cap", "online_weight", "online"),
    ],
)
def test_a_weight_scales_its_loss_alone(kind: str, weight: str, name: str) -> None:
    usual, default = {"cap": CAP, "o2cap": O2CAP}[kind], getattr(CameraAwareParameters(), kind)
    doubled = losses_with(kind=kind, **{kind: {weight: 2 * getattr(default, weight)}})
    assert doubled == pytest.approx(usual | {name: 2 * usual[name]}, rel=1e-6)


def test_o2cap_with_a_loss_within_cameras() -> None:
    assert losses_with(kind="o2cap", o2cap={"intra_weight": 0.5}) == pytest.approx(
        O2CAP | {"intra_camera": CAP["intra_camera"] / 2}, rel=1e-6
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"hard_negatives": 2},
        {"o2cap": {"online_positives": 1}},
        {"o2cap": {"instance_share": 1.0}},
        {"o2cap": {"camera_penalty": 2.1}},
    ],
)
def test_every_switch_changes_something(changes: dict[str, Any]) -> None:
    assert abs(losses_with(kind="o2cap", **changes)["online"] - O2CAP["online"]) > 1e-3


@pytest.mark.parametrize("kind", ["cap", "o2cap"])
def test_the_sum_over_cameras_is_the_mean_times_their_number(kind: str) -> None:
    usual = {"cap": CAP, "o2cap": O2CAP}[kind]  # 8 rows, two of each of four cameras
    expected = {name: 4 * loss for name, loss in usual.items()}
    assert losses_with(kind=kind, camera_reduction="sum") == pytest.approx(expected, rel=1e-5)


def test_the_memory_of_an_epoch_reduces_as_the_parameters_say(data: TrainingData) -> None:
    for reduction in ("mean", "sum"):
        stage = stage_of(parameters := parameters_of(kind="o2cap", camera_reduction=reduction))
        next(iter(stage.epoch_batches(built(parameters), data, 1)))
        assert stage._memory.camera_reduction == reduction


def test_cap_with_the_own_proxy_has_the_loss_that_o2cap_calls_offline() -> None:
    with_own = losses_with(kind="cap", cap={"own_proxy": True})
    assert with_own == pytest.approx(CAP | {"inter_camera": O2CAP["offline"] / 2}, rel=1e-6)
    assert abs(with_own["inter_camera"] - CAP["inter_camera"]) > 1e-3


def test_a_weight_of_zero_leaves_a_loss_out() -> None:
    assert set(losses_with(kind="cap", cap={"inter_weight": 0})) == {"intra_camera"}
    assert set(losses_with(kind="o2cap", o2cap={"online_weight": 0})) == {"offline"}
