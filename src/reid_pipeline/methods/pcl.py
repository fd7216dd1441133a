"""Supervised prototypical contrastive learning: no text, no prompts (methods.md section 6).

Every epoch makes the prototypes from the embeddings of all training images; every step contrasts a batch with them
and moves them. Source: Li and Gong, Prototypical Contrastive Learning-based CLIP Fine-tuning for Object
Re-identification, arXiv 2310.17218.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from reid_pipeline.engine.stage import Batch, Method, StepOutput, TrainingData
from reid_pipeline.methods._prototypes import MemoryContrast, freeze_patch_projection, prototype_memory
from reid_pipeline.schema.base import RELEASED_OR_CORRECTED, RecipeParameters
from reid_pipeline.schema.parameters import AugmentationParameters, BackboneParameters, MemoryParameters, TowerPlan
from reid_pipeline.schema.population import Population

if TYPE_CHECKING:
    from reid_pipeline.losses import PrototypeMemory
    from reid_pipeline.models.supervised import SupervisedReIDModel


class PCLParameters(RecipeParameters):
    """Parameters of `pcl`."""

    # PCL-CLIP's code erases with 0.5 after normalisation, which is neither the mean nor noise.
    RECIPES: ClassVar = {
        "released": {"augmentation": {"erasing_fill": "half"}, "memory": {"update": "hard"}},
        "corrected": {"augmentation": {"erasing_fill": "mean"}, "memory": {"update": "mean"}},
    }

    recipe: Literal["released", "corrected"] = Field("released", description=RELEASED_OR_CORRECTED)
    backbone: BackboneParameters
    freeze_patch_projection: bool = Field(
        True, description="the patch projection, where the tower has one, stays as pretrained (MoCo v3)"
    )
    augmentation: AugmentationParameters
    plan: TowerPlan
    memory: MemoryParameters
    contrast_weight: float = Field(1.0, ge=0, description="of the prototypical contrast")
    identity_weight: float = Field(0.25, ge=0, description="of the ID loss on the joint embedding")
    label_smoothing: float = Field(0.1, ge=0, lt=1, description="of the ID loss")


class PrototypeContrast(MemoryContrast["SupervisedReIDModel", "PrototypeMemory"]):
    """Contrast with one prototype per identity, and one classifier on the joint embedding."""

    name = "prototype_contrast"
    parameters: PCLParameters
    _memory: PrototypeMemory | None

    def epoch_batches(self, model: SupervisedReIDModel, data: TrainingData, epoch: int) -> Iterator[Batch]:
        """Make the prototypes of all identities with the model as it is, then yield PK batches."""
        from reid_pipeline.engine.batches import published_batches

        embeddings, memory = self.embed_all(model, data), self.parameters.memory
        self._memory = prototype_memory(embeddings, data.labels, memory, data.runtime.device)
        pixels = (model.encoder, self.parameters.augmentation)
        return published_batches(data, self.plan, pixels=pixels, position=(self.name, epoch))

    def step(self, model: SupervisedReIDModel, batch: Batch) -> StepOutput:
        """Contrast the batch's unit embeddings with all prototypes; classify them."""
        from torch.nn.functional import normalize

        from reid_pipeline.losses import identity_loss

        parameters = self.parameters
        outputs = model.classify(batch.images, batch.camids, batch.viewids)
        embeddings = normalize(outputs.embedding.float(), dim=1)
        losses = {"pcl": parameters.contrast_weight * self.memory.loss(embeddings, batch.labels)}
        if parameters.identity_weight:
            logits = outputs.logits[0].float()
            identity = identity_loss(logits, batch.labels, label_smoothing=parameters.label_smoothing)
            losses["identity"] = parameters.identity_weight * identity
        return StepOutput(losses, {"embeddings": embeddings})


def build(parameters: PCLParameters, population: Population) -> SupervisedReIDModel:
    """Return the pretrained encoder with two necks and a joint classifier; read after the necks."""
    from reid_pipeline.models.backbone import image_tower
    from reid_pipeline.models.supervised import SupervisedReIDModel

    encoder = image_tower(parameters.backbone, population)
    if parameters.freeze_patch_projection:
        freeze_patch_projection(encoder)
    return SupervisedReIDModel(encoder, population.identities, neck="after", joint_classifier=True)


METHOD = Method(
    name="pcl",
    params=PCLParameters,
    build=build,
    stages=lambda parameters: (PrototypeContrast(parameters),),
    stage_names=(PrototypeContrast.name,),
    label_use="all",
    description="Prototypical contrastive learning with identities, and no prompts.",
)
