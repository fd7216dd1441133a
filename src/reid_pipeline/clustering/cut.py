"""`eps: auto`: the cut that finds itself, without labels.

What was tried, against the ARI that the best cut would have had (docs/methods.md has the figures): a silhouette that
leaves noise out, and stability when rows are left out, favour tiny cuts; stability times coverage, and modularity above
chance, end in one cluster where single linkage percolates.
"""

from collections.abc import Callable, Sequence

import numpy as np
from scipy import sparse

from reid_pipeline.clustering.measures import graph_silhouette
from reid_pipeline.clustering.quality import Integers

LabelsAt = Callable[[sparse.csr_array, float], Integers]
"""Labels of the rows of a similarity at a cut."""

Scores = tuple[tuple[float, float], ...]
"""Cuts that were tried, ascending, each with its score."""

CANDIDATES = (0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8)
TOLERANCE = 0.05
"""Scores within this share of the greatest count as equal: over several cuts the curve is nearly flat."""


def found_cut(
    similarity: sparse.csr_array, labels_at: LabelsAt, candidates: Sequence[float] = CANDIDATES
) -> tuple[float, Integers, Scores]:
    """Return the cut that fits the graph best, its labels, and all candidates with their scores.

    The score is the mean silhouette over all rows, in which noise scores 0: small cuts pay for each row that they
    leave out, large ones for clusters that are near each other. All noise and a single cluster score 0. Of the
    candidates (ascending) whose score is within 5 % of the greatest the largest is taken, which leaves the fewest rows
    out. Time: the labels and a pass over the stored pairs for each candidate.
    """
    labels = [labels_at(similarity, eps) for eps in candidates]
    scores = np.array([np.mean(graph_silhouette(similarity, each)) for each in labels])
    greatest = scores.max()
    near = scores >= (1.0 - TOLERANCE) * greatest if greatest > 0 else scores == greatest
    found = int(np.flatnonzero(near)[-1])
    return candidates[found], labels[found], tuple(zip(candidates, scores.tolist(), strict=True))
