"""Fine-tuning of the image side with published identities; `baseline` is this, prompted methods add to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal, TypeVar

from pydantic import Field

from reid_pipeline.engine.stage import Batch, Stage, StepOutput, TrainingData
from reid_pipeline.schema.base import RELEASED_OR_CORRECTED, RecipeParameters
from reid_pipeline.schema.parameters import AugmentationParameters, BackboneParameters, TowerPlan

if TYPE_CHECKING:
    from torch import Tensor

    from reid_pipeline.models.supervised import Classified, SupervisedReIDModel

Model = TypeVar("Model", bound="SupervisedReIDModel")


class FineTuningParameters(RecipeParameters):
    """Parameters of a method with identity and triplet losses."""

    # CLIP-ReID's code steps its schedule before the epoch; the paper's text has the usual order.
    # It embeds bilinearly resized images, and gives side information to the class token alone.
    RECIPES: ClassVar = {
        "released": {
            "plan": {"step_at": "start"},
            "backbone": {"evaluation_resize": "bilinear", "sie_tokens": "class"},
        },
        "corrected": {"plan": {"step_at": "end"}, "backbone": {"evaluation_resize": "bicubic", "sie_tokens": "all"}},
    }

    recipe: Literal["released", "corrected"] = Field("released", description=RELEASED_OR_CORRECTED)
    backbone: BackboneParameters
    augmentation: AugmentationParameters
    plan: TowerPlan
    identity_weight: float = Field(1.0, ge=0, description="of the ID losses on both necked features")
    triplet_weight: float = Field(1.0, ge=0, description="of the triplet losses on all three features")
    margin: float = Field(0.3, ge=0, description="of the triplet loss")
    label_smoothing: float = Field(0.1, ge=0, lt=1, description="of every cross-entropy")


class FineTuning(Stage[Model]):
    """ID loss on both necked features, triplet loss on the three features before the necks."""

    name = "fine_tuning"

    def __init__(self, parameters: FineTuningParameters) -> None:
        super().__init__(parameters.plan)
        self.parameters = parameters

    def views(self) -> Sequence[AugmentationParameters]:
        """Return the augmentation of each further view that an image of the batch gets; none here."""
        return ()

    def epoch_batches(self, model: Model, data: TrainingData, epoch: int) -> Iterator[Batch]:
        """Yield PK batches of the published identities."""
        from reid_pipeline.engine.batches import published_batches

        pixels, position = (model.encoder, self.parameters.augmentation), (self.name, epoch)
        return published_batches(data, self.plan, pixels=pixels, position=position, views=self.views())

    def step(self, model: Model, batch: Batch) -> StepOutput:
        """Return the weighted losses."""
        return StepOutput(self.losses(model.classify(batch.images, batch.camids, batch.viewids), batch.labels))

    def losses(self, outputs: Classified, labels: Tensor) -> dict[str, Tensor]:
        """Return the weighted identity and triplet losses of a batch."""
        from reid_pipeline.losses import fine_tuning_losses

        parameters = self.parameters
        return fine_tuning_losses(
            outputs.features.distinct,
            outputs.logits,
            labels,
            weights=(parameters.identity_weight, parameters.triplet_weight),
            margin=parameters.margin,
            label_smoothing=parameters.label_smoothing,
        )
