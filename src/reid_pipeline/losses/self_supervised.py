"""Self-supervision by two views of each row: NT-Xent (SimCLR) contrasts them, SimSiam has no negatives.

Shape suffixes: B batch, D feature width, V = 2 B views.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from reid_pipeline.losses._inputs import check_same_shape, check_temperature, no_autocast, upcast


def nt_xent_loss(first_BD: Tensor, second_BD: Tensor, *, temperature: float = 0.1) -> Tensor:
    """Return the normalised, temperature-scaled cross-entropy of the 2 B views, each finding its twin.

    With z the 2 B L2-normalised views and j(i) the other view of i's row:
    `-(1 / 2B) sum_i log( exp(z_i . z_j(i) / t) / sum_{k != i} exp(z_i . z_k / t) )`
    (Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations", ICML 2020,
    arXiv 2002.05709, equation 1; SVLL-ReID, arXiv 2407.20647). Every other row is a negative, one of the same
    identity too: no labels enter. A batch of one row has no negative, and gives 0.

    Args:
        first_BD: `[B, D]` floats, one view of each row.
        second_BD: `[B, D]` floats, the other view, in the same order.
        temperature: t, above 0.

    Returns:
        a scalar, float32 (float64 for float64 views), 0 or more.

    Raises:
        ValueError: views that are not two matrices of one shape, an empty batch, or a temperature not above 0.
    """
    check_same_shape(first_BD, second_BD)
    check_temperature(temperature)
    rows = len(first_BD)
    with no_autocast(first_BD):
        views_VD = F.normalize(torch.cat([upcast(first_BD), upcast(second_BD)]), dim=1)
        itself_VV = torch.eye(2 * rows, dtype=torch.bool, device=views_VD.device)
        logits_VV = (views_VD @ views_VD.T / temperature).masked_fill(itself_VV, -torch.inf)
        twins_V = torch.arange(2 * rows, device=views_VD.device).roll(rows)
        return F.cross_entropy(logits_VV, twins_V)


def simsiam_loss(
    predicted_1_BD: Tensor, projected_1_BD: Tensor, predicted_2_BD: Tensor, projected_2_BD: Tensor
) -> Tensor:
    """Return `D(p1, stop(z2)) / 2 + D(p2, stop(z1)) / 2`, D the mean negative cosine over the batch.

    No gradient reaches the z, so that the features do not collapse. Source: Chen and He, "Exploring Simple
    Siamese Representation Learning", CVPR 2021 (arXiv 2011.10566, equations 1 to 4). All four are `[B, D]` floats:
    p the predictor's output, z the projection, of the first view and of the second. A zero vector has cosine 0.

    Returns:
        a scalar in -1 to 1, float32 (float64 for float64 features).

    Raises:
        ValueError: the four are not matrices of one shape, or the batch is empty.
    """
    check_same_shape(predicted_1_BD, projected_1_BD, predicted_2_BD, projected_2_BD)
    return (_negative_cosine(predicted_1_BD, projected_2_BD) + _negative_cosine(predicted_2_BD, projected_1_BD)) / 2


def _negative_cosine(predicted_BD: Tensor, target_BD: Tensor) -> Tensor:
    predicted_BD = F.normalize(upcast(predicted_BD), dim=1)
    target_BD = F.normalize(upcast(target_BD).detach(), dim=1)
    return -(predicted_BD * target_BD).sum(dim=1).mean()
