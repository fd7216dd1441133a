"""Supervised prototypical contrastive learning: no text, no prompts (methods.md section 6).

Every epoch the prototypes are made anew from the embeddings of all training images; every step contrasts a
batch with them and moves them. Source: Li and Gong, Prototypical Contrastive Learning-based CLIP Fine-tuning
for Object Re-identification, arXiv 2310.17218.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from reid_pipeline.engine.stage import Batch, Method, Stage, StepOutput, TrainingData
from reid_pipeline.schema.base import RecipeParameters
from reid_pipeline.schema.parameters import AugmentationParameters, BackboneParameters, MemoryParameters, TrainingPlan
from reid_pipeline.schema.population import Population

if TYPE_CHECKING:
    from torch import nn

    from reid_pipeline.losses import PrototypeMemory
    from reid_pipeline.models.supervised import SupervisedReIDModel


class PCLParameters(RecipeParameters):
    """All that `pcl` can be told."""

    # PCL-CLIP's code erases with 0.5 after normalisation, which is neither the mean nor a noise.
    RECIPES: ClassVar = {
        "released": {"augmentation": {"erasing_fill": "half"}, "memory": {"update": "hard"}},
        "corrected": {"augmentation": {"erasing_fill": "mean"}, "memory": {"update": "mean"}},
    }

    backbone: BackboneParameters
    freeze_patch_projection: bool = Field(True, description="conv1 stays as pretrained (MoCo v3)")
    augmentation: AugmentationParameters
    plan: TrainingPlan
    memory: MemoryParameters
    contrast_weight: float = Field(1.0, ge=0, description="of the prototypical contrast")
    identity_weight: float = Field(0.25, ge=0, description="of the ID loss on the joint embedding")
    label_smoothing: float = Field(0.1, ge=0, lt=1, description="of the ID loss")


class PrototypeContrast(Stage):
    """Contrast with one prototype per identity, and one classifier on the joint embedding."""

    name = "prototype_contrast"

    def __init__(self, parameters: PCLParameters) -> None:
        super().__init__(parameters.plan)
        self.parameters = parameters
        self._memory: PrototypeMemory | None = None
        self._seconds: dict[str, float] = {}

    def epoch_batches(self, model: nn.Module, data: TrainingData, epoch: int) -> Iterator[Batch]:
        """Make the prototypes of all identities with the model as it is, then yield PK batches."""
        from reid_pipeline.engine.batches import published_batches

        self._memory = self._prototypes_of(model, data)
        pixels = (model.encoder, self.parameters.augmentation)
        return published_batches(data, self.plan, pixels=pixels, position=(self.name, epoch))

    def step(self, model: nn.Module, batch: Batch) -> StepOutput:
        """Contrast the batch's unit embeddings with all prototypes; classify them."""
        from torch.nn.functional import normalize

        from reid_pipeline.losses import identity_loss

        said = model.classify(batch.images, batch.camids, batch.viewids)  # type: ignore[operator]
        chosen = self.parameters
        embeddings = normalize(said.embedding.float(), dim=1)
        losses = {"pcl": chosen.contrast_weight * self._prototypes().loss(embeddings, batch.labels)}
        if chosen.identity_weight:
            logits = said.logits[0].float()
            identity = identity_loss(logits, batch.labels, label_smoothing=chosen.label_smoothing)
            losses["identity"] = chosen.identity_weight * identity
        return StepOutput(losses, {"embeddings": embeddings})

    def after_step(self, batch: Batch, output: StepOutput) -> None:
        """Move the prototypes towards the step's own embeddings."""
        self._prototypes().update(output.kept["embeddings"], batch.labels)

    def facts(self) -> Mapping[str, Any]:
        """Return the seconds of the extraction."""
        return {"seconds": self._seconds}

    def _prototypes(self) -> PrototypeMemory:
        if self._memory is None:
            raise RuntimeError("epoch_batches() makes the prototype memory; call it first")
        return self._memory

    def _prototypes_of(self, model: nn.Module, data: TrainingData) -> PrototypeMemory:
        from reid_pipeline.evaluation.extraction import extract_embeddings
        from reid_pipeline.methods._prototypes import prototype_memory

        started = time.perf_counter()
        embeddings = extract_embeddings(
            model.embedder(),  # type: ignore[operator]
            data.plain_images,
            data.runtime,
            camids=data.camids,
            viewids=data.viewids,
        )
        self._seconds = {"extraction": time.perf_counter() - started}
        return prototype_memory(embeddings, data.labels, self.parameters.memory, data.runtime.device)


def build(parameters: PCLParameters, population: Population) -> SupervisedReIDModel:
    """Return the pretrained encoder with two necks and a joint classifier; read after the necks."""
    from reid_pipeline.models.backbone import image_tower
    from reid_pipeline.models.supervised import SupervisedReIDModel

    encoder = image_tower(parameters.backbone, population)
    if parameters.freeze_patch_projection:
        encoder.freeze_patch_projection()
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
