"""`eps: auto`: the cut that finds itself, without labels."""

from collections.abc import Callable

import numpy as np
from scipy import sparse

from reid_pipeline.clustering.measures import graph_silhouette
from reid_pipeline.clustering.quality import Integers

LabelsAt = Callable[[sparse.csr_array, float], Integers]
"""Labels of the rows of a similarity at a cut."""

CANDIDATES = (0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75)


def found_cut(
    similarity: sparse.csr_array, labels_at: LabelsAt
) -> tuple[float, Integers, tuple[tuple[float, float], ...]]:
    """Return the candidate of the greatest score, its labels, and all candidates with their scores.

    The score is the mean silhouette over all rows, in which noise scores 0: small cuts pay for each row that they
    leave out, large ones for clusters that are near each other. All noise and a single cluster score 0.
    Of equal scores the smaller cut's is taken.
    """
    found = [(eps, labels_at(similarity, eps)) for eps in CANDIDATES]
    scores = tuple((eps, float(np.mean(graph_silhouette(similarity, labels)))) for eps, labels in found)
    best = int(np.argmax([score for _, score in scores]))
    return (*found[best], scores)
