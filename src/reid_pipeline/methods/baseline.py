"""Visual fine-tuning with identity and triplet losses: CLIP-ReID's baseline (methods.md section 4).

Source: Li et al., CLIP-ReID, AAAI 2023, arXiv 2211.13977, section 3.1.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from reid_pipeline.engine.stage import Batch, Method, Stage, StepOutput, TrainingData
from reid_pipeline.schema.parameters import AugmentationParameters, BackboneParameters, TrainingPlan
from reid_pipeline.schema.population import Population
from reid_pipeline.schema.recipes import RecipeParameters

if TYPE_CHECKING:
    from torch import nn

    from reid_pipeline.models.supervised import SupervisedReIDModel


class BaselineParameters(RecipeParameters):
    """All that `baseline` can be told."""

    # CLIP-ReID's code steps its schedule before the epoch; the paper's text has the usual order.
    RECIPES: ClassVar = {
        "released": {"plan": {"step_at": "start"}},
        "corrected": {"plan": {"step_at": "end"}},
    }

    backbone: BackboneParameters
    augmentation: AugmentationParameters
    plan: TrainingPlan
    identity_weight: float = Field(1.0, ge=0, description="of the ID losses on both necked features")
    triplet_weight: float = Field(1.0, ge=0, description="of the triplet losses on all three features")
    margin: float = Field(0.3, ge=0, description="of the triplet loss")
    label_smoothing: float = Field(0.1, ge=0, lt=1, description="of the ID loss")


class FineTuning(Stage):
    """ID loss on both necked features, triplet loss on the three features before the necks."""

    name = "fine_tuning"

    def __init__(self, parameters: BaselineParameters) -> None:
        super().__init__(parameters.plan)
        self.parameters = parameters

    def epoch_batches(
        self,
        model: nn.Module,  # noqa: ARG002 - the labels are the published ones
        data: TrainingData,
        epoch: int,
    ) -> Iterator[Batch]:
        """Yield PK batches of the published identities."""
        from reid_pipeline.engine.batches import batches_of_rows, identity_rows

        position = (self.name, epoch)
        rows = identity_rows(data.labels, data, self.plan, position=position)
        pixels = (self.parameters.backbone, self.parameters.augmentation)
        return batches_of_rows(rows, data.labels, data, pixels=pixels, position=position)

    def step(self, model: nn.Module, batch: Batch) -> StepOutput:
        """Return the weighted identity and triplet losses."""
        from reid_pipeline.losses import fine_tuning_losses

        said = model.classify(batch.images, batch.camids, batch.viewids)  # type: ignore[operator]
        chosen = self.parameters
        return StepOutput(
            fine_tuning_losses(
                said.features,
                said.logits,
                batch.labels,
                weights=(chosen.identity_weight, chosen.triplet_weight),
                margin=chosen.margin,
                label_smoothing=chosen.label_smoothing,
            )
        )


def build(parameters: BaselineParameters, population: Population) -> SupervisedReIDModel:
    """Return the pretrained encoder with two necks, each with a classifier; read before the necks."""
    from reid_pipeline.models.side_information import image_tower
    from reid_pipeline.models.supervised import SupervisedReIDModel

    encoder = image_tower(parameters.backbone, population)
    return SupervisedReIDModel(encoder, population.identities, neck="before")


METHOD = Method(
    name="baseline",
    params=BaselineParameters,
    build=build,
    stages=lambda parameters: (FineTuning(parameters),),
    stage_names=(FineTuning.name,),
    description="Visual fine-tuning with identity and triplet losses.",
)
