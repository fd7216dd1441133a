"""What self-supervision adds to CLIP-ReID's two stages, and that nothing is left of it at weight 0."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from published import published
from torch import Tensor

from reid_pipeline.engine.loop import fit
from reid_pipeline.engine.seeding import seed_global_state
from reid_pipeline.engine.stage import TrainingData
from reid_pipeline.losses.host_labels import labels_on_host
from reid_pipeline.methods import find_method
from reid_pipeline.methods._prompted import without_side_information
from reid_pipeline.methods.svll_reid import PromptAugmentationParameters, augmented_prompts
from reid_pipeline.schema.nested import merged
from reid_pipeline.schema.population import Population

pytestmark = pytest.mark.slow  # small models, trained many times
ROOT = Path(__file__).parents[2]
IDENTITIES, CAMERAS = 4, 3
POPULATION = Population(identities=IDENTITIES, cameras=CAMERAS)
# One step an epoch, so that the history has the losses of every step.
STEPS = {"epochs": 3, "iterations_per_epoch": 1, "batch_size": 8, "warmup_epochs": 0}
SMALL: dict[str, Any] = {
    "backbone": {"name": "demo-vit", "pretrained": "demo", "image_size": [48, 24], "patch_stride": None},
    "plan": STEPS | {"instances": 2, "learning_rate": 1e-3, "milestones": []},
    "prompts": {"plan": STEPS | {"warmup_learning_rate": None}},
}
HEAD = {"hidden_width": 32, "output_width": 16}


def parameters_of(name: str = "svll_reid", **changes: Any) -> Any:
    """Small parameters as released, but with a text head that learns."""
    base = published(name) | {"recipe": "released"}
    small = SMALL | ({"projection_head": HEAD, "train_projection_head": True} if name == "svll_reid" else {})
    changes = merged({"backbone": {"sie": "camera"}}, changes)
    return find_method(name).params.model_validate(merged(merged(base, small), changes))


def built(parameters: Any, name: str = "svll_reid", population: Population = POPULATION) -> Any:
    seed_global_state(0, "build")
    return find_method(name).build(parameters, population)


def stages_of(parameters: Any, name: str = "svll_reid") -> Any:
    return find_method(name).stages(parameters)


def only_batch(stage: Any, model: Any, data: TrainingData) -> Any:
    stage.begin(model, data)
    return next(iter(stage.epoch_batches(model, data, 1)))


def weights(model: torch.nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def changed(before: dict[str, Tensor], model: torch.nn.Module) -> set[str]:
    return {name for name, value in model.state_dict().items() if not torch.equal(before[name], value)}


def losses_of(stage: Any, model: Any, data: TrainingData) -> list[dict[str, float]]:
    """The losses of every step, by name."""
    *_, last = fit(stage, model, data)
    return [dict(record["losses"]) for record in last.history]


def said(output: Any) -> dict[str, float]:
    return {name: float(value.detach()) for name, value in output.losses.items()}


def slow_nt_xent(first: Tensor, second: Tensor, temperature: float = 0.1) -> float:
    rows = [row / row.norm() for row in (*first.detach().double(), *second.detach().double())]
    terms = []
    for place, row in enumerate(rows):
        twin = (place + len(first)) % len(rows)
        others = [math.exp(row @ other / temperature) for k, other in enumerate(rows) if k != place]
        terms.append(-math.log(math.exp(row @ rows[twin] / temperature) / sum(others)))
    return sum(terms) / len(terms)


def slow_simsiam(head: Any, first: Tensor, second: Tensor) -> float:
    def cosine(left: Tensor, right: Tensor) -> float:
        pairs = zip(left, right, strict=True)
        return float(torch.stack([a @ b / a.norm() / b.norm() for a, b in pairs]).mean())

    with torch.no_grad():
        return -0.5 * (cosine(head(first), second) + cosine(head(second), first))


def copies_by_hand(model: Any, batch: Any) -> list[Tensor]:
    """The texts of the batch's identities, half of the numbers that go in set to zero, twice."""
    texts = []
    for seed in batch.copies:
        embedded = model.prompts(torch.tensor(sorted(set(batch.labels.tolist()))))
        zeroed = torch.rand(embedded.shape, generator=torch.Generator().manual_seed(seed)) < 0.5
        texts.append(model.text_encoder.encode(torch.where(zeroed, 0.0, embedded), model.prompts.position))
    return texts


class TestWithoutWeight:
    """Weight 0 gives clip_reid: the same losses step by step, and the same weights at the end."""

    @pytest.mark.parametrize("recipe", ["released", "corrected"])
    @pytest.mark.parametrize(
        ("place", "changes"), [(0, {"language_weight": 0}), (1, {"vision_weight": 0})], ids=["language", "vision"]
    )
    def test_either_stage_alone(self, data, place, changes, recipe):
        plain_parameters = parameters_of("clip_reid", recipe=recipe)
        plain = built(plain_parameters, "clip_reid")
        wanted = losses_of(stages_of(plain_parameters, "clip_reid")[place], plain, data)
        parameters = parameters_of(recipe=recipe, **changes)
        model = built(parameters)
        assert losses_of(stages_of(parameters)[place], model, data) == wanted
        assert not changed(weights(plain), _subset(model, plain))

    def test_both_stages(self, data):
        plain_parameters = parameters_of("clip_reid")
        plain = built(plain_parameters, "clip_reid")
        parameters = parameters_of(language_weight=0, vision_weight=0)
        model = built(parameters)
        before = weights(model)
        pairs = zip(stages_of(plain_parameters, "clip_reid"), stages_of(parameters), strict=True)
        for plain_stage, stage in pairs:
            assert losses_of(stage, model, data) == losses_of(plain_stage, plain, data)
        assert not changed(weights(plain), _subset(model, plain))
        assert not {name for name in changed(before, model) if "_head" in name}, "the heads are idle"

    @pytest.mark.parametrize("place", [0, 1])
    def test_self_supervision_moves_no_other_draw(self, data, place):
        """The first step, before any weight has moved, has clip_reid's losses and one more."""
        plain_parameters = parameters_of("clip_reid")
        plain = built(plain_parameters, "clip_reid")
        wanted = losses_of(stages_of(plain_parameters, "clip_reid")[place], plain, data)
        parameters = parameters_of()
        found = losses_of(stages_of(parameters)[place], built(parameters), data)
        assert found[0].pop("self_supervision") > 0
        assert found[0] == wanted[0]
        assert found[1] != wanted[1], "what is learnt from it shows in the second step"

    @pytest.mark.slow
    def test_what_is_built_is_clip_reids_model_and_two_heads(self):
        plain = built(parameters_of("clip_reid"), "clip_reid")
        for changes in ({}, {"self_supervision": "simsiam"}, {"vision_weight": 0}):
            model = built(parameters_of(**changes))
            assert not changed(weights(plain), _subset(model, plain))
            more = set(model.state_dict()) - set(plain.state_dict())
            assert {name.split(".")[0] for name in more} == {"text_head", "image_head"}

    def test_a_stored_first_stage_fits_another_second_stage(self):
        """What the first stage does not read may change, and loads all the same."""
        stage, _ = stages_of(parameters_of())
        later = {"vision_weight": 0, "views_with_sie": True, "vision_augmentation": {"flip": 0}}
        assert not set(later) & set(stage.reads)
        built(parameters_of(**later)).load_state_dict(built(parameters_of()).state_dict())
        decides = set(parameters_of().model_dump()) - set(later) - set(stage.reads)
        second = {"recipe", "augmentation", "plan", "margin", "label_smoothing"}
        second |= {"identity_weight", "triplet_weight", "image_to_text_weight"}
        assert decides == second, "every other parameter is clip_reid's, and of the second stage"


def _subset(model: torch.nn.Module, plain: torch.nn.Module) -> torch.nn.ModuleDict:
    """The part of a model that `plain` has too, as something with a state."""
    state = model.state_dict()

    class Part(torch.nn.ModuleDict):
        def state_dict(self) -> dict[str, Tensor]:  # type: ignore[override]
            return {name: state[name] for name in plain.state_dict()}

    return Part()


class TestLanguage:
    def test_the_loss_by_hand(self, data):
        parameters = parameters_of(language_weight=0.8)
        model = built(parameters).train()
        stage, _ = stages_of(parameters)
        batch = only_batch(stage, model, data)
        assert len(set(batch.labels.tolist())) < len(batch.labels), "identities repeat in this batch"
        first, second = (model.text_head(texts) for texts in copies_by_hand(model, batch))
        found = said(stage.step(model, batch))
        assert found["self_supervision"] == pytest.approx(0.8 * slow_nt_xent(first, second), rel=1e-4)

    def test_temperature_and_weight_count(self, data):
        parameters = parameters_of(language_weight=2.0, self_supervision_temperature=0.5)
        model = built(parameters).train()
        stage, _ = stages_of(parameters)
        batch = only_batch(stage, model, data)
        first, second = (model.text_head(texts) for texts in copies_by_hand(model, batch))
        found = said(stage.step(model, batch))
        assert found["self_supervision"] == pytest.approx(2 * slow_nt_xent(first, second, 0.5), rel=1e-4)

    def test_simsiam_by_hand(self, data):
        parameters = parameters_of(self_supervision="simsiam")
        model = built(parameters).train()
        stage, _ = stages_of(parameters)
        batch = only_batch(stage, model, data)
        wanted = 0.8 * slow_simsiam(model.text_head, *copies_by_hand(model, batch))
        assert said(stage.step(model, batch))["self_supervision"] == pytest.approx(wanted, rel=1e-4)

    def test_the_host_knows_the_labels_of_a_batch_on_a_device(self, data):
        stage, _ = stages_of(parameters_of())
        model = built(parameters_of())
        stage.begin(model, data)
        wanted = [batch.labels for batch in stage.epoch_batches(model, data, 1)]
        stage._images_NE = stage._images_NE.to("meta")  # whose labels nothing could read
        batches = list(stage.epoch_batches(model, data, 1))
        assert all(batch.labels.is_meta for batch in batches)
        assert [labels_on_host(batch.labels).tolist() for batch in batches] == [each.tolist() for each in wanted]

    def test_what_is_drawn_depends_on_the_position_alone(self, data):
        stage, _ = stages_of(parameters_of())
        stage.plan = stage.plan.model_copy(update={"iterations_per_epoch": 2})
        model = built(parameters_of())
        stage.begin(model, data)
        drawn = [[batch.copies for batch in stage.epoch_batches(model, data, epoch)] for epoch in (1, 2)]
        again = [batch.copies for batch in stage.epoch_batches(model, data, 2)]
        assert again == drawn[1]
        seeds = [seed for epoch in drawn for copies in epoch for seed in copies]
        assert len(seeds) == len(set(seeds)) == 2 * 2 * 2

    def test_a_step_can_be_repeated(self, data):
        parameters = parameters_of()
        model = built(parameters).train()
        stage, _ = stages_of(parameters)
        batch = only_batch(stage, model, data)
        assert said(stage.step(model, batch)) == said(stage.step(model, batch))

    def test_a_single_identity_has_nobody_to_differ_from(self, data):
        alone = TrainingData(data.images, np.zeros_like(data.labels), data.camids, data.runtime, 0)
        for kind in ("nt_xent", "simsiam"):
            parameters = parameters_of(self_supervision=kind, train_projection_head=True)
            model = built(parameters, population=Population(1, cameras=CAMERAS))
            stage, _ = stages_of(parameters)
            before = weights(model)
            assert {step["self_supervision"] for step in losses_of(stage, model, alone)} == {0.0}
            assert changed(before, model) <= {"prompts.learnt"}

    @pytest.mark.parametrize("trained", [False, True])
    def test_what_moves(self, data, trained):
        parameters = parameters_of(train_projection_head=trained)
        model = built(parameters)
        before = weights(model)
        stage, _ = stages_of(parameters)
        losses_of(stage, model, data)
        moved = changed(before, model)
        learnt = {f"text_head.{name}" for name, _ in model.text_head.named_parameters()}
        statistics = {f"text_head.{name}" for name, _ in model.text_head.named_buffers()}
        assert moved == {"prompts.learnt"} | statistics | (learnt if trained else set())

    def test_the_prompts_learn_from_it_through_a_head_that_stays_random(self, data):
        parameters = parameters_of(train_projection_head=False)
        model = built(parameters).train()
        stage, _ = stages_of(parameters)
        stage.step(model, only_batch(stage, model, data)).losses["self_supervision"].backward()
        assert model.prompts.learnt.grad.abs().sum() > 0
        assert all(value.grad is None for value in model.text_head.parameters())

    @pytest.mark.parametrize("changes", [{"train_projection_head": False}, {"language_weight": 0}])
    def test_a_head_that_does_not_learn_is_in_no_optimiser(self, changes):
        stage, _ = stages_of(parameters_of(**changes))
        model = built(parameters_of(**changes))
        (group,) = stage.param_groups(model)
        assert [id(value) for value in group["params"]] == [id(model.prompts.learnt)]
        assert not any(value.requires_grad for value in model.text_head.parameters())

    def test_the_head_learns_at_the_rate_and_decay_of_the_prompts(self):
        stage, _ = stages_of(parameters_of(train_projection_head=True, prompts={"plan": {"weight_decay": 3e-3}}))
        model = built(parameters_of(train_projection_head=True))
        groups = stage.param_groups(model)
        held = {id(value) for group in groups for value in group["params"]}
        assert held == {id(value) for value in (model.prompts.learnt, *model.text_head.parameters())}
        assert {group["weight_decay"] for group in groups} == {3e-3}
        assert {group.get("rate_multiplier", 1.0) for group in groups} == {1.0}


@pytest.fixture(scope="module")
def model() -> Any:
    return built(parameters_of())


@pytest.fixture(scope="module")
def prompts(model: Any) -> Tensor:
    embedded = model.prompts(torch.arange(IDENTITIES))
    return embedded.detach()


class TestPromptAugmentation:
    def augmented(self, model: Any, prompts: Tensor, **chosen: Any) -> Tensor:
        drawn = torch.Generator().manual_seed(5)
        return augmented_prompts(model, prompts, PromptAugmentationParameters(**chosen), drawn)

    @pytest.mark.parametrize("positions", ["all", "learnt"])
    def test_mask(self, model, prompts, positions):
        found = self.augmented(model, prompts, kind="mask", mask_probability=0.25, mask_positions=positions)
        gone = (found == 0) & (prompts != 0)
        assert torch.equal(found[~gone], prompts[~gone])
        learnt = torch.zeros(prompts.shape[1], dtype=torch.bool)
        learnt[5:9] = True  # start, "a photo of a", then four learnt tokens
        assert float(gone[:, learnt].double().mean()) == pytest.approx(0.25, abs=0.05)
        assert bool(gone[:, ~learnt].any()) is (positions == "all")

    def test_swap_without_padding_keeps_every_token(self, model, prompts):
        found = self.augmented(model, prompts, kind="swap", swap_share=(0.5, 0.5), swap_padding=False)
        for row, prompt in zip(found, prompts, strict=True):
            assert sorted(row.tolist()) == sorted(prompt.tolist())
        assert not torch.equal(found, prompts)

    def test_swap_with_padding_lets_words_leave(self, model, prompts):
        found = self.augmented(model, prompts, kind="swap", swap_share=(0.5, 0.5), swap_padding=True)
        padding = model.text_encoder.token_embedding.weight[0]
        allowed = {tuple(token) for token in [padding.tolist(), *prompts.flatten(0, 1).tolist()]}
        assert {tuple(token) for token in found.flatten(0, 1).tolist()} <= allowed
        assert int((found == padding).all(dim=2).sum()) > int((prompts == padding).all(dim=2).sum())

    def test_swap_share(self, model, prompts):
        assert torch.equal(self.augmented(model, prompts, kind="swap", swap_share=(0, 0)), prompts)

    @pytest.mark.parametrize("partner", ["other", "released"])
    def test_mix(self, model, prompts, partner):
        found = self.augmented(model, prompts, kind="mix", mix_share=0.25, mix_partner=partner)
        partners = []
        for place, row in enumerate(found):
            mixed = [0.75 * prompts[place] + 0.25 * other for other in prompts]
            (each,) = [n for n, candidate in enumerate(mixed) if torch.allclose(candidate, row, atol=1e-6)]
            partners.append(each)
        if partner == "other":
            assert all(each != place for place, each in enumerate(partners))
        else:
            assert IDENTITIES - 1 not in partners

    @pytest.mark.parametrize("kind", ["mask", "swap", "mix"])
    def test_each_kind_trains_the_prompts(self, data, kind):
        parameters = parameters_of(prompt_augmentation={"kind": kind})
        model = built(parameters).train()
        stage, _ = stages_of(parameters)
        stage.step(model, only_batch(stage, model, data)).losses["self_supervision"].backward()
        assert model.prompts.learnt.grad.abs().sum() > 0

    def test_the_stage_reads_the_kind(self, data):
        found = set()
        for kind in ("mask", "swap", "mix"):
            parameters = parameters_of(prompt_augmentation={"kind": kind})
            stage, _ = stages_of(parameters)
            model = built(parameters).train()
            found.add(said(stage.step(model, only_batch(stage, model, data)))["self_supervision"])
        assert len(found) == 3

    def test_an_empty_share_is_refused(self):
        with pytest.raises(ValueError, match=r"swap_share \(0\.5, 0\.3\) is empty: write the smaller"):
            PromptAugmentationParameters(swap_share=(0.5, 0.3))


class TestVision:
    def finals(self, model: Any, batch: Any) -> list[Tensor]:
        return [model.encoder.encode_image(view, batch.camids).final for view in batch.views]

    @pytest.mark.parametrize("kind", ["nt_xent", "simsiam"])
    def test_the_loss_by_hand(self, data, kind):
        parameters = parameters_of(self_supervision=kind, vision_weight=0.6, views_with_sie=True)
        model = built(parameters).train()
        _, stage = stages_of(parameters)
        batch = only_batch(stage, model, data)
        first, second = self.finals(model, batch)
        if kind == "simsiam":
            wanted = slow_simsiam(model.image_head, first, second)
        else:
            wanted = slow_nt_xent(model.image_head(first), model.image_head(second))
        found = said(stage.step(model, batch))
        assert found["self_supervision"] == pytest.approx(0.6 * wanted, rel=1e-4)
        assert set(found) == {"identity", "triplet", "image_to_text", "self_supervision"}

    @pytest.mark.parametrize("given", [False, True])
    def test_side_information_of_the_views(self, data, given):
        parameters = parameters_of(views_with_sie=given)
        model = built(parameters).train()
        _, stage = stages_of(parameters)
        batch = only_batch(stage, model, data)
        output = stage.step(model, batch)
        assert model.encoder.sie_coefficient == 1.0
        output.losses["self_supervision"].backward()
        gradient = model.encoder.side_embedding.grad
        assert (gradient is not None and bool(gradient.abs().sum() > 0)) is given
        before = said(output)
        with torch.no_grad():
            model.encoder.side_embedding.normal_(generator=torch.Generator().manual_seed(1))
        after = said(stage.step(model, batch))
        assert after["triplet"] != before["triplet"]
        assert (after["self_supervision"] != before["self_supervision"]) is given

    def test_the_views(self, data):
        """Two, of their own; a third of the picture is erased in about half of them."""
        parameters = parameters_of(vision_augmentation={"flip": 0, "padding": 0})
        _, stage = stages_of(parameters)
        model = built(parameters)
        stage.begin(model, data)
        stage.plan = stage.plan.model_copy(update={"iterations_per_epoch": 12})
        shares = []
        for batch in stage.epoch_batches(model, data, 1):
            first, second = batch.views
            assert not torch.equal(first, second)
            same = ((first == second).all(dim=1)).double().mean(dim=(1, 2))
            shares += same.tolist()
        whole = sum(share == 1 for share in shares) / len(shares)
        one = [1 - share for share in shares if 0.6 < share < 0.7]
        assert whole == pytest.approx(0.25, abs=0.12)
        assert np.mean(one) == pytest.approx(0.33, abs=0.02)

    def test_without_weight_no_view_is_made(self, data):
        parameters = parameters_of(vision_weight=0)
        _, stage = stages_of(parameters)
        assert only_batch(stage, built(parameters), data).views == ()

    def test_what_moves(self, data):
        parameters = parameters_of(train_projection_head=True)
        model = built(parameters)
        before = weights(model)
        _, stage = stages_of(parameters)
        losses_of(stage, model, data)
        moved = changed(before, model)
        still = ("text_encoder.", "prompts.", "text_head.")
        assert not {name for name in moved if name.startswith(still)}
        assert {f"image_head.{name}" for name, _ in model.image_head.named_parameters()} <= moved
        assert {"encoder.visual.proj", "encoder.side_embedding", "classifiers.1.weight"} <= moved

    def test_half_precision(self, data):
        parameters = parameters_of()
        for place in (0, 1):
            model = built(parameters).train()
            stage = stages_of(parameters)[place]
            batch = only_batch(stage, model, data)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = stage.step(model, batch).losses["self_supervision"]
            assert loss.dtype == torch.float32
            assert 0 < float(loss.detach()) < math.inf


class TestHeads:
    def test_projection_heads(self):
        model = built(parameters_of(projection_head={"hidden_width": 64, "output_width": 8}))
        for head, width in ((model.text_head, model.encoder.projected_width), (model.image_head, model.encoder.width)):
            shapes = [tuple(layer.weight.shape) for layer in head if isinstance(layer, torch.nn.Linear)]
            assert shapes == [(64, width), (64, 64), (8, 64)]
        text_scale, image_scale = (head[1].weight.detach() for head in (model.text_head, model.image_head))
        assert bool((text_scale == 1).all())
        assert 0 <= float(image_scale.min()) < float(image_scale.max()) <= 1

    def test_predictors(self):
        model = built(parameters_of(self_supervision="simsiam"))
        for head, width in ((model.text_head, model.encoder.projected_width), (model.image_head, model.encoder.width)):
            assert head(torch.rand(3, width)).shape == (3, width)
            assert len(head) == 4

    def test_retrieval_reads_no_head(self):
        assert not [name for name in built(parameters_of()).embedder().state_dict() if "head" in name]

    def test_side_information_comes_back_after_an_error(self):
        encoder = built(parameters_of(backbone={"sie_coefficient": 0.5})).encoder
        with without_side_information(encoder):
            assert encoder.sie_coefficient == 0
        with pytest.raises(KeyError), without_side_information(encoder):
            {}["stop"]
        assert encoder.sie_coefficient == 0.5


class TestParameters:
    @pytest.mark.parametrize(
        ("path", "released", "corrected"),
        [
            ("views_with_sie", False, True),
            ("prompt_augmentation.mask_positions", "all", "learnt"),
            ("prompt_augmentation.swap_padding", True, False),
            ("prompt_augmentation.mix_partner", "released", "other"),
            ("plan.step_at", "start", "end"),
            ("prompts.plan.step_at", "start", "end"),
            ("prompts.normalise", False, True),
            ("train_projection_head", False, True),
        ],
    )
    def test_each_difference_of_the_recipes_is_a_named_parameter(self, path, released, corrected):
        def value(**changes: Any) -> Any:
            found = find_method("svll_reid").params.model_validate(published("svll_reid") | changes).model_dump()
            for key in path.split("."):
                found = found[key]
            return found

        assert value() == value(recipe="corrected") == corrected
        assert value(recipe="released") == released

    @pytest.mark.parametrize("recipe", ["released", "corrected"])
    def test_the_head_moves_as_the_recipe_says(self, data, recipe):
        parameters = find_method("svll_reid").params.model_validate(
            merged(merged(published("svll_reid"), SMALL), {"projection_head": HEAD, "recipe": recipe})
        )
        model = built(parameters)
        before = weights(model)
        losses_of(stages_of(parameters)[0], model, data)
        moved = {name for name in changed(before, model) if name.startswith("text_head.") and "weight" in name}
        assert bool(moved) == (recipe == "corrected")

    def test_what_is_given_stands(self):
        assert parameters_of(train_projection_head=True).train_projection_head is True

    @pytest.mark.parametrize(
        ("environment", "noun", "size", "sie", "first", "second", "language"),
        [
            ((), "person", (256, 128), "camera", (256, 120, 3.5e-4), (64, 60, 5e-6), 0.8),
            (("veri776",), "vehicle", (256, 256), "both", (64, 60, 3.5e-4), (32, 60, 5e-6), 2.0),
            (("vehicleid",), "vehicle", (256, 256), "none", (64, 60, 3.5e-4), (32, 60, 5e-5), 0.8),
        ],
    )
    def test_the_published_recipes(self, environment, noun, size, sie, first, second, language):
        found = find_method("svll_reid").params.model_validate(published("svll_reid", *environment))
        assert (found.backbone.patch_stride, found.backbone.image_size, found.backbone.sie) == (12, size, sie)
        assert found.prompts.noun == noun
        plans = [(plan.batch_size, plan.epochs, plan.learning_rate) for plan in (found.prompts.plan, found.plan)]
        assert plans == [first, second]
        assert (found.language_weight, found.vision_weight) == (language, 0.8)
        assert (found.projection_head.hidden_width, found.projection_head.output_width) == (4096, 256)
        assert found.vision_augmentation.erasing_area == pytest.approx((0.33, 1 / 3), abs=1e-4)

    def test_all_else_is_as_clip_reid(self):
        """But for stride, side information and the first stage's batch."""
        plain, found = (
            find_method(name).params.model_validate(published(name) | {"recipe": "corrected"}).model_dump()
            for name in ("clip_reid", "svll_reid")
        )
        assert found["prompts"]["plan"].pop("batch_size") != plain["prompts"]["plan"].pop("batch_size")
        for name in ("patch_stride", "sie"):
            assert found["backbone"].pop(name) != plain["backbone"].pop(name)
        assert {name: found[name] for name in plain} == plain
