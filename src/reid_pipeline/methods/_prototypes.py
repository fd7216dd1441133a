"""From embeddings and labels to the memory that a stage contrasts with: prototypes, or camera-aware proxies.

Imports no torch, so that a method's parameter model loads at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from reid_pipeline.schema.base import Parameters
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.parameters import MemoryParameters

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor

    from reid_pipeline.losses import CameraProxyMemory, PrototypeMemory


class CapParameters(Parameters):
    """CAP: a loss within the row's camera, and one across cameras."""

    intra_weight: float = Field(1.0, gt=0, description="of the loss within the camera")
    inter_weight: float = Field(0.5, ge=0, description="of the loss across cameras")
    inter_from_epoch: int = Field(6, ge=1, description="first epoch with the loss across cameras")


class O2capParameters(Parameters):
    """O2CAP: association by clusters (offline), and by similarity at the step (online)."""

    intra_weight: float = Field(0.0, ge=0, description="of the loss within the camera")
    offline_weight: float = Field(1.0, gt=0, description="of the loss against the proxies of the cluster")
    online_weight: float = Field(1.0, ge=0, description="of the loss against the proxies found at the step")
    online_from_epoch: int = Field(1, ge=1, description="first epoch with the online loss")
    online_positives: int = Field(3, ge=1, description="proxies found, of different cameras")
    instance_share: float = Field(
        0.15, ge=0, le=1, description="of the row's own embedding in the similarity; the rest is its proxy's"
    )
    camera_penalty: float = Field(
        0.0, ge=0, description="taken off the similarity of the row's own camera, in the choice of positives"
    )


class CameraAwareParameters(Parameters):
    """Clusters split by camera into proxies, and the losses against these; none: one prototype a cluster."""

    kind: Literal["none", "cap", "o2cap"] = "none"
    temperature: float = Field(0.07, gt=0, description="in the place of memory.temperature")
    hard_negatives: int = Field(50, ge=1, description="most similar proxies that a row is pushed from")
    cap: CapParameters = CapParameters()
    o2cap: O2capParameters = O2capParameters()


def prototype_memory(
    embeddings: np.ndarray, labels: np.ndarray, memory: MemoryParameters, device: torch.device
) -> PrototypeMemory:
    """Return a memory with one prototype for each label.

    Args:
        embeddings: float32 [n, D], unit rows.
        labels: int64 [n], contiguous from 0; rows below 0 are left out.
        memory: temperature and update.
        device: where the memory lives.
    """
    import torch

    from reid_pipeline.losses import PrototypeMemory

    labelled = labels >= 0
    return PrototypeMemory.from_embeddings(
        torch.from_numpy(embeddings[labelled]),
        torch.from_numpy(labels[labelled]),
        int(labels.max()) + 1,
        temperature=memory.temperature,
        momentum=memory.momentum,
        update=memory.update,
    ).to(device)


def known_cameras(camids: np.ndarray | None) -> np.ndarray:
    """Return the camids of camera-aware training, int64 [n] from 0, or raise where it has nothing to go by.

    Raises:
        UserError: no cameras, a single one, or images whose camera is not known.
    """
    from reid_pipeline.clustering import check_known_cameras

    if camids is not None:
        check_known_cameras(camids)
    cameras = 0 if camids is None else len(set(camids.tolist()))
    if camids is None or cameras < 2:
        raise UserError(
            f"The training images have {cameras or 'no'} camera{'s' if cameras != 1 else ''}, and "
            "camera-aware training contrasts images of different ones: at least 2 are needed. Give camids, or"
            " train without them (camera_aware.kind: none)."
        )
    return camids


def proxy_memory(
    embeddings: np.ndarray,
    pseudo_labels: np.ndarray,
    camids: np.ndarray | None,
    memory: MemoryParameters,
    chosen: CameraAwareParameters,
) -> tuple[np.ndarray, CameraProxyMemory]:
    """Split clusters by camera; return the proxy of each row, int64 [n], -1 for noise, and their memory.

    Args:
        embeddings: float32 [n, D], unit rows.
        pseudo_labels: int64 [n], contiguous from 0, -1 for noise.
        camids: int64 [n], from 0; see `known_cameras`.
        memory: update; its temperature is not used.
        chosen: temperature and hard negatives.

    Raises:
        UserError: see `known_cameras`.
    """
    import torch

    from reid_pipeline.clustering import split_by_camera
    from reid_pipeline.losses import CameraProxyMemory

    proxies = split_by_camera(pseudo_labels, known_cameras(camids))
    tempered = memory.model_copy(update={"temperature": chosen.temperature})
    return proxies.labels, CameraProxyMemory(
        prototype_memory(embeddings, proxies.labels, tempered, torch.device("cpu")),
        torch.from_numpy(proxies.clusters),
        torch.from_numpy(proxies.camids),
        hard_negatives=chosen.hard_negatives,
    )


def camera_aware_losses(
    memory: CameraProxyMemory, embeddings: Tensor, proxies: Tensor, *, chosen: CameraAwareParameters, epoch: int
) -> dict[str, Tensor]:
    """Return the weighted losses that are in force in an epoch, by name; a weight of 0 leaves its loss out.

    Args:
        memory: of the epoch's proxies.
        embeddings: floats [B, D].
        proxies: int64 [B], the proxy of each row.
        chosen: kind, weights, and from when on.
        epoch: from 1.
    """
    given = (embeddings, proxies)
    if chosen.kind == "cap":
        cap = chosen.cap
        losses = {"intra_camera": cap.intra_weight * memory.intra_camera_loss(*given)}
        if cap.inter_weight and epoch >= cap.inter_from_epoch:
            losses["inter_camera"] = cap.inter_weight * memory.inter_camera_loss(*given)
        return losses
    o2cap = chosen.o2cap
    losses = {"offline": o2cap.offline_weight * memory.inter_camera_loss(*given, own_camera=True)}
    if o2cap.intra_weight:
        losses["intra_camera"] = o2cap.intra_weight * memory.intra_camera_loss(*given)
    if o2cap.online_weight and epoch >= o2cap.online_from_epoch:
        online = memory.online_loss(
            *given,
            positives=o2cap.online_positives,
            instance_share=o2cap.instance_share,
            camera_penalty=o2cap.camera_penalty,
        )
        losses["online"] = o2cap.online_weight * online
    return losses
