"""The identity loss: cross-entropy over the training identities with smoothed labels.

Shape suffixes: B batch, C identities.
"""

from torch import Tensor
from torch.nn import functional as F

from reid_pipeline.losses._inputs import label_range, raised


def identity_loss(logits: Tensor, labels: Tensor, *, label_smoothing: float = 0.1) -> Tensor:
    """Return the mean cross-entropy of `logits` against smoothed one-hot targets.

    `-(1 / B) sum_b sum_c y_bc log softmax(logits_b)_c` with `y_bc = (1 - s) [c = label_b] + s / C`
    (Szegedy et al., "Rethinking the Inception Architecture", CVPR 2016, section 7; s = 0.1 as in CLIP-ReID).
    Computed in float32 at least: half-precision logits are raised first, under autocast too.

    Args:
        logits: `[B, C]` floats.
        labels: `[B]` int64 in 0..C-1.
        label_smoothing: s, from 0 up to but not including 1.

    Returns:
        a scalar, float32 (float64 for float64 logits).

    Raises:
        ValueError: shapes that do not match, an empty batch, a label outside 0..C-1, or s outside [0, 1).
    """
    if logits.ndim != 2 or labels.shape != logits.shape[:1] or 0 in logits.shape:
        raise ValueError(
            f"logits have shape {list(logits.shape)} and labels {list(labels.shape)}; "
            "[B, C] and [B] are needed, B and C above 0."
        )
    if not 0.0 <= label_smoothing < 1.0:
        raise ValueError(f"label_smoothing is {label_smoothing}; it must lie in [0, 1).")
    lowest, highest = label_range(labels)
    if lowest < 0 or highest >= logits.shape[1]:
        raise ValueError(
            f"labels range from {lowest} to {highest}; {logits.shape[1]} logits allow 0 to "
            f"{logits.shape[1] - 1}. "
            "Give contiguous labels, and drop noise (-1) first."
        )
    return F.cross_entropy(raised(logits), labels, label_smoothing=label_smoothing)
