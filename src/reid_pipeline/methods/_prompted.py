"""Two stages that several methods share: learn prompts, then fine-tune the images against them. Imports no torch.

Source: Li et al., CLIP-ReID: Exploiting Vision-Language Model for Image Re-identification without Concrete Text Labels,
AAAI 2023, arXiv 2211.13977; methods.md section 5. Shapes: N training images, C identities, E CLIP's joint space.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from pydantic import Field

from reid_pipeline.engine.stage import Batch, Stage, StepOutput, TrainingData, Work
from reid_pipeline.methods._fine_tuning import FineTuning, FineTuningParameters
from reid_pipeline.schema.base import Parameters
from reid_pipeline.schema.nested import merged
from reid_pipeline.schema.parameters import TrainingPlan
from reid_pipeline.schema.population import Population

if TYPE_CHECKING:
    from torch import Tensor

    from reid_pipeline.models.image_encoder import ImageEncoder
    from reid_pipeline.models.prompts import PromptLearner
    from reid_pipeline.models.supervised import Classified, PromptedReIDModel
    from reid_pipeline.models.text_encoder import TextEncoder

Prompted = TypeVar("Prompted", bound="PromptedReIDModel")


class PromptParameters(Parameters):
    """The first stage: a prompt for every identity."""

    plan: TrainingPlan
    context_tokens: int = Field(4, ge=1, description="learnt token vectors per identity")
    noun: str = Field("person", min_length=1, description="what the prompt calls an individual")
    temperature: float = Field(
        1.0, gt=0, description="of the image-to-text contrast; 1 in the released loss, CLIP's scale otherwise"
    )
    # The paper's s(V, T) contrasts unit vectors, as CLIP does; the released loss takes dot products as they are.
    normalise: bool = Field(False, description="contrast unit vectors instead of dot products as they are")
    # The released stage 1 has none, and so has either recipe: nothing has learnt the embedding yet.
    sie: bool = Field(False, description="take the image features with side information")


class PromptedParameters(FineTuningParameters):
    """Parameters of a method of these two stages."""

    # CLIP-ReID's code steps both schedules before the epoch, and contrasts raw dot products.
    RECIPES: ClassVar = {
        recipe: merged(FineTuningParameters.RECIPES[recipe], {"prompts": {"plan": {"step_at": step_at}, **contrast}})
        for recipe, step_at, contrast in (
            ("released", "start", {"temperature": 1.0, "normalise": False}),
            ("corrected", "end", {"temperature": 0.07, "normalise": True}),
        )
    }

    prompts: PromptParameters
    identity_weight: float = Field(0.25, ge=0, description="of the ID losses on both necked features")
    image_to_text_weight: float = Field(1.0, ge=0, description="of the cross-entropy over all prompts")


class PromptLearning(Stage[Prompted]):
    """Both towers are frozen; the learnt tokens are pulled to the images of their identity."""

    name = "prompt_learning"
    reads: tuple[str, ...] = ("backbone", "prompts")
    work = Work(augments=False, embeds="once")

    def __init__(self, parameters: PromptedParameters) -> None:
        super().__init__(parameters.prompts.plan)
        self.parameters = parameters
        self._images_NE: Tensor  # computed by begin()

    def param_groups(self, model: Prompted) -> list[dict[str, Any]]:
        """Return the learnt tokens alone."""
        return [{"params": [model.prompts.learnt], "weight_decay": self.plan.weight_decay}]

    def begin(self, model: Prompted, data: TrainingData) -> None:
        """Compute the projected feature of every training image, once, not augmented."""
        import torch

        from reid_pipeline.evaluation.extraction import evaluation_batches, of_all_batches

        training, encoder = model.encoder.training, model.encoder.eval()
        batches = evaluation_batches(data.plain_images, encoder, data.runtime, ids=data.ids, title="image features")
        features = []
        with torch.no_grad(), nullcontext() if self.parameters.prompts.sie else without_side_information(encoder):
            for inputs in batches:
                with data.runtime.autocast():
                    features.append(encoder.encode_image(*inputs).projected.float())
        encoder.train(training)
        self._images_NE = of_all_batches(features, len(data.plain_images), data.runtime)

    def epoch_batches(
        self,
        model: Prompted,  # noqa: ARG002 - the features were computed in begin()
        data: TrainingData,
        epoch: int,
    ) -> Iterator[Batch]:
        """Yield random batches of the stored features."""
        import torch

        from reid_pipeline.engine.batches import random_rows
        from reid_pipeline.images.augment import sent_to
        from reid_pipeline.losses.host_labels import labels_on_device

        device = self._images_NE.device
        for rows in random_rows(data.labels, data, self.plan, position=(self.name, epoch)):
            images = self._images_NE[sent_to(device, torch.from_numpy(rows))]
            yield Batch(images, labels_on_device(torch.from_numpy(data.labels[rows]), device), None)

    def rehearse(self, model: Prompted, batch: Batch) -> Tensor:
        """Encode the prompts of a batch."""
        return model.encode_text(batch.labels).float().sum()

    def step(self, model: Prompted, batch: Batch) -> StepOutput:
        """Contrast image features with the text features of their identities, both ways."""
        from reid_pipeline.losses import one_way_contrastive_loss

        texts, labels = model.encode_text(batch.labels), batch.labels
        prompts = self.parameters.prompts
        contrast = partial(one_way_contrastive_loss, temperature=prompts.temperature, normalise=prompts.normalise)
        images = contrast(batch.images, texts, labels, labels)
        return StepOutput({"image_to_text": images, "text_to_image": contrast(texts, batch.images, labels, labels)})


class VisualFineTuning(FineTuning[Prompted]):
    """Text tower and prompts are frozen; the images are pulled to the text of their identity."""

    name = "visual_fine_tuning"
    parameters: PromptedParameters
    _texts: Tensor  # float32 [C, E]

    def param_groups(self, model: Prompted) -> list[dict[str, Any]]:
        """Return image tower, necks and classifiers."""
        from reid_pipeline.engine.loop import trainable_groups

        return trainable_groups(model.image_side(), self.plan)

    def begin(self, model: Prompted, data: TrainingData) -> None:
        """Compute the text feature of every identity, once."""
        import torch

        labels = torch.arange(int(data.labels.max()) + 1, device=next(model.parameters()).device)
        with torch.no_grad():
            groups = labels.chunk(-(-len(labels) // 256))
            self._texts = torch.cat([model.encode_text(group).float() for group in groups])

    def losses(self, outputs: Classified, labels: Tensor) -> dict[str, Tensor]:
        """Return the weighted identity, triplet and image-to-text losses."""
        from reid_pipeline.losses import identity_loss

        parameters, losses = self.parameters, super().losses(outputs, labels)
        if parameters.image_to_text_weight:
            logits = outputs.features.projected.float() @ self._texts.T
            term = identity_loss(logits, labels, label_smoothing=parameters.label_smoothing)
            losses["image_to_text"] = parameters.image_to_text_weight * term
        return losses


@contextmanager
def without_side_information(encoder: ImageEncoder) -> Iterator[None]:
    """Let an image tower encode without side information; camids and viewids are passed all the same."""
    coefficient = encoder.sie_coefficient
    encoder.sie_coefficient = 0.0
    try:
        yield
    finally:
        encoder.sie_coefficient = coefficient


def prompted_parts(
    parameters: PromptedParameters, population: Population
) -> tuple[ImageEncoder, TextEncoder, PromptLearner, int]:
    """Return the arguments of `PromptedReIDModel`; prompts are initialised from torch's global generator."""
    import torch

    from reid_pipeline.models.prompts import PromptLearner
    from reid_pipeline.models.text_encoder import both_towers

    encoder, text_encoder = both_towers(parameters.backbone, population)
    generator = torch.Generator().manual_seed(int(torch.randint(2**31, ()).item()))
    noun, tokens = parameters.prompts.noun, parameters.prompts.context_tokens
    prompts = PromptLearner(population.identities, text_encoder, noun, context_tokens=tokens, generator=generator)
    return encoder, text_encoder, prompts, population.identities
