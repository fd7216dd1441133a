"""Two stages that several methods are made of: learn prompts, then fine-tune the images against them.

Methods do not import each other; what the methods with prompts share stands here. Imports no torch.
Source: Li et al., CLIP-ReID: Exploiting Vision-Language Model for Image Re-identification without Concrete
Text Labels, AAAI 2023, arXiv 2211.13977; methods.md section 5.

Shape suffixes: N training images, C identities, E width of CLIP's joint space.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from pydantic import Field

from reid_pipeline.engine.stage import Batch, Stage, StepOutput, TrainingData
from reid_pipeline.methods._fine_tuning import FineTuning, FineTuningParameters
from reid_pipeline.schema.base import Parameters
from reid_pipeline.schema.nested import merged
from reid_pipeline.schema.parameters import TrainingPlan
from reid_pipeline.schema.population import Population

if TYPE_CHECKING:
    from torch import Tensor, nn

    from reid_pipeline.models.image_encoder import ImageEncoder
    from reid_pipeline.models.prompts import PromptLearner
    from reid_pipeline.models.supervised import Classified
    from reid_pipeline.models.text_encoder import TextEncoder


class PromptParameters(Parameters):
    """The first stage: a prompt for every identity."""

    plan: TrainingPlan
    context_tokens: int = Field(4, ge=1, description="learnt token vectors per identity")
    noun: str = Field("person", min_length=1, description="what the prompt calls an individual")
    temperature: float = Field(
        1.0, gt=0, description="of the image-to-text contrast; 1 in the released loss, CLIP's scale otherwise"
    )
    normalise: bool = Field(
        False,
        description="contrast unit vectors, as CLIP does and the paper's s(V, T) means; the released loss of"
        " stage 1 takes dot products as they are",
    )
    sie: bool = Field(
        False,
        description="take the image features with side information; the released stage 1 calls the tower"
        " without, and so does either recipe, since nothing has learnt the embedding yet",
    )


class PromptedParameters(FineTuningParameters):
    """What a method of these two stages can be told."""

    # CLIP-ReID's code steps both schedules before the epoch, and contrasts raw dot products.
    RECIPES: ClassVar = {
        "released": merged(
            FineTuningParameters.RECIPES["released"],
            {"prompts": {"plan": {"step_at": "start"}, "temperature": 1.0, "normalise": False}},
        ),
        "corrected": merged(
            FineTuningParameters.RECIPES["corrected"],
            {"prompts": {"plan": {"step_at": "end"}, "temperature": 0.07, "normalise": True}},
        ),
    }

    prompts: PromptParameters
    identity_weight: float = Field(0.25, ge=0, description="of the ID losses on both necked features")
    image_to_text_weight: float = Field(1.0, ge=0, description="of the cross-entropy over all prompts")


class PromptLearning(Stage):
    """Both towers stand still; the learnt tokens are pulled to the images of their identity."""

    name = "prompt_learning"
    reads: tuple[str, ...] = ("backbone", "prompts")

    def __init__(self, parameters: PromptedParameters) -> None:
        super().__init__(parameters.prompts.plan)
        self.parameters = parameters
        self._images_NE: Tensor | None = None

    def param_groups(self, model: nn.Module) -> list[dict[str, Any]]:
        """Return the learnt tokens alone."""
        return [{"params": [model.prompts.learnt], "weight_decay": self.plan.weight_decay}]  # type: ignore[union-attr]

    def begin(self, model: nn.Module, data: TrainingData) -> None:
        """Take the projected feature of every training image, once, not augmented."""
        self._images_NE = projected_features(model, data, sie=self.parameters.prompts.sie)

    def epoch_batches(
        self,
        model: nn.Module,  # noqa: ARG002 - the features were taken in begin()
        data: TrainingData,
        epoch: int,
    ) -> Iterator[Batch]:
        """Yield random batches of the stored features."""
        import torch

        from reid_pipeline.engine.batches import random_rows

        if self._images_NE is None:
            raise RuntimeError("begin() takes the image features; call it first")
        labels = torch.from_numpy(data.labels).to(self._images_NE.device)
        for rows in random_rows(data.labels, data, self.plan, position=(self.name, epoch)):
            yield Batch(self._images_NE[rows], labels[rows], None)

    def step(self, model: nn.Module, batch: Batch) -> StepOutput:
        """Contrast image features with the text features of their identities, both ways."""
        from reid_pipeline.losses import one_way_contrastive_loss

        texts = model.encode_text(batch.labels)  # type: ignore[operator]
        chosen = self.parameters.prompts
        sides = {"image_to_text": (batch.images, texts), "text_to_image": (texts, batch.images)}
        return StepOutput(
            {
                name: one_way_contrastive_loss(
                    anchors,
                    others,
                    batch.labels,
                    batch.labels,
                    temperature=chosen.temperature,
                    normalise=chosen.normalise,
                )
                for name, (anchors, others) in sides.items()
            }
        )


class VisualFineTuning(FineTuning):
    """Text tower and prompts stand still; the images are pulled to the text of their identity."""

    name = "visual_fine_tuning"
    parameters: PromptedParameters

    def __init__(self, parameters: PromptedParameters) -> None:
        super().__init__(parameters)
        self._texts_CE: Tensor | None = None

    def param_groups(self, model: nn.Module) -> list[dict[str, Any]]:
        """Return image tower, necks and classifiers."""
        from reid_pipeline.engine.optimisers import trainable_groups

        return trainable_groups(model.image_side(), self.plan)  # type: ignore[operator]

    def begin(self, model: nn.Module, data: TrainingData) -> None:
        """Compute the text feature of every identity, once."""
        self._texts_CE = all_texts(model, int(data.labels.max()) + 1)

    def losses(self, said: Classified, labels: Tensor) -> dict[str, Tensor]:
        """Return the weighted identity, triplet and image-to-text losses."""
        from reid_pipeline.losses import identity_loss

        if self._texts_CE is None:
            raise RuntimeError("begin() computes the text features; call it first")
        chosen = self.parameters
        losses = super().losses(said, labels)
        if chosen.image_to_text_weight:
            logits = said.features.projected.float() @ self._texts_CE.float().T
            term = identity_loss(logits, labels, label_smoothing=chosen.label_smoothing)
            losses["image_to_text"] = chosen.image_to_text_weight * term
        return losses


@contextmanager
def without_side_information(encoder: Any) -> Iterator[None]:
    """Let an image tower encode as if it knew neither cameras nor views; these must be given all the same."""
    coefficient = encoder.sie_coefficient
    encoder.sie_coefficient = 0.0
    try:
        yield
    finally:
        encoder.sie_coefficient = coefficient


def projected_features(model: nn.Module, data: TrainingData, *, sie: bool) -> Tensor:
    """Return the projected feature of every training image, float32 [N, E], on the device.

    Not augmented, in eval mode, with or without side information.
    """
    import torch

    from reid_pipeline.evaluation.extraction import encoded

    encoder: Any = model.encoder
    training = encoder.training
    encoder.eval()
    ids = (data.camids, data.viewids)
    with torch.no_grad(), nullcontext() if sie else without_side_information(encoder):
        batches = encoded(encoder, encoder, data.plain_images, data.runtime, ids=ids, title="image features")
        found = torch.cat([features.projected.float() for features in batches])
    encoder.train(training)
    return found


def all_texts(model: nn.Module, identities: int) -> Tensor:
    """Return the text feature of every identity's prompt, float32 [C, E]."""
    import torch

    device = next(model.parameters()).device
    with torch.no_grad():
        groups = torch.arange(identities, device=device).chunk(-(-identities // 256))
        return torch.cat([model.encode_text(labels).float() for labels in groups])  # type: ignore[operator]


class PromptedParts(NamedTuple):
    """What `models.supervised.PromptedReIDModel` is put together from, in its order."""

    encoder: ImageEncoder
    text_encoder: TextEncoder
    prompts: PromptLearner
    identities: int


def prompted_parts(parameters: PromptedParameters, population: Population) -> PromptedParts:
    """Build both towers and a prompt for every identity; drawn from torch's global generator.

    Raises:
        UserError: as `both_towers` and `PromptLearner`.
    """
    import torch

    from reid_pipeline.models.backbone import both_towers
    from reid_pipeline.models.prompts import PromptLearner

    encoder, text_encoder = both_towers(parameters.backbone, population)
    generator = torch.Generator().manual_seed(int(torch.randint(2**31, ()).item()))
    prompts = PromptLearner(
        population.identities,
        text_encoder,
        parameters.prompts.noun,
        context_tokens=parameters.prompts.context_tokens,
        generator=generator,
    )
    return PromptedParts(encoder, text_encoder, prompts, population.identities)
