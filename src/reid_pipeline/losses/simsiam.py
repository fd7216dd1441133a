"""SimSiam: two views agree without negatives.

Shape suffixes: B batch, D feature width.
"""

from torch import Tensor
from torch.nn import functional as F

from reid_pipeline.losses._inputs import check_same_shape, upcast


def simsiam_loss(
    predicted_1_BD: Tensor, projected_1_BD: Tensor, predicted_2_BD: Tensor, projected_2_BD: Tensor
) -> Tensor:
    """Return `D(p1, stop(z2)) / 2 + D(p2, stop(z1)) / 2`, D the mean negative cosine over the batch.

    No gradient reaches the z, so that the features do not collapse. Source: Chen and He, "Exploring Simple
    Siamese Representation Learning", CVPR 2021 (arXiv 2011.10566, equations 1 to 4). Computed in float32 at
    least, under autocast too. A zero vector has cosine 0 with all others.

    Args:
        predicted_1_BD: p1, `[B, D]` floats: the predictor's output for the first view.
        projected_1_BD: z1, the same shape: the projection of the first view.
        predicted_2_BD: p2, of the second view.
        projected_2_BD: z2, of the second view.

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
