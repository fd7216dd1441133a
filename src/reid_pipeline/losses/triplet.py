"""Batch-hard triplet loss, and the losses of supervised visual fine-tuning (methods.md, sections 4 to 7).

Shape suffixes: B batch, D feature width.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from reid_pipeline.losses._inputs import check_labelled, check_no_noise, no_autocast, upcast
from reid_pipeline.losses.identity import identity_loss


def batch_hard_triplet_loss(features_BD: Tensor, labels_B: Tensor, *, margin: float = 0.3) -> Tensor:
    """Return `(1 / B) sum_a max(0, max_p d(a, p) - min_n d(a, n) + margin)`.

    d is the Euclidean distance of the features as given (not normalised); p runs over the rows with the
    label of a, n over the others. Source: Hermans et al., "In Defense of the Triplet Loss for Person
    Re-Identification" (arXiv 1703.07737, equation 5); margin 0.3 as in CLIP-ReID.

    Identities may have any number of rows. An anchor that is its identity's only row has itself as hardest
    positive, at distance 0. Where the batch holds one identity there is no negative: the least of no
    distances is infinite, so the loss and its gradients are 0. Two equal rows pass each other no gradient.

    Distances are norms of differences: expanding the square would lose small ones of long features to rounding.
    Gradients go through the selected pairs only, which is all there is to the derivative of a maximum.

    Differs from the released code of CLIP-ReID in: unequal counts (there the boolean masks are reshaped to B rows);
    precision (there a product that autocast makes half precision, and may overflow); no least distance of 1e-6.

    Args:
        features_BD: `[B, D]` floats.
        labels_B: `[B]` integers from 0 on; only their equality counts.
        margin: 0 or more.

    Returns:
        a scalar, float32 (float64 for float64 features), 0 or more.

    Raises:
        ValueError: shapes that do not match, an empty batch, a negative label or a negative margin.
    """
    check_labelled(features_BD, labels_B, "features")
    if not margin >= 0:
        raise ValueError(f"margin is {margin}; it must be 0 or more.")
    check_no_noise(labels_B)
    with no_autocast(features_BD):
        upcast_BD = upcast(features_BD)
        same_BB = labels_B[:, None] == labels_B[None, :]
        given_BD = upcast_BD.detach()
        distances_BB = torch.cdist(given_BD, given_BD, compute_mode="donot_use_mm_for_euclid_dist")
        positive_B = distances_BB.masked_fill(~same_BB, -torch.inf).argmax(dim=1)
        negative_B = distances_BB.masked_fill(same_BB, torch.inf).argmin(dim=1)
        to_positive_B = torch.linalg.vector_norm(upcast_BD - upcast_BD[positive_B], dim=1)
        to_negative_B = torch.linalg.vector_norm(upcast_BD - upcast_BD[negative_B], dim=1)
        terms_B: Tensor = (to_positive_B - to_negative_B + margin).clamp(min=0)
        has_negative_B = ~same_BB.all(dim=1)
        # A product, not `where`: NaN must stay NaN, for the engine to stop at.
        return (terms_B * has_negative_B).mean()


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

    `features` (penultimate, final, projected) are `[B, D]` floats each, unnormalised, `logits` `[B, C]`, one per
    classifier, `labels` `[B]` integers in 0..C-1; `weights` are those of the entries `identity` and `triplet`, and an
    entry of weight 0 is left out. Errors are those of `identity_loss` and `batch_hard_triplet_loss`.
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
