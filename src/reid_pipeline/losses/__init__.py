"""Losses: tensors to scalars, and the prototype memory. One loss per module."""

from reid_pipeline.losses.identity import identity_loss
from reid_pipeline.losses.prototype_memory import PrototypeMemory

__all__ = ["PrototypeMemory", "identity_loss"]
