"""Clustering that embeds less: in some epochs alone, or in each epoch those rows alone whose cluster is in doubt.

At millions of images nearly all of an epoch is their embedding. `every` leaves whole epochs out: labels and memory go
on. `refresh: changed` keeps the vectors of rows that lie well within their cluster, each with the epoch that it is of.
Imports no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, model_validator

from reid_pipeline.clustering.settings import ClusteringSettings
from reid_pipeline.engine.stage import TrainingData
from reid_pipeline.schema.base import Parameters
from reid_pipeline.schema.parameters import MemoryParameters, Share

if TYPE_CHECKING:
    import numpy as np
    import torch

    from reid_pipeline.losses import CameraProxyMemory, PrototypeMemory
    from reid_pipeline.methods._prototypes import CameraAwareParameters

    Memory = PrototypeMemory | CameraProxyMemory

OF_THE_MODEL = ("seconds", "stability", "cluster_quality", "embedded_share", "mean_age", "oldest_age")
"""Facts of an epoch that are not those of its labels: an epoch that clusters nothing has none of them."""
_NOISE = -2.0
"""In the place of a silhouette, which is -1 at least."""


class ChangedRows(Parameters):
    """Which rows `refresh: changed` embeds anew, beside all rows of noise."""

    border: Share = Field(0.2, description="of the clustered rows, those with the smallest silhouettes")
    sampled: Share = Field(0.2, description="of the others, sampled anew each time")
    oldest: int = Field(4, ge=1, description="epochs; an older vector is embedded anew, whatever its row")


class EpochClustering(ClusteringSettings):
    """The clustering of a training: how, how often, and which rows are embedded for it."""

    every: int = Field(1, ge=1, description="epochs from one clustering to the next; labels and memory go on between")
    refresh: Literal["all", "changed"] = Field(
        "all", description="rows that are embedded anew; changed: noise, those near a border, a sample, and old ones"
    )
    changed: ChangedRows = ChangedRows()

    @model_validator(mode="after")
    def _some_stay(self) -> Self:
        if self.refresh == "changed" and self.every > self.changed.oldest:
            raise ValueError(
                f"refresh: changed would keep no vector: they are {self.every} epochs old at the next clustering"
                f" and are embedded anew when older than {self.changed.oldest} (changed.oldest). Give changed.oldest"
                f" {2 * self.every} or more, or refresh: all"
            )
        return self

    def falls_on(self, epoch: int) -> bool:
        """Return whether an epoch, from 1, clusters: 1, 1 + every, 1 + 2 every ..."""
        return (epoch - 1) % self.every == 0

    @property
    def least_share(self) -> float:
        """The share of the rows that a clustering after the first embeds at least: without noise and old rows."""
        changed = self.changed
        return 1.0 if self.refresh == "all" else changed.border + (1 - changed.border) * changed.sampled


class RowVectors:
    """The vectors of all training images, each with the epoch by whose first model it was embedded."""

    def __init__(self, settings: EpochClustering) -> None:
        self.settings = settings
        self.vectors: np.ndarray | None = None  # float32 [n, D], unit rows
        self.origins: np.ndarray | None = None  # int64 [n], epochs from 1
        self._silhouettes: np.ndarray | None = None  # float64 [n], of the last clustering; noise -2

    def renewed(
        self, embed: Callable[[TrainingData], np.ndarray], data: TrainingData, *, stage: str, epoch: int
    ) -> np.ndarray:
        """Return the vectors, float32 [n, D], after those that are due were embedded anew.

        `embed` is asked for those rows alone, and not at all where none is due.
        """
        import numpy as np

        due = self.due(data.seed, stage=stage, epoch=epoch)
        if self.vectors is None or self.origins is None or due is None or due.all():
            self.vectors, self.origins = embed(data), np.full(len(data.labels), epoch, dtype=np.int64)
        elif due.any():
            self.vectors[due] = embed(_part(data, np.flatnonzero(due)))
            self.origins = np.where(due, epoch, self.origins)
        return self.vectors

    def due(self, seed: int, *, stage: str, epoch: int) -> np.ndarray | None:
        """Return which rows are embedded anew, bool [n]; None before the first clustering: all.

        The sample is a function of seed, stage, epoch and row: a resumed run has the same.
        """
        import numpy as np

        from reid_pipeline.engine.seeding import numpy_generator

        if self.origins is None or self._silhouettes is None:
            return None
        changed = self.settings.changed
        sampled = numpy_generator(seed, stage, "refresh", epoch).random(len(self.origins)) < changed.sampled
        noise = self._silhouettes == _NOISE
        due: np.ndarray = noise | sampled | (epoch - self.origins > changed.oldest)
        clustered = np.flatnonzero(~noise)
        order = clustered[np.argsort(self._silhouettes[clustered], kind="stable")]
        due[order[: int(np.ceil(changed.border * len(clustered)))]] = True
        return due

    def seen(self, labels: np.ndarray, silhouettes: np.ndarray) -> None:
        """Note how well each row lies within its cluster: it decides what the next clustering embeds."""
        import numpy as np

        self._silhouettes = np.where(labels < 0, _NOISE, silhouettes)

    def facts(self, epoch: int) -> dict[str, Any]:
        """Return what the history has: the share that was embedded in this epoch, mean and greatest age in epochs."""
        if self.origins is None:
            return {}
        ages = epoch - self.origins
        return {
            "embedded_share": float((ages == 0).mean()),
            "mean_age": float(ages.mean()),
            "oldest_age": int(ages.max()),
        }

    def state(self) -> dict[str, torch.Tensor]:
        """Return all that the next clustering needs, on the CPU; nothing before the first."""
        import torch

        named = {"vectors": self.vectors, "origins": self.origins, "silhouettes": self._silhouettes}
        return {name: torch.from_numpy(each) for name, each in named.items() if each is not None}

    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        """Take up what `state` returned."""
        named = ("vectors", "origins", "silhouettes")
        self.vectors, self.origins, self._silhouettes = (state[name].clone().numpy() for name in named)


def facts_of_labels(facts: Mapping[str, Any], clustered_in: int) -> dict[str, Any]:
    """Return those facts of an epoch that hold for each later one with its labels, and which epoch it was."""
    return {name: value for name, value in facts.items() if name not in OF_THE_MODEL} | {"clustered_in": clustered_in}


def memory_tensors(memory: Memory) -> dict[str, torch.Tensor]:
    """Return the tensors that a memory is made again from: the live ones."""
    from reid_pipeline.losses import PrototypeMemory

    if isinstance(memory, PrototypeMemory):
        return {"prototypes": memory.prototypes}
    return {"prototypes": memory.memory.prototypes, "clusters": memory.clusters, "camids": memory.camids}


def memory_from(
    tensors: Mapping[str, torch.Tensor], parameters: MemoryParameters, camera_aware: CameraAwareParameters
) -> Memory:
    """Return the memory that has these tensors, on the CPU: of proxies where `clusters` are among them."""
    from reid_pipeline.losses import CameraProxyMemory, PrototypeMemory

    if "clusters" not in tensors:
        return PrototypeMemory(tensors["prototypes"], **parameters.model_dump())
    tempered = parameters.model_copy(update={"temperature": camera_aware.temperature})
    return CameraProxyMemory(
        PrototypeMemory(tensors["prototypes"], **tempered.model_dump()),
        tensors["clusters"],
        tensors["camids"],
        hard_negatives=camera_aware.hard_negatives,
        camera_reduction=camera_aware.camera_reduction,
    )


def _part(data: TrainingData, rows: np.ndarray) -> TrainingData:
    """Return the training data of some rows, int64 [m], as far as an embedding reads them."""
    from reid_pipeline.images.part import PartOfImages

    camids, viewids = (None if each is None else each[rows] for each in data.ids)
    images = PartOfImages(data.plain_images, rows)
    return replace(
        data, images=images, evaluation_images=None, labels=data.labels[rows], camids=camids, viewids=viewids,
        trackids=None,
    )  # fmt: skip
