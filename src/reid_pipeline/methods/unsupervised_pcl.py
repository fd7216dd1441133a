"""Prototypical contrastive learning without labels (arXiv 2310.17218; methods.md section 8).

Every epoch: embed all training images, cluster them by their k-reciprocal Jaccard distance (DBSCAN, or another kind),
drop the noise, make one prototype per cluster, and contrast augmented batches with the prototypes. With `camera_aware`
clusters are split by camera, and batches are contrasted with those proxies (CAP, O2CAP). With `keep: best` the labels
of every model are judged without identities, the last one's too, and the model with the best ones is exported. With
`known_identities` and `tracklets` the clusters keep to what is known of some images (`clustering.constraints`). With
`clustering.every` and `clustering.refresh` less is embedded (`_refreshed`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from pydantic import Field

from reid_pipeline.engine.shown_clustering import shown_clustering
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
from reid_pipeline.methods._refreshed import EpochClustering, RowVectors, facts_of_labels, memory_from, memory_tensors
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
    clustering: EpochClustering
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
    """What training takes from a clustering: labels, int64 [n], -1 for noise, their cut, and silhouettes [n]."""

    labels: np.ndarray
    eps: float
    silhouettes: np.ndarray


class ClusterContrastStage(MemoryContrast["ReIDModel", "PrototypeMemory | CameraProxyMemory"]):
    """Cluster, then contrast with the prototypes; anew every epoch."""

    name = "cluster_contrast"
    work = Work(embeds="each epoch", uncounted=("clustering",))
    parameters: UnsupervisedPCLParameters
    _memory: PrototypeMemory | CameraProxyMemory | None
    _epoch = 0
    _camera_aware: CameraAwareParameters  # as the cameras of the images have it
    _labels: Labels = None, None  # present, before
    _quality: float | None = 0.0
    _labels_of_epoch: dict[str, Any] | None = None  # what epochs that do not cluster go on with, as it is stored

    def __init__(self, parameters: UnsupervisedPCLParameters) -> None:
        super().__init__(parameters)
        settings = parameters.clustering
        self._rows = RowVectors(settings)
        uncounted = () if settings.refresh == "all" else ("the vectors of noise and of old rows",)
        self.work = self.work._replace(
            embeds_every=settings.every, embeds_share=settings.least_share, uncounted=(*self.work.uncounted, *uncounted)
        )

    def begin(self, model: ReIDModel, data: TrainingData) -> None:  # noqa: ARG002 - the data decide
        """Raise a UserError if what training uses is not there: known identities, tracklets."""
        require_known(data, self.parameters)

    def epoch_batches(self, model: ReIDModel, data: TrainingData, epoch: int) -> Iterator[Batch]:
        """Cluster all training images, or go on with labels and memory; yield PK batches of labels, or of proxies."""
        from reid_pipeline.engine.batches import augmented_batches

        self._epoch, self._camera_aware = epoch, camera_aware_for(self.parameters.camera_aware, data.camids)
        labels = self._contrast_anew(model, data) if self.parameters.clustering.falls_on(epoch) else self._go_on(data)
        pixels = (model.encoder, self.parameters.augmentation)
        return augmented_batches(labels, data, self.plan, pixels=pixels, position=(self.name, epoch))

    def _contrast_anew(self, model: ReIDModel, data: TrainingData) -> np.ndarray:
        """Cluster, and make the memory of the clusters; return the labels of batches, int64 [n], -1: in none."""
        embeddings = self._vectors(model, data)
        found = self._cluster(embeddings, data)
        if self.parameters.clustering.refresh == "changed":
            self._rows.seen(found.labels, found.silhouettes)
        self._check(found)
        labels = found.labels
        memory, parameters = self.parameters.memory, self._camera_aware
        if parameters.kind == "none":
            self._memory = prototype_memory(embeddings, labels, memory, data.runtime.device)
        else:
            labels, proxies = proxy_memory(embeddings, labels, data.camids, memory, parameters)
            self._memory = proxies.to(data.runtime.device)
            self._facts["proxies"] = len(proxies.clusters)
        if self.parameters.clustering.every > 1:
            self._facts["clustered_in"] = self._epoch
            self._labels_of_epoch = {"labels": labels, "facts": facts_of_labels(self._facts, self._epoch)}
        return labels

    def _go_on(self, data: TrainingData) -> np.ndarray:
        """Return the labels of the last clustering, as above; the memory stays as the steps left it."""
        if self._labels_of_epoch is None:
            raise RuntimeError("this epoch clusters nothing, and no epoch before it did")
        if self._memory is None:
            memory = memory_from(self._labels_of_epoch["memory"], self.parameters.memory, self._camera_aware)
            self._memory = memory.to(data.runtime.device)
        self._quality = None
        self._facts = {**self._labels_of_epoch["facts"], "seconds": {"extraction": 0.0, "clustering": 0.0}}
        labels: np.ndarray = self._labels_of_epoch["labels"]
        return labels

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
        """Return the quality of the epoch's labels, where the best model is exported, and they are of one model."""
        return self._quality if self.parameters.keep == "best" else None

    def judge(self, model: ReIDModel, data: TrainingData) -> float | None:
        """Return the quality of the labels that the trained model gives; labels of no use to train with have some."""
        self._cluster(self._embedded(model, data), data)
        return self._quality

    def state(self) -> dict[str, Any]:
        """Return the labels of the last two clusterings, int64 [n] on the CPU, the earlier ones None at first.

        And what `clustering.every` and `clustering.refresh` go on with, where these are asked for.
        """
        import torch

        present, before = (None if each is None else torch.from_numpy(each) for each in self._labels)
        found: dict[str, Any] = {} if present is None else {"labels": {"present": present, "before": before}}
        if (last := self._labels_of_epoch) is not None:
            memory = last["memory"] if self._memory is None else memory_tensors(self._memory)
            found["clustered"] = {**last, "labels": torch.from_numpy(last["labels"]), "memory": memory}
        return found | ({"vectors": vectors} if (vectors := self._rows.state()) else {})

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up the labels, from which the stability of the next ones is measured, and the rest of `state`."""
        if "labels" in state:
            present, before = (state["labels"][name] for name in ("present", "before"))
            self._labels = present.numpy(), None if before is None else before.numpy()
        settings = self.parameters.clustering
        if settings.every > 1:
            self._labels_of_epoch = {**state["clustered"], "labels": state["clustered"]["labels"].numpy()}
        if settings.refresh == "changed":
            self._rows.restore(state["vectors"])

    def _embedded(self, model: ReIDModel, data: TrainingData) -> np.ndarray:
        return self.embed_all(model, data, float32=self.parameters.embedding_precision == "float32")

    def _vectors(self, model: ReIDModel, data: TrainingData) -> np.ndarray:
        """Return the vectors that are clustered: of this model, or with `refresh: changed` some of earlier ones."""
        if self.parameters.clustering.refresh == "all":
            return self._embedded(model, data)
        self._facts = {"seconds": {"extraction": 0.0}}
        vectors = self._rows.renewed(partial(self._embedded, model), data, stage=self.name, epoch=self._epoch)
        self._facts |= self._rows.facts(self._epoch)
        return vectors

    def _cluster(self, embeddings: np.ndarray, data: TrainingData) -> FoundLabels:
        """Return the labels of all training images by their embeddings, float32 [n, D]; their figures are noted."""
        started, before = time.perf_counter(), self._labels[0]
        made = data.runtime.processes.once(lambda: self._clusters(embeddings, data, before), "clustering")
        found, facts = FoundLabels(*made[:3]), made[3]
        self._labels = found.labels, before
        self._quality = facts["cluster_quality"] if self._facts.get("embedded_share", 1.0) == 1.0 else None
        self._facts["seconds"]["clustering"] = time.perf_counter() - started
        self._facts |= facts
        return found

    def _clusters(
        self, embeddings: np.ndarray, data: TrainingData, before: np.ndarray | None
    ) -> tuple[np.ndarray, float, np.ndarray, dict[str, Any]]:
        """Return the labels that the embeddings give, as in `FoundLabels`, and their figures."""
        from reid_pipeline.clustering import cluster_quality, label_measures

        clustered = shown_clustering(embeddings, self.parameters.clustering)
        found = constrained(clustered, data, self.parameters)
        measures = label_measures(found.silhouettes, found.labels, before=before, camids=data.camids)
        quality = cluster_quality(embeddings, self.parameters.clustering, clustered)
        facts = {"cluster_quality": quality, "eps": found.eps, "split_clusters": found.split}
        return found.labels, found.eps, found.silhouettes, label_facts(found, clustered, data) | measures | facts

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
