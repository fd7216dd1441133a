"""Prototypical contrastive learning without labels (arXiv 2310.17218; methods.md section 8).

Every epoch: embed all training images, cluster them by their k-reciprocal Jaccard distance (DBSCAN, or another kind),
drop the noise, make one prototype per cluster, and contrast augmented batches with the prototypes. With `camera_aware`
clusters are split by camera, and batches are contrasted with those proxies (CAP, O2CAP). With `keep: best` the labels
of every model are judged without identities, the last one's too, and the model with the best ones is exported. With
`known_identities` and `tracklets` the clusters keep to what is known of some images (`clustering.constraints`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from pydantic import Field

from reid_pipeline.clustering.settings import ClusteringSettings
from reid_pipeline.engine.stage import Batch, Method, StepOutput, TrainingData, TrainingEnded, Work
from reid_pipeline.methods._known import constrained, label_facts, require_known
from reid_pipeline.methods._prototypes import (
    CameraAwareParameters,
    MemoryContrast,
    camera_aware_for,
    camera_aware_losses,
    freeze_patch_projection,
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

    Labels = tuple[np.ndarray | None, np.ndarray | None]


class UnsupervisedPCLParameters(RecipeParameters):
    """Parameters of `unsupervised_pcl`."""

    # The paper's constants are not public: `paper` has those of its authors' supervised release (PCL-CLIP).
    # `released` is another group's code (PCL-CLIP-USL), the only one without labels; the eps that it gives for single
    # benchmarks stand in conf/<benchmark>/.
    RECIPES: ClassVar = {
        "released": {
            "backbone": {"pixel_mean": (0.485, 0.456, 0.406), "pixel_std": (0.229, 0.224, 0.225)},
            "augmentation": {"erasing_fill": "imagenet_mean"},
            "clustering": {"kind": "dbscan", "eps": 0.5, "join_within": 0.0, "largest_share": 1.0},
            "embedding_precision": "float32",
            "keep": "last",
            "camera_aware": {"kind": "none"},
        },
        "paper": {
            "backbone": {"pixel_mean": (0.5, 0.5, 0.5), "pixel_std": (0.5, 0.5, 0.5)},
            "augmentation": {"erasing_fill": "mean"},
            "clustering": {"kind": "dbscan", "eps": 0.5, "join_within": 0.0, "largest_share": 1.0},
            "embedding_precision": "compute",
            "keep": "last",
            "camera_aware": {"kind": "none"},
        },
        # Nobody's published figures: for images that no recipe was tuned on (docs/methods.md).
        "own_data": {
            "backbone": {"pixel_mean": None, "pixel_std": None},
            "augmentation": {"erasing_fill": "mean"},
            "clustering": {"kind": "communities", "eps": 0.7, "join_within": 0.7, "largest_share": 0.1},
            "embedding_precision": "float32",
            "keep": "best",
            "camera_aware": {"kind": "auto"},
        },
    }

    recipe: Literal["released", "paper", "own_data"] = Field(
        "released",
        description="released: PCL-CLIP-USL, unofficial; paper: as the paper and its supervised release; own_data: for"
        " images that no recipe was tuned on",
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
    keep: Literal["last", "best"] = Field(
        "last", description="which model is exported; best: by its clusters, judged without labels, or before training"
    )
    known_identities: Literal["ignore", "use"] = Field(
        "ignore", description="use: where a part of the images has identities, these fix their clusters"
    )
    tracklets: Literal["ignore", "use"] = Field(
        "ignore", description="use: the images of a tracklet are in one cluster, where trackid is known"
    )
    memory: MemoryParameters
    camera_aware: CameraAwareParameters = CameraAwareParameters()


class FoundLabels(NamedTuple):
    """What training takes from a clustering: labels, int64 [n], -1 for noise, and the cut that gave them."""

    labels: np.ndarray
    eps: float


class ClusterContrastStage(MemoryContrast["ReIDModel", "PrototypeMemory | CameraProxyMemory"]):
    """Cluster, then contrast with the prototypes; anew every epoch."""

    name = "cluster_contrast"
    work = Work(embeds="each epoch", uncounted=("clustering",))
    parameters: UnsupervisedPCLParameters
    _memory: PrototypeMemory | CameraProxyMemory | None
    _epoch = 0
    _camera_aware: CameraAwareParameters  # as the cameras of the images have it
    _labels: Labels = None, None  # present, before
    _quality = 0.0

    def begin(self, model: ReIDModel, data: TrainingData) -> None:  # noqa: ARG002 - the data decide
        """Raise a UserError if what training uses is not there: known identities, tracklets."""
        require_known(data, self.parameters)

    def epoch_batches(self, model: ReIDModel, data: TrainingData, epoch: int) -> Iterator[Batch]:
        """Cluster all training images, then yield PK batches of pseudo labels, or camera-aware of proxies."""
        from reid_pipeline.engine.batches import augmented_batches

        self._epoch, self._camera_aware = epoch, camera_aware_for(self.parameters.camera_aware, data.camids)
        embeddings, found = self._cluster(model, data)
        self._check(found)
        labels = found.labels
        memory, parameters = self.parameters.memory, self._camera_aware
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
        memory, parameters = self.memory, self._camera_aware
        if isinstance(memory, PrototypeMemory):
            losses = {"pcl": memory.loss(embeddings, batch.labels)}
        else:
            losses = camera_aware_losses(memory, embeddings, batch.labels, parameters=parameters, epoch=self._epoch)
        return StepOutput(losses, {"embeddings": embeddings})

    def measure(self) -> float | None:
        """Return the quality of the epoch's labels, where the best model is exported."""
        return self._quality if self.parameters.keep == "best" else None

    def judge(self, model: ReIDModel, data: TrainingData) -> float:
        """Return the quality of the labels that the trained model gives; labels of no use to train with have some."""
        self._cluster(model, data)
        return self._quality

    def state(self) -> dict[str, Any]:
        """Return the labels of the last two clusterings, int64 [n] on the CPU, the earlier ones None at first."""
        import torch

        present, before = (None if each is None else torch.from_numpy(each) for each in self._labels)
        return {} if present is None else {"labels": {"present": present, "before": before}}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up the labels, from which the stability of the next ones is measured."""
        if "labels" in state:
            present, before = (state["labels"][name] for name in ("present", "before"))
            self._labels = present.numpy(), None if before is None else before.numpy()

    def _cluster(self, model: ReIDModel, data: TrainingData) -> tuple[np.ndarray, FoundLabels]:
        """Return the embeddings of all training images, and their labels, whose figures are noted."""
        embeddings = self.embed_all(model, data, float32=self.parameters.embedding_precision == "float32")
        started = time.perf_counter()
        before = self._labels[0]
        made = data.runtime.processes.once(lambda: self._clusters(embeddings, data, before), "clustering")
        found, facts = FoundLabels(*made[:2]), made[2]
        self._labels, self._quality = (found.labels, before), facts["cluster_quality"]
        self._facts["seconds"]["clustering"] = time.perf_counter() - started
        self._facts |= facts
        return embeddings, found

    def _clusters(
        self, embeddings: np.ndarray, data: TrainingData, before: np.ndarray | None
    ) -> tuple[np.ndarray, float, dict[str, Any]]:
        """Return the labels that the embeddings give, the cut that gave them, and their figures."""
        from reid_pipeline.clustering import cluster_features, cluster_quality, label_measures

        clustered = cluster_features(embeddings, self.parameters.clustering)
        found = constrained(clustered, data, self.parameters)
        measures = label_measures(found.silhouettes, found.labels, before=before, camids=data.camids)
        quality = cluster_quality(embeddings, self.parameters.clustering, clustered)
        facts = label_facts(found, clustered, data) | measures | {"cluster_quality": quality}
        facts |= {"eps": found.eps, "split_clusters": found.split}
        return found.labels, found.eps, facts

    def _check(self, found: FoundLabels) -> None:
        """Raise ClusteringCollapse for labels of no use; TrainingEnded where a model before can be exported."""
        from reid_pipeline.clustering import ClusteringCollapse, check_collapse

        settings = self.parameters.clustering.model_copy(update={"eps": found.eps})
        try:
            check_collapse(found.labels, settings=settings, max_noise_share=settings.max_noise_share)
        except ClusteringCollapse as error:
            if self.parameters.keep == "best" and self._epoch > 1:
                raise TrainingEnded(str(error)) from error
            raise


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
    label_use_by=lambda parameters: "partial" if parameters.known_identities == "use" else "none",
    clusters=True,
    description="Prototypical contrastive learning from clusters, without one label.",
)
