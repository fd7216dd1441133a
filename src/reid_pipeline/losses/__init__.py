"""Losses: tensors to scalars, and the memories of prototypes and of proxies.

Losses are computed in float32 at least, under autocast too, and return a scalar, float32 (float64 for float64 inputs).
They raise ValueError for shapes that do not match, an empty batch, and a label or an option out of range.
"""

from reid_pipeline.losses.camera_proxies import CameraProxyMemory as CameraProxyMemory
from reid_pipeline.losses.identity import identity_loss as identity_loss
from reid_pipeline.losses.image_text import image_text_contrastive_loss as image_text_contrastive_loss
from reid_pipeline.losses.image_text import one_way_contrastive_loss as one_way_contrastive_loss
from reid_pipeline.losses.prototype_memory import PrototypeMemory as PrototypeMemory
from reid_pipeline.losses.self_supervised import nt_xent_loss as nt_xent_loss
from reid_pipeline.losses.self_supervised import simsiam_loss as simsiam_loss
from reid_pipeline.losses.triplet import batch_hard_triplet_loss as batch_hard_triplet_loss
from reid_pipeline.losses.triplet import fine_tuning_losses as fine_tuning_losses
