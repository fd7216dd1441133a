"""What the supervised methods compute, and what of them stands still."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from published import published
from torch.nn.functional import cross_entropy, normalize

from reid_pipeline.engine.loop import fit
from reid_pipeline.engine.seeding import seed_global_state
from reid_pipeline.engine.stage import TrainingData
from reid_pipeline.images.decode import TargetSize, read_image
from reid_pipeline.images.reid_images import ReIDImages
from reid_pipeline.methods import find_method
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.nested import merged
from reid_pipeline.schema.population import Population

pytestmark = pytest.mark.slow  # many that take a moment each

ROOT = Path(__file__).parents[2]
BACKBONE = {"name": "demo-vit", "pretrained": "demo", "image_size": [48, 24]}
PLAN = {"epochs": 1, "iterations_per_epoch": 2, "batch_size": 8, "instances": 2, "learning_rate": 1e-3}
PLAN |= {"warmup_epochs": 0, "milestones": []}
PROMPTS = {"plan": {"epochs": 2, "batch_size": 8, "warmup_epochs": 0, "warmup_learning_rate": None}}
POPULATION = Population(identities=4, cameras=3)


def parameters_of(name: str, **changes: Any) -> Any:
    base = published(name)
    small: dict[str, Any] = {"backbone": BACKBONE, "plan": PLAN}
    if name == "clip_reid":
        small["prompts"] = PROMPTS
    return find_method(name).params.model_validate(merged(merged(base, small), changes))


def built(name: str, parameters: Any) -> Any:
    seed_global_state(0, "build")
    return find_method(name).build(parameters, POPULATION)


def weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def changed(before: dict[str, torch.Tensor], model: torch.nn.Module) -> set[str]:
    return {name for name, value in model.state_dict().items() if not torch.equal(before[name], value)}


def only_batch(stage: Any, model: Any, data: TrainingData) -> Any:
    stage.begin(model, data)
    return next(iter(stage.epoch_batches(model, data, 1)))


def slow_triplet(features: torch.Tensor, labels: torch.Tensor, margin: float) -> torch.Tensor:
    terms = []
    for anchor, label in zip(features, labels, strict=True):
        distances = [(anchor - other).norm() for other in features]
        positive = max(d for d, other in zip(distances, labels, strict=True) if other == label)
        negative = min(d for d, other in zip(distances, labels, strict=True) if other != label)
        terms.append(torch.clamp(positive - negative + margin, min=0))
    return torch.stack(terms).mean()


def slow_fine_tuning(model: Any, batch: Any, identity_weight: float) -> dict[str, float]:
    features = model.encoder.encode_image(batch.images, batch.camids)
    necked = model.final_neck(features.final), model.projected_neck(features.projected)
    logits = [head(each) for head, each in zip(model.classifiers, necked, strict=True)]
    identity = sum(cross_entropy(each, batch.labels, label_smoothing=0.1) for each in logits)
    triplet = sum(slow_triplet(each, batch.labels, 0.3) for each in features)
    return {"identity": float(identity_weight * identity), "triplet": float(triplet)}


def said(output: Any) -> dict[str, float]:
    return {name: float(value.detach()) for name, value in output.losses.items()}


class TestBaseline:
    def test_the_losses_by_hand(self, data):
        parameters = parameters_of("baseline")
        model = built("baseline", parameters)
        (stage,) = find_method("baseline").stages(parameters)
        batch = only_batch(stage, model, data)
        found = said(stage.step(model, batch))
        assert found == pytest.approx(slow_fine_tuning(model, batch, 1.0), rel=1e-4)

    def test_retrieval_reads_before_the_necks(self):
        model = built("baseline", parameters_of("baseline")).eval()
        batch = torch.rand(3, 3, 48, 24)
        features = model.encoder.encode_image(batch)
        wanted = normalize(torch.cat([features.final, features.projected], dim=1), dim=1)
        assert torch.allclose(model.embedder()(batch), wanted, atol=1e-6)

    def test_side_information_is_learnt_per_camera(self, data):
        parameters = parameters_of("baseline", backbone={"sie": "camera"})
        model = built("baseline", parameters)
        assert model.encoder.num_cameras == 3
        before = weights(model)
        (stage,) = find_method("baseline").stages(parameters)
        list(fit(stage, model, data))
        assert "encoder.side_embedding" in changed(before, model)

    def test_side_information_without_cameras_is_refused(self):
        parameters = parameters_of("baseline", backbone={"sie": "both"})
        with pytest.raises(UserError, match=r"sie is 'both', and the training images have no views\. Set"):
            built("baseline", parameters)

    def test_nobody_to_learn_from(self):
        with pytest.raises(UserError, match=r"No training image has an identity.*unsupervised_pcl"):
            find_method("baseline").build(parameters_of("baseline"), Population(0))


class TestPCL:
    def test_the_losses_by_hand(self, data):
        parameters = parameters_of("pcl")
        model = built("pcl", parameters)
        (stage,) = find_method("pcl").stages(parameters)
        batch = only_batch(stage, model, data)
        embedder = model.embedder()
        images = data.images.batch(range(len(data.labels))).float() / 255
        unit = embedder((images - 0.5) / 0.5)
        means = torch.stack([unit[data.labels == label].mean(0) for label in range(4)])
        prototypes = normalize(means, dim=1)
        model.train()
        output = stage.step(model, batch)
        features = model.encoder.encode_image(batch.images, batch.camids)
        joint = torch.cat([model.final_neck(features.final), model.projected_neck(features.projected)], dim=1)
        contrast = cross_entropy(normalize(joint, dim=1) @ prototypes.T / 0.05, batch.labels)
        identity = cross_entropy(model.classifiers[0](joint), batch.labels, label_smoothing=0.1)
        wanted = {"pcl": float(contrast), "identity": 0.25 * float(identity)}
        assert said(output) == pytest.approx(wanted, rel=1e-4)

    def test_the_patch_projection_stands_still_and_the_rest_moves(self, data):
        parameters = parameters_of("pcl")
        model = built("pcl", parameters)
        before = weights(model)
        (stage,) = find_method("pcl").stages(parameters)
        list(fit(stage, model, data))
        moved = changed(before, model)
        assert "encoder.visual.conv1.weight" not in moved
        assert {"classifiers.0.weight", "encoder.visual.proj", "final_neck.norm.weight"} <= moved
        assert "final_neck.norm.bias" not in moved


class TestCLIPReID:
    def test_first_stage_moves_the_prompts_alone(self, data):
        parameters = parameters_of("clip_reid")
        model = built("clip_reid", parameters)
        before = weights(model)
        stage, _ = find_method("clip_reid").stages(parameters)
        *_, last = fit(stage, model, data)
        assert changed(before, model) == {"prompts.learnt"}
        assert set(last.history[-1]["losses"]) == {"image_to_text", "text_to_image"}

    def test_second_stage_moves_the_image_side_alone(self, data):
        parameters = parameters_of("clip_reid")
        model = built("clip_reid", parameters)
        before = weights(model)
        _, stage = find_method("clip_reid").stages(parameters)
        list(fit(stage, model, data))
        moved = changed(before, model)
        assert not {name for name in moved if name.startswith(("text_encoder.", "prompts."))}
        assert {"encoder.visual.proj", "encoder.visual.conv1.weight", "classifiers.1.weight"} <= moved

    def test_first_stage_losses_by_hand(self, data):
        parameters = parameters_of("clip_reid")
        model = built("clip_reid", parameters)
        stage, _ = find_method("clip_reid").stages(parameters)
        batch = only_batch(stage, model, data)
        texts = model.encode_text(batch.labels)
        logits = batch.images @ texts.T
        same = batch.labels[:, None] == batch.labels[None]

        def one_way(scores):
            rows = [-torch.log_softmax(row, dim=0)[mask].mean() for row, mask in zip(scores, same, strict=True)]
            return float(torch.stack(rows).mean())

        found = said(stage.step(model, batch))
        wanted = {"image_to_text": one_way(logits), "text_to_image": one_way(logits.T)}
        assert found == pytest.approx(wanted, rel=1e-4)

    def test_first_stage_reads_plain_features_without_side_information(self, data):
        parameters = parameters_of("clip_reid", backbone={"sie": "camera"})
        model = built("clip_reid", parameters)
        stage, _ = find_method("clip_reid").stages(parameters)
        stage.begin(model, data)
        plain = built("clip_reid", parameters_of("clip_reid"))
        images = (data.images.batch(range(len(data.labels))).float() / 255 - 0.5) / 0.5
        wanted = plain.encoder.eval().encode_image(images).projected
        assert torch.allclose(stage._images_NE, wanted, atol=1e-5)
        assert model.encoder.sie_coefficient == 1.0

    def test_second_stage_losses_by_hand(self, data):
        parameters = parameters_of("clip_reid")
        model = built("clip_reid", parameters)
        _, stage = find_method("clip_reid").stages(parameters)
        batch = only_batch(stage, model, data)
        found = said(stage.step(model, batch))
        texts = model.encode_text(torch.arange(4))
        features = model.encoder.encode_image(batch.images, batch.camids)
        term = cross_entropy(features.projected @ texts.T, batch.labels, label_smoothing=0.1)
        wanted = slow_fine_tuning(model, batch, 0.25) | {"image_to_text": float(term)}
        assert found == pytest.approx(wanted, rel=1e-4)

    def test_the_prompt_names_what_the_benchmark_is_of(self):
        assert built("clip_reid", parameters_of("clip_reid")).prompts.text == "A photo of a X X X X person."
        own = built("clip_reid", parameters_of("clip_reid", prompts={"noun": "fox"}))
        assert own.prompts.text == "A photo of a X X X X fox."


class TestRecipes:
    @pytest.mark.parametrize(
        ("name", "path", "released", "corrected"),
        [
            ("baseline", "plan.step_at", "start", "end"),
            ("baseline", "backbone.evaluation_resize", "bilinear", "bicubic"),
            ("baseline", "backbone.sie_tokens", "class", "all"),
            ("clip_reid", "backbone.evaluation_resize", "bilinear", "bicubic"),
            ("clip_reid", "backbone.sie_tokens", "class", "all"),
            ("clip_reid", "backbone.resize", "bicubic", "bicubic"),
            ("clip_reid", "prompts.sie", False, False),
            ("pcl", "backbone.evaluation_resize", "bicubic", "bicubic"),
            ("clip_reid", "plan.step_at", "start", "end"),
            ("clip_reid", "prompts.plan.step_at", "start", "end"),
            ("clip_reid", "prompts.normalise", False, True),
            ("pcl", "augmentation.erasing_fill", "half", "mean"),
            ("pcl", "memory.update", "hard", "mean"),
        ],
    )
    def test_each_difference_is_a_named_parameter(self, name, path, released, corrected):
        def value(**changes):
            found = parameters_of(name, **changes).model_dump()
            for key in path.split("."):
                found = found[key]
            return found

        assert value() == released
        assert value(recipe="corrected") == corrected

    @pytest.mark.parametrize("sie", [False, True])
    def test_the_first_stage_takes_images_resized_as_the_tests_with_or_without_cameras(self, data, sie):
        resized = replace(
            data, evaluation_images=ReIDImages(data.images.root, data.images.paths, TargetSize(48, 24, "bilinear"))
        )
        parameters = parameters_of("clip_reid", backbone={"sie": "camera"}, prompts={"sie": sie})
        model = built("clip_reid", parameters)
        stage, _ = find_method("clip_reid").stages(parameters)
        stage.begin(model, resized)
        bilinear = TargetSize(48, 24, "bilinear")
        read = [read_image(data.images.root / path, bilinear) for path in data.images.paths]
        pixels = torch.from_numpy(np.stack(read)).permute(0, 3, 1, 2)
        with torch.no_grad():
            model.eval().encoder.sie_coefficient = float(sie)
            wanted = model.encoder(pixels / 255 * 2 - 1, torch.from_numpy(data.camids)).projected
        torch.testing.assert_close(stage._images_NE, wanted, atol=1e-5, rtol=1e-4)

    def test_what_is_given_stands(self):
        given = parameters_of("baseline", recipe="corrected", plan={"step_at": "start"})
        assert given.plan.step_at == "start"

    def test_an_unknown_recipe(self):
        with pytest.raises(ValueError, match="recipe"):
            parameters_of("pcl", recipe="improved")


class TestSideInformationElsewhere:
    def test_unsupervised_training_learns_it_too(self, data):
        small = {"clustering": {"k1": 6, "k2": 2, "eps": 0.8, "min_samples": 2}}
        parameters = parameters_of("unsupervised_pcl", backbone={"sie": "both"}, **small)
        views = np.arange(len(data.labels)) % 2
        model = find_method("unsupervised_pcl").build(parameters, Population(4, cameras=3, views=2))
        before = weights(model)
        (stage,) = find_method("unsupervised_pcl").stages(parameters)
        list(fit(stage, model, replace(data, viewids=views)))
        moved = model.encoder.side_embedding - before["encoder.side_embedding"]
        assert (moved.abs().sum(1) > 0).sum() > 3  # rows of several pairs of camera and viewpoint

    def test_zero_shot_cannot_have_learnt_it(self):
        with pytest.raises(ValueError, match=r"sie 'camera' is learnt, and zero_shot learns nothing"):
            find_method("zero_shot").params.model_validate({"backbone": {"name": "demo-vit", "sie": "camera"}})
