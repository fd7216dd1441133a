"""The losses of supervised visual fine-tuning, named and weighted (methods.md sections 4 to 7)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from reid_pipeline.losses.identity import identity_loss
from reid_pipeline.losses.triplet import batch_hard_triplet_loss


def fine_tuning_losses(
    features: Sequence[Tensor],
    logits: Sequence[Tensor],
    labels: Tensor,
    *,
    weights: tuple[float, float],
    margin: float,
    label_smoothing: float,
) -> dict[str, Tensor]:
    """Return the ID losses of all classifiers and the triplet losses of all features, each summed.

    Args:
        features: `[B, D]` floats each, unnormalised: penultimate, final, projected.
        logits: `[B, C]` floats each, one per classifier.
        labels: `[B]` integers in 0..C-1.
        weights: of the entries `identity` and `triplet`; an entry of weight 0 is left out.
        margin: of the triplet loss.
        label_smoothing: of the ID loss.
    """
    losses: dict[str, Tensor] = {}
    identity_weight, triplet_weight = weights
    if identity_weight:
        terms = [identity_loss(each, labels, label_smoothing=label_smoothing) for each in logits]
        losses["identity"] = identity_weight * torch.stack(terms).sum()
    if triplet_weight:
        terms = [batch_hard_triplet_loss(each, labels, margin=margin) for each in features]
        losses["triplet"] = triplet_weight * torch.stack(terms).sum()
    return losses
