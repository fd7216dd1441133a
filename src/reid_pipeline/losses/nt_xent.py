"""NT-Xent: contrast between two views of each row (SimCLR).

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
    identity too. A batch of one row has no negative, and gives 0. Computed in float32 at least, under autocast too.

    Args:
        first_BD: `[B, D]` floats, one view of each row.
        second_BD: `[B, D]` floats, the other view, in the same order.
        temperature: t, above 0.

    Returns:
        a scalar, float32 (float64 for float64 views), 0 or more.

    Raises:
        ValueError: views that are not two matrices of one shape, an empty batch, or a temperature of 0 or less.
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
