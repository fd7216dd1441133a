"""Rates by the width and the layers of an image tower, and what a tower is not fit for."""

import math
import re
from collections.abc import Iterator
from typing import Any

import pytest
import timm
import torch
from timm.models._manipulate import group_parameters
from torch import nn

from reid_pipeline.engine.loop import build_optimiser, fit, set_learning_rate, trainable_groups
from reid_pipeline.engine.stage import Batch, Stage, StepOutput
from reid_pipeline.engine.tower_plan import blocks_of, fitted_plan, layer_factors, layer_of, require_possible
from reid_pipeline.models.architecture import Architecture
from reid_pipeline.models.backbone import build_image_encoder
from reid_pipeline.models.image_encoder import ImageEncoder, TowerSettings
from reid_pipeline.models.reid_model import ReIDModel
from reid_pipeline.models.towers import build_tower
from reid_pipeline.schema.errors import UserError


@pytest.fixture(scope="module")
def model() -> ReIDModel:
    """The demo's CLIP with side information: six blocks, 192 wide."""
    return ReIDModel(build_image_encoder("demo-vit", image_size=(24, 12), num_cameras=2))


def untrained_tower(name: str) -> ImageEncoder:
    """An image tower whose parameters are on the meta device."""
    settings = TowerSettings((64, 64), None, 0, 0, (0.5,) * 3, (0.5,) * 3)
    return build_tower(Architecture(name), settings)


class WithTower(nn.Module):
    """Any image tower as that of a model."""

    def __init__(self, encoder: Any, visual: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        encoder.visual = visual


@pytest.fixture
def around():
    """A model around an image tower of another make."""

    def make(visual: nn.Module, width: int = 192) -> nn.Module:
        encoder = build_image_encoder("demo-vit", image_size=(24, 12))
        encoder.penultimate_width = encoder.width = width
        return WithTower(encoder, visual)

    return make


class ResNet(nn.Module):
    """The order of modules in CLIP's ModifiedResNet."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.layer1, self.layer2 = (nn.Sequential(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4)) for _ in range(2))
        self.attnpool = nn.Linear(4, 4)


def timm_vit(**options: Any) -> nn.Module:
    return timm.models.VisionTransformer(
        img_size=16, patch_size=8, embed_dim=12, depth=3, num_heads=2, num_classes=5, **options
    )


class TestLayers:
    def test_of_open_clips_vit(self, model):
        layers = layer_of(model.encoder.visual)
        for name, layer in layers.items():
            number = re.match(r"transformer\.resblocks\.(\d+)\.", name)
            wanted = int(number[1]) + 1 if number else 7 if name.startswith(("ln_post", "proj")) else 0
            assert layer == wanted, name
        assert sorted(set(layers.values())) == list(range(8))

    @pytest.mark.parametrize("options", [{}, {"global_pool": "map", "class_token": False}, {"global_pool": "avg"}])
    def test_of_timms_vit_they_are_timms(self, options):
        """But for the last norm, which timm counts to the last block."""
        tower = timm_vit(**options)
        wanted = group_parameters(tower, tower.group_matcher(coarse=False), reverse=True)
        found = layer_of(tower)
        last = max(found.values())
        assert last == 4
        for name, layer in found.items():
            assert layer == (last if name.split(".")[0] in ("norm", "fc_norm", "attn_pool", "head") else wanted[name])

    def test_of_what_open_clip_wraps(self):
        """`trunk` is timm's network, `head` what open_clip adds."""
        tower = nn.Module()
        tower.trunk, tower.head = timm_vit(), nn.Sequential()
        tower.head.proj = nn.Linear(5, 4)
        layers = layer_of(tower)
        assert {layers["trunk.patch_embed.proj.weight"], layers["trunk.cls_token"]} == {0}
        assert {layers["trunk.norm.weight"], layers["head.proj.weight"]} == {4}
        assert [layers[f"trunk.blocks.{block}.attn.proj.weight"] for block in range(3)] == [1, 2, 3]

    def test_of_convolutional_towers_they_are_the_stages(self):
        tower = timm.models.ConvNeXt(depths=(1, 1, 2, 1), dims=(2, 4, 8, 16), num_classes=3)
        layers = layer_of(tower)
        assert {name.split(".")[0]: layer for name, layer in layers.items() if "stages" not in name} == {
            "stem": 0,
            "head": 5,
        }
        assert all(layer == int(name.split(".")[1]) + 1 for name, layer in layers.items() if "stages" in name)
        resnet = layer_of(ResNet())
        assert {name.split(".")[0]: layer for name, layer in resnet.items()} == {
            "conv1": 0, "bn1": 0, "layer1": 1, "layer2": 2, "attnpool": 3,
        }  # fmt: skip

    def test_a_tower_without_a_list_has_one_layer(self):
        assert blocks_of(nn.Linear(2, 2)) == []
        assert layer_of(nn.Linear(2, 2)) == {"weight": 0, "bias": 0}


class TestGroups:
    def test_by_hand(self, around, make_plan):
        """Three blocks, decay 0.5, biases at twice the rate: 1/16, 1/8, 1/4, 1/2 and 1 of it."""
        tower = nn.Module()
        tower.stem = nn.Linear(1, 1)
        tower.blocks = nn.Sequential(*(nn.Linear(2, 2) for _ in range(3)))
        tower.norm = nn.LayerNorm(2)
        model = around(tower)
        model.classifier = nn.Linear(2, 3)
        plan = make_plan(layer_decay=0.5, bias_rate_multiplier=2.0, bias_weight_decay=0.0, weight_decay=0.01)
        groups = build_optimiser(trainable_groups(model, plan), plan).param_groups
        rates = {
            name: (group["rate_multiplier"], group["weight_decay"])
            for group in groups
            for name, value in model.named_parameters()
            if any(value is each for each in group["params"])
        }
        by_hand = {"stem": 1 / 16, "blocks.0": 1 / 8, "blocks.1": 1 / 4, "blocks.2": 1 / 2, "norm": 1.0}
        wanted = {f"encoder.visual.{name}.weight": (rate, 0.01) for name, rate in by_hand.items()}
        wanted |= {f"encoder.visual.{name}.bias": (2 * rate, 0.0) for name, rate in by_hand.items()}
        wanted |= {"classifier.weight": (1.0, 0.01), "classifier.bias": (2.0, 0.0)}
        assert rates == wanted
        assert len(groups) == 10

    def test_side_information_and_necks_learn_at_the_full_rate(self, model, make_plan):
        factors = layer_factors(model, make_plan(layer_decay=0.7))
        assert not [name for name in factors if not name.startswith("encoder.visual.")]
        assert factors["encoder.visual.conv1.weight"] == pytest.approx(0.7**7)
        assert factors["encoder.visual.transformer.resblocks.5.ln_1.bias"] == pytest.approx(0.7)
        assert factors["encoder.visual.proj"] == 1.0

    def test_rates_follow_the_schedule(self, model, make_plan):
        plan = make_plan(layer_decay=0.5, warmup_epochs=0, milestones=(1,))
        optimiser = build_optimiser(trainable_groups(model, plan), plan)
        for epoch, rate in ((1, 0.05), (2, 0.005)):
            assert set_learning_rate(optimiser, plan, epoch) == pytest.approx(rate)
            rates = [group["lr"] for group in optimiser.param_groups]
            assert rates == pytest.approx([rate * 0.5**power for power in range(7, -1, -1)])

    def test_frozen_parameters_are_in_no_group(self, make_plan):
        model = ReIDModel(build_image_encoder("demo-vit", image_size=(24, 12)))
        model.encoder.freeze_patch_projection()
        moving = [value for group in trainable_groups(model, make_plan(layer_decay=0.5)) for value in group["params"]]
        assert {id(value) for value in moving} == {id(value) for value in model.parameters() if value.requires_grad}
        assert len(moving) == len(set(map(id, moving)))

    @pytest.mark.parametrize("options", [{}, {"bias_rate_multiplier": 2.0}])
    def test_without_decay_they_are_what_they_were(self, model, make_plan, options):
        """States of killed runs have these groups, in this order."""
        groups = trainable_groups(model, make_plan(**options))
        names = {id(value): name for name, value in model.named_parameters() if value.requires_grad}
        found = [[names[id(value)] for value in group["params"]] for group in groups]
        biases = [name for name in names.values() if "bias" in name.rpartition(".")[2]]
        others = [name for name in names.values() if name not in biases]
        assert found == ([others, biases] if options else [list(names.values())])


class Towards(Stage):
    """Features of random images towards zero."""

    name = "towards"

    def epoch_batches(self, model: Any, data: Any, epoch: int) -> Iterator[Batch]:
        del model, data
        for step in range(2):
            generator = torch.Generator().manual_seed(10 * epoch + step)
            yield Batch(torch.randn(4, 3, 24, 12, generator=generator), torch.arange(4), None)

    def step(self, model: Any, batch: Batch) -> StepOutput:
        return StepOutput({"near": model.embed(batch.images, torch.zeros(4, dtype=torch.long)).square().mean()})


def fresh() -> ReIDModel:
    torch.manual_seed(0)
    return ReIDModel(build_image_encoder("demo-vit", image_size=(24, 12), num_cameras=1))


def test_a_killed_run_goes_on_with_its_groups(make_plan, make_data):
    plan = make_plan(epochs=2, layer_decay=0.7, bias_rate_multiplier=2.0, chunk_size=3)
    whole, broken = fresh(), fresh()
    *_, end = fit(Towards(plan), whole, make_data())
    state = next(fit(Towards(plan), broken, make_data())).state
    other = fresh()
    *_, resumed = fit(Towards(plan), other, make_data(), resume=state)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name
    assert end.state["optimiser"]["param_groups"] == resumed.state["optimiser"]["param_groups"]
    assert len(end.state["optimiser"]["param_groups"]) == 2 * 8


class TestWidth:
    @pytest.mark.parametrize(("width", "factor"), [(768, 1.0), (1024, 0.75), (192, 4.0)])
    def test_rates_are_those_of_b16_times_768_by_width(self, around, make_plan, width, factor):
        plan = make_plan(rate_by_width=True, schedule="cosine", milestones=(), warmup_learning_rate=0.01)
        fitted = fitted_plan(plan, around(timm_vit(), width))
        assert fitted.learning_rate == pytest.approx(0.05 * factor)
        assert fitted.warmup_learning_rate == pytest.approx(0.01 * factor)
        assert fitted.final_learning_rate == pytest.approx(1e-6 * factor)
        assert fitted.weight_decay == plan.weight_decay

    def test_without_it_the_plan_is_as_given(self, around, make_plan):
        plan = make_plan()
        assert fitted_plan(plan, around(timm_vit(), 1024)) is plan

    def test_the_history_has_the_rate_that_was_learnt_at(self, make_plan, make_data):
        plan = make_plan(epochs=1, rate_by_width=True, warmup_epochs=0, milestones=())
        (end,) = fit(Towards(plan), fresh(), make_data())
        assert end.history[0]["learning_rate"] == pytest.approx(0.05 * 768 / 192)
        assert math.isfinite(end.history[0]["loss"])


class TestRefusals:
    def test_batch_norms_in_the_tower(self, around, make_plan):
        model = around(ResNet())
        says = (
            "plan.chunk_size is 16, and the image tower of 'demo-vit' has 3 batch norms (visual.bn1, visual.layer1.1"
            " and 1 more), whose statistics are those of the whole batch: by chunks it would be another training. Set"
            " plan.chunk_size to null, or backbone.name to a ViT"
        )
        with pytest.raises(UserError, match=re.escape(says)):
            require_possible(make_plan(chunk_size=16), model)
        require_possible(make_plan(layer_decay=0.7), model)

    def test_necks_are_outside_of_it(self, model, make_plan):
        require_possible(make_plan(chunk_size=16), model)

    @pytest.mark.parametrize("name", ["RN50-quickgelu", "MobileCLIP2-S0"])
    def test_rates_by_width_of_towers_that_widen(self, name, make_plan):
        model = ReIDModel(untrained_tower(name))
        says = (
            f"plan.rate_by_width scales the rate of ViT-B/16 by 768 / width, and the image tower of {name!r} has a"
            " width for every stage. Set plan.rate_by_width to false, and plan.learning_rate to a rate of its own;"
            " overlay=rn50 has the published one of RN50."
        )
        with pytest.raises(UserError, match=re.escape(says)):
            require_possible(make_plan(rate_by_width=True), model)

    def test_blocks_of_one_width_and_a_pool_of_another(self, make_plan):
        encoder = untrained_tower("coca_ViT-B-32")
        assert (encoder.penultimate_width, encoder.width) == (768, 512)
        plan = make_plan(rate_by_width=True)
        require_possible(plan, ReIDModel(encoder))
        assert fitted_plan(plan, ReIDModel(encoder)) == plan

    def test_models_without_an_image_tower(self, make_plan, make_model):
        says = "The model has no image tower, which plan.chunk_size and plan.layer_decay is of. Leave it out."
        with pytest.raises(UserError, match=re.escape(says)):
            require_possible(make_plan(chunk_size=4, layer_decay=0.7), make_model())
        require_possible(make_plan(), make_model())

    def test_training_refuses_before_it_begins(self, toy_stage, make_plan, make_model, make_data):
        stage = toy_stage(make_plan(chunk_size=2))
        with pytest.raises(UserError, match="no image tower"):
            next(fit(stage, make_model(), make_data()))
        assert stage.asked == []
