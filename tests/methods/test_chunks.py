"""A batch in chunks is the undivided batch: losses, weights and memories of every method, in any precision."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from open_clip.transformer import PatchDropout
from published import published
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef

from reid_pipeline.engine.loop import fit
from reid_pipeline.engine.runtime import Runtime
from reid_pipeline.engine.seeding import seed_global_state
from reid_pipeline.engine.stage import Batch, Stage, StepOutput, TrainingData
from reid_pipeline.methods import find_method
from reid_pipeline.models.backbone import build_image_encoder
from reid_pipeline.models.chunks import encoded_in_chunks
from reid_pipeline.schema.nested import merged
from reid_pipeline.schema.population import Population

pytestmark = pytest.mark.slow  # small models, trained many times
BATCH, CHUNK = 8, 3  # the last chunk has two images
STEPS = {"epochs": 1, "iterations_per_epoch": 3, "batch_size": BATCH, "warmup_epochs": 0}
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
    """Return weights and buffers, the losses of all steps, and the memory, after three steps of the last stage."""
    method = find_method(name)
    parameters = method.params.model_validate(
        merged(merged(published(name), SMALL), merged(OF_METHOD.get(name, {}), changes))
    )
    seed_global_state(0, "build")
    model = method.build(parameters, Population(identities=4, cameras=3))
    stage = Doubled(method.stages(parameters)[-1])
    (end,) = fit(stage, model.double() if stage.double else model, data)
    memory = getattr(stage.stage, "_memory", None)
    moving = end.state["scaler"], memory and memory.state_dict()
    return dict(model.state_dict()), stage.losses, moving


def assert_close(one: Any, other: Any, atol: float = 1e-5) -> None:
    torch.testing.assert_close(one, other, atol=atol, rtol=0.0)


@pytest.mark.parametrize(("name", "changes"), CASES)
def test_it_is_the_undivided_step(data, name, changes):
    weights, losses, moving = trained(name, changes, data)
    divided = trained(name, merged(changes, {"plan": {"chunk_size": CHUNK}}), data)
    assert len(losses) >= 3
    assert_close(divided[1], losses)
    assert_close(divided[0], weights)
    assert_close(divided[2], moving)


def test_in_bfloat16_it_differs_by_its_rounding(data):
    """bfloat16 has 8 binary digits: losses differ by 2 ** -7 of their size, weights by 2 ** -5 of their way."""
    half = replace(data, runtime=Runtime(torch.device("cpu"), "bfloat16"))
    start, _, _ = trained("pcl", {"plan": {"learning_rate": 1e-15}}, half)
    weights, losses, _ = trained("pcl", {}, half)
    divided, divided_losses, _ = trained("pcl", {"plan": {"chunk_size": CHUNK}}, half)
    torch.testing.assert_close(divided_losses, losses, atol=0.0, rtol=2**-7)
    encoder = [name for name in weights if name.startswith("encoder.visual.transformer") and "weight" in name]
    way, apart = (
        torch.cat([(found[name] - before[name]).flatten() for name in encoder]).norm()
        for found, before in ((weights, start), (divided, weights))
    )
    assert 0 < float(apart) < 2**-5 * float(way)


class Scaled(Runtime):
    """Runs in float32 with the real loss scaler of float16, which the CPU has, too."""

    def gradient_scaler(self) -> torch.amp.GradScaler:
        return torch.amp.GradScaler("cpu", init_scale=2.0**122, growth_interval=1000)


def test_the_scaler_skips_the_same_steps(data):
    """A scale with which some gradients overflow: those steps are skipped, by the memory, too."""
    scaled = replace(data, runtime=Scaled(torch.device("cpu")))
    weights, losses, moving = trained("pcl", {}, scaled)
    divided = trained("pcl", {"plan": {"chunk_size": CHUNK}}, scaled)
    assert moving[0]["scale"] in (2.0**121, 2.0**120), "one or two of the three steps were skipped"
    assert_close(divided[1], losses)
    assert_close(divided[0], weights)
    assert_close(divided[2], moving)


class TestTower:
    """One image tower, whose features a quadratic form of the whole batch reads."""

    IMAGES = torch.randn(7, 3, 48, 24, generator=torch.Generator().manual_seed(1))

    @staticmethod
    def tower(chunk_size: int | None) -> Any:
        encoder = build_image_encoder("demo-vit", pretrained="demo", image_size=(48, 24))
        encoder.chunk_size = chunk_size
        return encoder

    @staticmethod
    def backward(features: Any) -> None:
        joint = torch.cat(features, dim=1)
        torch.autograd.backward((joint @ joint.T).square().mean())

    def gradients(self, encoder: Any) -> dict[str, Tensor]:
        return {name: value.grad for name, value in encoder.named_parameters() if value.grad is not None}

    @pytest.mark.parametrize("size", [1, 3, 7, 99])
    def test_no_more_images_at_once_than_asked_for_and_each_twice(self, size):
        encoder, seen = self.tower(size), []
        encoder.visual.conv1.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
        features = encoder.encode_image(self.IMAGES)
        whole, rest = divmod(7, size)
        chunks = [size] * whole + [rest] * (rest > 0)
        assert seen == chunks
        self.backward(features)
        assert seen == chunks + chunks[::-1], "the last chunk is the first whose features are freed"

    def test_activations_of_one_chunk_alone_are_held(self):
        """What a block's MLP gives is wanted in the backward pass: of 7 images one by one, at most one is alive."""
        encoder, held, alive = self.tower(1), [], []

        def note(_: Any, __: Any, output: Tensor) -> None:
            alive.append(sum(not each.expired() for each in held))
            held.append(StorageWeakRef(output.untyped_storage()))

        encoder.visual.transformer.resblocks[0].mlp.c_fc.register_forward_hook(note)
        self.backward(encoder.encode_image(self.IMAGES))
        assert alive == [0] * 14
        encoder.chunk_size = None
        held.clear()
        alive.clear()
        parts = [encoder.encode_image(image) for image in self.IMAGES.split(1)]
        assert alive == list(range(7)), "without chunks all of them are"
        assert len(parts) == 7

    def test_without_gradients_there_are_no_chunks(self):
        encoder, seen = self.tower(3), []
        encoder.visual.conv1.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
        with torch.no_grad():
            encoder.encode_image(self.IMAGES)
        assert seen == [7]

    def test_dropout_is_repeated(self):
        """The gradients are those of an ordinary pass over the same chunks with the same random numbers."""
        encoder, plain = (self.tower(size) for size in (3, None))
        for each in (encoder, plain):
            each.visual.patch_dropout = PatchDropout(0.5)
        torch.manual_seed(5)
        self.backward(encoder.encode_image(self.IMAGES))
        after = torch.rand(1)
        torch.manual_seed(5)
        parts = [plain.encode_image(chunk) for chunk in self.IMAGES.split(3)]
        expected_after = torch.rand(1)
        self.backward([torch.cat(each) for each in zip(*parts, strict=True)])
        assert_close(self.gradients(encoder), self.gradients(plain), atol=1e-6)
        assert torch.equal(after, expected_after), "the second forward pass takes no random number of the training's"
        assert self.gradients(plain).keys() == {name for name, _ in plain.named_parameters()}

    def test_half_precision_does_not_add_up(self):
        """The gradients of 28 chunks are summed in single precision: they are as good as those of one pass."""

        def gradient(size: int | None, *, half: bool) -> Tensor:
            encoder = self.tower(size)
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
                self.backward([each.float() for each in encoder.encode_image(self.IMAGES.repeat(4, 1, 1, 1))])
            return torch.cat([value.flatten() for name, value in self.gradients(encoder).items() if "blocks" in name])

        single = gradient(None, half=False)
        error, divided = (float((gradient(size, half=True) - single).norm()) for size in (None, 1))
        assert 0 < divided < 1.2 * error

    def test_a_feature_that_stands_for_two_stays_one(self):
        def encode(images: Tensor, *_: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
            mean = images.mean((2, 3))
            return images.amax((2, 3)), mean, mean

        first, second, third = encoded_in_chunks(encode, (self.IMAGES, None, None), 3)
        assert second is third
        assert_close((first, second), encode(self.IMAGES)[:2])
