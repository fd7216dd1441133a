"""The identity loss: cross-entropy over the training identities with smoothed labels.

Shape suffixes: B batch, C identities.
"""

from torch import Tensor
from torch.nn import functional as F

from reid_pipeline.losses._inputs import check_label_range, check_labelled, upcast


def identity_loss(logits: Tensor, labels: Tensor, *, label_smoothing: float = 0.1) -> Tensor:
    """Return the mean cross-entropy of `logits` against smoothed one-hot targets.

    `-(1 / B) sum_b sum_c y_bc log softmax(logits_b)_c` with `y_bc = (1 - s) [c = label_b] + s / C`
    (Szegedy et al., "Rethinking the Inception Architecture", CVPR 2016, section 7; s = 0.1 as in CLIP-ReID).

    Args:
        logits: `[B, C]` floats.
        labels: `[B]` int64 in 0..C-1.
        label_smoothing: s, from 0 up to but not including 1.

    Returns:
        a scalar, float32 (float64 for float64 logits), computed in float32 at least, under autocast too.

    Raises:
        ValueError: shapes that do not match, an empty batch, a label outside 0..C-1, or s outside [0, 1).
    """
    check_labelled(logits, labels, "logits", "B, C")
    if not 0.0 <= label_smoothing < 1.0:
        raise ValueError(f"label_smoothing is {label_smoothing}; it must lie in [0, 1).")
    check_label_range(labels, logits.shape[1], "logits", "Give contiguous labels, and drop noise (-1) first.")
    return F.cross_entropy(upcast(logits), labels, label_smoothing=label_smoothing)
