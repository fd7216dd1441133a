"""Losses: tensors to scalars, and the memories of prototypes and of proxies. One loss per module."""

from reid_pipeline.losses.camera_proxies import CameraProxyMemory
from reid_pipeline.losses.fine_tuning import fine_tuning_losses
from reid_pipeline.losses.identity import identity_loss
from reid_pipeline.losses.image_text import image_text_contrastive_loss, one_way_contrastive_loss
from reid_pipeline.losses.nt_xent import nt_xent_loss
from reid_pipeline.losses.prototype_memory import PrototypeMemory
from reid_pipeline.losses.simsiam import simsiam_loss
from reid_pipeline.losses.triplet import batch_hard_triplet_loss

__all__ = [
    "CameraProxyMemory",
    "PrototypeMemory",
    "batch_hard_triplet_loss",
    "fine_tuning_losses",
    "identity_loss",
    "image_text_contrastive_loss",
    "nt_xent_loss",
    "one_way_contrastive_loss",
    "simsiam_loss",
]
