"""Prototypical contrastive learning without labels (arXiv 2310.17218; methods.md section 8).

Every epoch: embed all training images, cluster them by their k-reciprocal Jaccard distance with DBSCAN, drop the noise,
make one prototype per cluster, and contrast augmented batches with the prototypes. With `camera_aware` clusters are
split by camera, and batches are contrasted with those proxies (CAP, O2CAP).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from reid_pipeline.clustering.settings import ClusteringSettings
from reid_pipeline.engine.stage import Batch, Method, StepOutput, TrainingData
from reid_pipeline.methods._prototypes import (
    CameraAwareParameters,
    MemoryContrast,
    camera_aware_losses,
    freeze_patch_projection,
    known_cameras,
    prototype_memory,
    proxy_memory,
)
from reid_pipeline.schema.base import RecipeParameters
from reid_pipeline.schema.parameters import AugmentationParameters, BackboneParameters, MemoryParameters, TowerPlan
from reid_pipeline.schema.population import Population

if TYPE_CHECKING:
    import numpy as np

    from reid_pipeline.losses import CameraProxyMemory, PrototypeMemory
    from reid_pipeline.models.reid_model import ReIDModel


class UnsupervisedPCLParameters(RecipeParameters):
    """Parameters of `unsupervised_pcl`."""

    # The paper's constants are not public: `paper` has those of its authors' supervised release (PCL-CLIP).
    # `released` is another group's code (PCL-CLIP-USL), the only one without labels; the eps that it gives for single
    # benchmarks stand in conf/<benchmark>/.
    RECIPES: ClassVar = {
        "released": {
            "backbone": {"pixel_mean": (0.485, 0.456, 0.406), "pixel_std": (0.229, 0.224, 0.225)},
            "augmentation": {"erasing_fill": "imagenet_mean"},
            "clustering": {"eps": 0.5},
            "embedding_precision": "float32",
        },
        "paper": {
            "backbone": {"pixel_mean": (0.5, 0.5, 0.5), "pixel_std": (0.5, 0.5, 0.5)},
            "augmentation": {"erasing_fill": "mean"},
            "clustering": {"eps": 0.5},
            "embedding_precision": "compute",
        },
    }

    recipe: Literal["released", "paper"] = Field(
        "released", description="released: PCL-CLIP-USL, unofficial; paper: as the paper and its supervised release"
    )
    backbone: BackboneParameters
    freeze_patch_projection: bool = Field(
        True, description="the patch projection, where the tower has one, stays as pretrained (MoCo v3)"
    )
    augmentation: AugmentationParameters
    plan: TowerPlan
    embedding_precision: Literal["float32", "compute"] = Field(
        "float32", description="of the embeddings that are clustered; compute: as compute.precision"
    )
    clustering: ClusteringSettings
    memory: MemoryParameters
    camera_aware: CameraAwareParameters = CameraAwareParameters()


class ClusterContrastStage(MemoryContrast["ReIDModel", "PrototypeMemory | CameraProxyMemory"]):
    """Cluster, then contrast with the prototypes; anew every epoch."""

    name = "cluster_contrast"
    parameters: UnsupervisedPCLParameters
    _memory: PrototypeMemory | CameraProxyMemory | None
    _epoch = 0

    def begin(self, model: ReIDModel, data: TrainingData) -> None:  # noqa: ARG002 - the data decide
        """Raise a UserError if training is camera-aware, and there are no two cameras, or images without."""
        if self.parameters.camera_aware.kind != "none":
            known_cameras(data.camids)

    def epoch_batches(self, model: ReIDModel, data: TrainingData, epoch: int) -> Iterator[Batch]:
        """Cluster all training images, then yield PK batches of pseudo labels, or camera-aware of proxies."""
        from reid_pipeline.engine.batches import augmented_batches

        precise = self.parameters.embedding_precision == "float32"
        self._epoch, embeddings = epoch, self.embed_all(model, data, float32=precise)
        labels = self._cluster(embeddings, data)
        memory, parameters = self.parameters.memory, self.parameters.camera_aware
        if parameters.kind == "none":
            self._memory = prototype_memory(embeddings, labels, memory, data.runtime.device)
        else:
            labels, proxies = proxy_memory(embeddings, labels, data.camids, memory, parameters)
            self._memory = proxies.to(data.runtime.device)
            self._facts["proxies"] = len(proxies.clusters)
        pixels = (model.encoder, self.parameters.augmentation)
        return augmented_batches(labels, data, self.plan, pixels=pixels, position=(self.name, epoch))

    def step(self, model: ReIDModel, batch: Batch) -> StepOutput:
        """Contrast the batch's unit embeddings with the prototypes, or with the proxies."""
        from torch.nn.functional import normalize

        from reid_pipeline.losses import PrototypeMemory

        embeddings = normalize(model.embed(batch.images, batch.camids, batch.viewids).float(), dim=1)
        memory, parameters = self.memory, self.parameters.camera_aware
        if isinstance(memory, PrototypeMemory):
            losses = {"pcl": memory.loss(embeddings, batch.labels)}
        else:
            losses = camera_aware_losses(memory, embeddings, batch.labels, parameters=parameters, epoch=self._epoch)
        return StepOutput(losses, {"embeddings": embeddings})

    def _cluster(self, embeddings: np.ndarray, data: TrainingData) -> np.ndarray:
        from reid_pipeline.clustering import check_collapse, cluster_features, pseudo_label_quality

        settings, started = self.parameters.clustering, time.perf_counter()
        found = cluster_features(embeddings, settings)
        self._facts["seconds"]["clustering"] = time.perf_counter() - started
        # Agreement with identities only where these are known; never used in training.
        known = data.labels if (data.labels >= 0).all() else None
        self._facts |= pseudo_label_quality(found.labels, known).facts()
        in_force = settings.model_copy(update={"eps": found.eps})
        check_collapse(found.labels, settings=in_force, max_noise_share=settings.max_noise_share)
        return found.labels


def build(parameters: UnsupervisedPCLParameters, population: Population) -> ReIDModel:
    """Return the pretrained encoder with two necks; the embedding is read after them."""
    from reid_pipeline.models.reid_model import ReIDModel

    model = ReIDModel.from_backbone(parameters.backbone, population, neck="after")
    if parameters.freeze_patch_projection:
        freeze_patch_projection(model.encoder)
    return model


METHOD = Method(
    name="unsupervised_pcl",
    params=UnsupervisedPCLParameters,
    build=build,
    stages=lambda parameters: (ClusterContrastStage(parameters),),
    stage_names=(ClusterContrastStage.name,),
    label_use="none",
    clusters=True,
    description="Prototypical contrastive learning from clusters, without one label.",
)
