"""Contrast with a memory that is made anew every epoch: prototypes, or camera-aware proxies. Imports no torch."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from pydantic import Field

from reid_pipeline.engine.stage import Batch, Stage, StepOutput, TrainingData, Work
from reid_pipeline.schema.base import Parameters
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.parameters import MemoryParameters, Share

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor

    from reid_pipeline.losses import CameraProxyMemory, PrototypeMemory
    from reid_pipeline.models.image_encoder import ImageEncoder
    from reid_pipeline.models.reid_model import ReIDModel

Model = TypeVar("Model", bound="ReIDModel")
Memory = TypeVar("Memory", bound="PrototypeMemory | CameraProxyMemory")

_log = logging.getLogger(__name__)


class CapParameters(Parameters):
    """CAP: a loss within the row's camera, and one across cameras."""

    intra_weight: float = Field(1.0, gt=0, description="of the loss within the camera")
    inter_weight: float = Field(0.5, ge=0, description="of the loss across cameras")
    inter_from_epoch: int = Field(6, ge=1, description="first epoch with the loss across cameras")
    own_proxy: bool = Field(False, description="the row's own proxy is among the positives across cameras")


class O2capParameters(Parameters):
    """O2CAP: association by clusters (offline), and by similarity at the step (online)."""

    intra_weight: float = Field(0.0, ge=0, description="of the loss within the camera")
    offline_weight: float = Field(1.0, gt=0, description="of the loss against the proxies of the cluster")
    online_weight: float = Field(1.0, ge=0, description="of the loss against the proxies found at the step")
    online_from_epoch: int = Field(1, ge=1, description="first epoch with the online loss")
    online_positives: int = Field(3, ge=1, description="proxies found, of different cameras")
    instance_share: Share = Field(0.15, description="of the row's own embedding in the similarity, beside its proxy's")
    camera_penalty: float = Field(0.0, ge=0, description="taken off the similarity of the own camera, among positives")


class CameraAwareParameters(Parameters):
    """Clusters split by camera into proxies, and their losses; none: one prototype per cluster."""

    kind: Literal["none", "cap", "o2cap", "auto"] = Field(
        "none", description="auto: o2cap where every image has a camera, of two at least; else none"
    )
    temperature: float = Field(0.07, gt=0, description="in the place of memory.temperature")
    hard_negatives: int = Field(50, ge=1, description="most similar proxies that a row is pushed from")
    camera_reduction: Literal["sum", "mean"] = Field("mean", description="of a loss, over the cameras of a batch")
    cap: CapParameters = CapParameters()
    o2cap: O2capParameters = O2capParameters()


class MemoryContrast(Stage[Model], Generic[Model, Memory]):
    """A stage whose steps contrast with a memory and move it; `epoch_batches` makes it."""

    work = Work(embeds="each epoch")

    def __init__(self, parameters: Any) -> None:
        super().__init__(parameters.plan)
        self.parameters = parameters
        self._memory: Memory | None = None
        self._facts: dict[str, Any] = {}

    @property
    def memory(self) -> Memory:
        """The memory of this epoch."""
        if self._memory is None:
            raise RuntimeError("epoch_batches() makes the prototype memory; call it first")
        return self._memory

    def after_step(self, batch: Batch, output: StepOutput) -> None:
        """Move the memory towards the step's own embeddings."""
        self.memory.update(output.retained["embeddings"], batch.labels, stopped=output.stopped)

    def facts(self) -> Mapping[str, Any]:
        """Return what the epoch's embedding and clustering noted, with their seconds."""
        return self._facts

    def embed_all(self, model: Model, data: TrainingData, *, float32: bool = False) -> np.ndarray:
        """Return the unit embeddings of all training images, not augmented: float32 [n, D].

        With `float32` they are computed so, whatever the precision of the training steps.
        """
        from reid_pipeline.evaluation.extraction import extract_embeddings

        started = time.perf_counter()
        runtime = replace(data.runtime, precision="float32") if float32 else data.runtime
        embeddings = extract_embeddings(model.embedder(), data.plain_images, runtime, ids=data.ids)
        self._facts = {"seconds": {"extraction": time.perf_counter() - started}}
        return embeddings


def freeze_patch_projection(encoder: ImageEncoder) -> None:
    """Stop training of a tower's patch projection; where it has none there is nothing to freeze, which is noted once.

    The parameter that asks for it stands in the published plans, which are to start with any tower as they are.
    """
    try:
        encoder.freeze_patch_projection()
    except UserError:
        _note_no_patches(encoder.name, encoder.KIND)


@cache
def _note_no_patches(name: str, kind: str) -> None:
    _log.info("%s (%s) has no patch projection: freeze_patch_projection freezes nothing.", name, kind)


def prototype_memory(
    embeddings: np.ndarray, labels: np.ndarray, memory: MemoryParameters, device: torch.device
) -> PrototypeMemory:
    """Return a memory of one prototype for each label, int64 [n], but those below 0, from unit rows, float32 [n, D]."""
    import torch

    from reid_pipeline.losses import PrototypeMemory

    labelled = labels >= 0
    rows, identities = torch.from_numpy(embeddings[labelled]), torch.from_numpy(labels[labelled])
    return PrototypeMemory.from_embeddings(rows, identities, int(labels.max()) + 1, **memory.model_dump()).to(device)


def known_cameras(camids: np.ndarray | None) -> np.ndarray:
    """Return the camids of camera-aware training, int64 [n]; a UserError if an image's is unknown, or no two differ."""
    from reid_pipeline.clustering import check_known_cameras

    if camids is not None:
        check_known_cameras(camids)
    cameras = 0 if camids is None else len(set(camids.tolist()))
    if camids is None or cameras < 2:
        raise UserError(
            f"The training images have {cameras or 'no'} camera{'s' if cameras != 1 else ''}, and camera-aware training"
            " contrasts images of different ones: at least 2 are needed. Give camids, or train without them"
            " (camera_aware.kind: none; without overlay=cap and overlay=o2cap)."
        )
    return camids


def camera_aware_for(parameters: CameraAwareParameters, camids: np.ndarray | None) -> CameraAwareParameters:
    """Return the parameters with `auto` resolved for camids, int64 [n], or None.

    Raises:
        UserError: a kind is given that needs cameras, and an image's is unknown, or no two differ.
    """
    if parameters.kind == "auto":
        fits = camids is not None and bool((camids >= 0).all()) and len(set(camids.tolist())) > 1
        return parameters.model_copy(update={"kind": "o2cap" if fits else "none"})
    if parameters.kind != "none":
        known_cameras(camids)
    return parameters


def proxy_memory(
    embeddings: np.ndarray,
    pseudo_labels: np.ndarray,
    camids: np.ndarray | None,
    memory: MemoryParameters,
    parameters: CameraAwareParameters,
) -> tuple[np.ndarray, CameraProxyMemory]:
    """Split clusters by camera; return the proxy of each row, int64 [n], -1 for noise, and their memory.

    Arrays are those of `prototype_memory`; the temperature is that of `parameters`, not that of `memory`.
    """
    import torch

    from reid_pipeline.clustering import split_by_camera
    from reid_pipeline.losses import CameraProxyMemory

    proxies = split_by_camera(pseudo_labels, known_cameras(camids))
    tempered = memory.model_copy(update={"temperature": parameters.temperature})
    return proxies.labels, CameraProxyMemory(
        prototype_memory(embeddings, proxies.labels, tempered, torch.device("cpu")),
        torch.from_numpy(proxies.clusters),
        torch.from_numpy(proxies.camids),
        hard_negatives=parameters.hard_negatives,
        camera_reduction=parameters.camera_reduction,
    )


def camera_aware_losses(
    memory: CameraProxyMemory, embeddings: Tensor, proxies: Tensor, *, parameters: CameraAwareParameters, epoch: int
) -> dict[str, Tensor]:
    """Return the weighted losses, by name, of embeddings [B, D] and their proxies [B]; a weight of 0 leaves one out."""
    rows = (embeddings, proxies)
    if parameters.kind == "cap":
        cap = parameters.cap
        losses = {"intra_camera": cap.intra_weight * memory.intra_camera_loss(*rows)}
        if cap.inter_weight and epoch >= cap.inter_from_epoch:
            losses["inter_camera"] = cap.inter_weight * memory.inter_camera_loss(*rows, own_camera=cap.own_proxy)
        return losses
    o2cap = parameters.o2cap
    losses = {"offline": o2cap.offline_weight * memory.inter_camera_loss(*rows, own_camera=True)}
    if o2cap.intra_weight:
        losses["intra_camera"] = o2cap.intra_weight * memory.intra_camera_loss(*rows)
    if o2cap.online_weight and epoch >= o2cap.online_from_epoch:
        options = o2cap.model_dump(include={"instance_share", "camera_penalty"})
        online = memory.online_loss(*rows, positives=o2cap.online_positives, **options)
        losses["online"] = o2cap.online_weight * online
    return losses
