"""SVLL-ReID: CLIP-ReID with self-supervision of the prompts, then of the images (methods.md section 7).

Two augmented copies of a prompt, and two further views of an image, are to be matched among the others of the
batch. With both weights 0 this is `clip_reid` to the bit; with one weight 0 that stage is.
Source: Wang et al., Image Re-Identification: Where Self-supervision Meets Vision-Language Learning, Image and
Vision Computing 154, 2025, 105415, arXiv 2407.20647.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

from pydantic import Field, PositiveInt, field_validator

from reid_pipeline.engine.stage import Batch, Method, StepOutput, TrainingData
from reid_pipeline.methods._prompted import (
    PromptedParameters,
    PromptLearning,
    VisualFineTuning,
    prompted_parts,
    without_side_information,
)
from reid_pipeline.schema.base import RELEASED_OR_CORRECTED, Parameters
from reid_pipeline.schema.nested import merged
from reid_pipeline.schema.parameters import AugmentationParameters, Share
from reid_pipeline.schema.population import Population

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from reid_pipeline.models.supervised import PromptedReIDModel, SelfSupervisedReIDModel


class ProjectionHeadParameters(Parameters):
    """The MLP before NT-Xent, one for texts and one for images; SimSiam has predictors of its own."""

    hidden_width: PositiveInt = Field(4096, description="of both hidden layers")
    output_width: PositiveInt = Field(256, description="of the space that NT-Xent contrasts in")


class PromptAugmentationParameters(Parameters):
    """How a copy of a prompt's embedded tokens is changed; only the values of the selected kind are read."""

    kind: Literal["mask", "swap", "mix"] = Field("mask", description="zero components; permute tokens; mix two prompts")
    mask_probability: Share = Field(0.5, description="of each component")
    mask_positions: Literal["all", "learnt"] = Field(
        "all", description="all: start, end and fixed words too (released); learnt: the learnt tokens alone"
    )
    # The released code fixes one share.
    swap_share: tuple[Share, Share] = Field((0.3, 0.5), description="of the tokens, sampled between these two")
    swap_padding: bool = Field(True, description="permute the tower's whole context, padding included, as released")
    mix_share: Share = Field(0.3, description="of the other identity's prompt")
    mix_partner: Literal["other", "released"] = Field(
        "released", description="other: any but the own; released: any but the last, the own included"
    )

    @field_validator("swap_share")
    @classmethod
    def _ordered(cls, value: tuple[float, float]) -> tuple[float, float]:
        if value[0] > value[1]:
            raise ValueError(f"swap_share {value} is empty: write the smaller share first")
        return value


class SVLLReIDParameters(PromptedParameters):
    """Parameters of `svll_reid`."""

    # The released code encodes the further views without SIE, leaves the first stage's head out of its optimiser, and
    # augments prompts in ways of its own. No published figure of it was verified, so that nothing speaks for its slips.
    RECIPES: ClassVar = {
        recipe: merged(
            PromptedParameters.RECIPES[recipe],
            {"views_with_sie": meant, "train_projection_head": meant, "prompt_augmentation": augmentation},
        )
        for recipe, meant, augmentation in (
            ("released", False, {"mask_positions": "all", "swap_padding": True, "mix_partner": "released"}),
            ("corrected", True, {"mask_positions": "learnt", "swap_padding": False, "mix_partner": "other"}),
        )
    }

    recipe: Literal["released", "corrected"] = Field("corrected", description=RELEASED_OR_CORRECTED)
    self_supervision: Literal["nt_xent", "simsiam"] = Field("nt_xent", description="of both stages")
    self_supervision_temperature: float = Field(0.1, gt=0, description="of NT-Xent")
    projection_head: ProjectionHeadParameters
    train_projection_head: bool = Field(True, description="of the first stage; false: it stays random, as released")
    language_weight: float = Field(0.8, ge=0, description="of the first stage's self-supervision; 0: none")
    prompt_augmentation: PromptAugmentationParameters
    vision_weight: float = Field(0.8, ge=0, description="of the second stage's self-supervision; 0: none")
    vision_augmentation: AugmentationParameters
    views_with_sie: bool = Field(False, description="encode the further views with side information")

    @property
    def text_head_learns(self) -> bool:
        """Whether the first stage trains its head: requested, and read."""
        return self.train_projection_head and self.language_weight > 0


@dataclass(frozen=True)
class PromptBatch(Batch):
    """A batch of the first stage; `copies` are the seeds of the copies of its prompts."""

    copies: tuple[int, ...] = ()


class SelfSupervisedPromptLearning(PromptLearning["SelfSupervisedReIDModel"]):
    """The first stage, with two copies of each identity's prompt that are to agree."""

    reads = (
        *PromptLearning.reads,
        "self_supervision",
        "self_supervision_temperature",
        "projection_head",
        "train_projection_head",
        "language_weight",
        "prompt_augmentation",
    )
    parameters: SVLLReIDParameters

    def param_groups(self, model: SelfSupervisedReIDModel) -> list[dict[str, Any]]:
        """Return the learnt tokens, and the head if it learns."""
        from reid_pipeline.engine.loop import trainable_groups

        heads = trainable_groups(model.text_head, self.plan) if self.parameters.text_head_learns else []
        return super().param_groups(model) + heads

    def epoch_batches(self, model: SelfSupervisedReIDModel, data: TrainingData, epoch: int) -> Iterator[PromptBatch]:
        """Yield the batches of `PromptLearning`, with seeds for two copies of the prompts."""
        from reid_pipeline.engine.seeding import derived_seed

        for step, batch in enumerate(super().epoch_batches(model, data, epoch)):
            seeds = (derived_seed(data.seed, "prompt", copy, self.name, epoch, step) for copy in range(2))
            yield PromptBatch(batch.images, batch.labels, None, copies=tuple(seeds))

    def step(self, model: SelfSupervisedReIDModel, batch: Batch) -> StepOutput:
        """Return the losses of `PromptLearning` and the weighted self-supervision of the prompts."""
        output = super().step(model, batch)
        if self.parameters.language_weight:
            term = self._disagreement(model, cast("PromptBatch", batch))
            output.losses["self_supervision"] = self.parameters.language_weight * term
        return output

    def rehearse(self, model: SelfSupervisedReIDModel, batch: Batch) -> Tensor:
        """Encode the prompts of a batch, and two copies of each identity's where these are compared."""
        import torch

        from reid_pipeline.losses.host_labels import distinct_labels

        total = super().rehearse(model, batch)
        if self.parameters.language_weight:
            copies = torch.cat([model.prompts(distinct_labels(batch.labels))] * 2)
            total = total + model.text_encoder.encode(copies, model.prompts.position).float().sum()
        return total

    def _disagreement(self, model: SelfSupervisedReIDModel, batch: PromptBatch) -> Tensor:
        """Return the self-supervised loss of the batch's identities, each counted once."""
        import torch

        from reid_pipeline.losses.host_labels import distinct_labels

        labels = distinct_labels(batch.labels)
        if len(labels) < 2:  # no negative, and a single row that no batch norm could take
            return torch.zeros((), device=labels.device)
        embedded = model.prompts(labels)
        copies = [
            augmented_prompts(model, embedded, self.parameters.prompt_augmentation, torch.Generator().manual_seed(seed))
            for seed in batch.copies
        ]
        first, second = model.text_encoder.encode(torch.cat(copies), model.prompts.position).chunk(2)
        return _disagreement(model.text_head, first, second, self.parameters)


class SelfSupervisedFineTuning(VisualFineTuning["SelfSupervisedReIDModel"]):
    """The second stage, with two further views of each image that are to agree."""

    parameters: SVLLReIDParameters

    def views(self) -> Sequence[AugmentationParameters]:
        """Return the augmentation of two further views, if they have a weight."""
        return (self.parameters.vision_augmentation,) * (2 if self.parameters.vision_weight else 0)

    def rehearse(self, model: SelfSupervisedReIDModel, batch: Batch) -> Tensor:
        """Encode the images, and again for each further view."""
        total = super().rehearse(model, batch)
        for _ in self.views():
            total = total + model.encoder.encode_image(batch.images, batch.camids, batch.viewids).final.float().sum()
        return total

    def step(self, model: SelfSupervisedReIDModel, batch: Batch) -> StepOutput:
        """Return the losses of `VisualFineTuning` and the weighted self-supervision of the images."""
        output = super().step(model, batch)
        if self.parameters.vision_weight:
            encoder, plain = model.encoder, not self.parameters.views_with_sie
            # One view after the other: batch norms of a ResNet see a batch of the usual size. Other images of the
            # same identity are negatives, as released.
            with without_side_information(encoder) if plain else nullcontext():
                first, second = (encoder.encode_image(view, batch.camids, batch.viewids).final for view in batch.views)
            term = _disagreement(model.image_head, first, second, self.parameters)
            output.losses["self_supervision"] = self.parameters.vision_weight * term
        return output


def augmented_prompts(
    model: PromptedReIDModel, prompts: Tensor, parameters: PromptAugmentationParameters, generator: torch.Generator
) -> Tensor:
    """Return an augmented copy of embedded prompts, float [B, L, T], one per identity; `generator` is on the CPU."""
    from reid_pipeline.models.prompt_augmentation import mask_prompts, mix_prompts, swap_prompts

    if parameters.kind == "mask":
        positions = model.prompts.learnt_positions if parameters.mask_positions == "learnt" else None
        return mask_prompts(prompts, generator, probability=parameters.mask_probability, positions=positions)
    if parameters.kind == "mix":
        return mix_prompts(prompts, generator, share=parameters.mix_share, partner=parameters.mix_partner)
    padding = None
    if parameters.swap_padding:
        padding = (model.text_encoder.context_length, model.text_encoder.padding)
    return swap_prompts(prompts, generator, share=parameters.swap_share, padding=padding)


def _disagreement(head: nn.Module, first: Tensor, second: Tensor, parameters: SVLLReIDParameters) -> Tensor:
    """Return NT-Xent of two views, float [B, D], behind a projection head, or SimSiam's loss behind a predictor."""
    from reid_pipeline.losses import nt_xent_loss, simsiam_loss

    one, other = head(first), head(second)  # each with batch statistics of its own, as released
    if parameters.self_supervision == "simsiam":
        return simsiam_loss(one, first, other, second)
    return nt_xent_loss(one, other, temperature=parameters.self_supervision_temperature)


def build(parameters: SVLLReIDParameters, population: Population) -> SelfSupervisedReIDModel:
    """Return the model of `clip_reid` with a head behind either tower; read before the necks."""
    from reid_pipeline.models.supervised import SelfSupervisedReIDModel

    widths = parameters.projection_head.hidden_width, parameters.projection_head.output_width
    parts = prompted_parts(parameters, population)
    model = SelfSupervisedReIDModel(*parts, kind=parameters.self_supervision, widths=widths)
    # A head that is not read stays in the model: a stored first stage then fits any second one.
    model.text_head.requires_grad_(parameters.text_head_learns)
    model.image_head.requires_grad_(parameters.vision_weight > 0)
    return model


METHOD = Method(
    name="svll_reid",
    params=SVLLReIDParameters,
    build=build,
    stages=lambda parameters: (SelfSupervisedPromptLearning(parameters), SelfSupervisedFineTuning(parameters)),
    stage_names=(SelfSupervisedPromptLearning.name, SelfSupervisedFineTuning.name),
    label_use="all",
    description="CLIP-ReID with self-supervision of the prompts, then of the images.",
    reads_text=True,
)
