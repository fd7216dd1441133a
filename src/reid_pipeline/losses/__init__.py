"""Losses: tensors to scalars, and the memories of prototypes and of proxies. One loss per module."""

from reid_pipeline.losses.camera_proxies import CameraProxyMemory as CameraProxyMemory
from reid_pipeline.losses.fine_tuning import fine_tuning_losses as fine_tuning_losses
from reid_pipeline.losses.identity import identity_loss as identity_loss
from reid_pipeline.losses.image_text import image_text_contrastive_loss as image_text_contrastive_loss
from reid_pipeline.losses.image_text import one_way_contrastive_loss as one_way_contrastive_loss
from reid_pipeline.losses.nt_xent import nt_xent_loss as nt_xent_loss
from reid_pipeline.losses.prototype_memory import PrototypeMemory as PrototypeMemory
from reid_pipeline.losses.simsiam import simsiam_loss as simsiam_loss
from reid_pipeline.losses.triplet import batch_hard_triplet_loss as batch_hard_triplet_loss
