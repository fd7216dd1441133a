"""What pseudo labels look like, and how well they agree with the identities. For diagnosis, never training.

Shape suffixes: N rows.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reid_pipeline.schema.errors import UserError

_QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class PseudoLabelQuality:
    """Agreement of pseudo labels with identities.

    Attributes:
        ari: adjusted Rand index over all rows, in [-0.5, 1]; every noise row is a cluster of its own.
        nmi: normalised mutual information (arithmetic mean) over all rows, in [0, 1]; noise likewise.
        pairwise_precision: share of the pairs put into one cluster that share an identity; 0 where there is
            no pair.
        pairwise_recall: share of the pairs of one identity that are put into one cluster; 0 where there is no
            pair. Noise forms no pair, so it costs recall and not precision.
    """

    ari: float
    nmi: float
    pairwise_precision: float
    pairwise_recall: float


@dataclass(frozen=True)
class ClusterStatistics:
    """The size of a clustering.

    Attributes:
        rows: labels given.
        clusters: distinct labels, noise left out.
        noise_share: share of rows labelled -1, in [0, 1].
        size_quantiles: minimum, quartiles and maximum of the cluster sizes; empty where there is no cluster.
        size_histogram: (size from, size up to and including, clusters) in powers of two: 1, 2, 3-4, 5-8 and
            so on.
    """

    rows: int
    clusters: int
    noise_share: float
    size_quantiles: tuple[float, ...]
    size_histogram: tuple[tuple[int, int, int], ...]


def pseudo_label_quality(pseudo_labels: ArrayLike, pids: ArrayLike) -> PseudoLabelQuality:
    """Compare pseudo labels with identities, by the sparse contingency table.

    Time O(N log N), memory O(N).

    Args:
        pseudo_labels: ``[N]`` integers, -1 noise.
        pids: ``[N]`` integers.

    Raises:
        UserError: lengths that differ, no rows, or not integers.
    """
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    labels_N, pids_N = _integers(pseudo_labels, "pseudo_labels"), _integers(pids, "pids")
    if labels_N.shape != pids_N.shape:
        raise UserError(
            f"{len(labels_N)} pseudo labels and {len(pids_N)} pids were given; one pid per row is needed."
        )
    noise_N = labels_N < 0
    singletons_N = labels_N.copy()
    singletons_N[noise_N] = labels_N.max() + 1 + np.arange(int(noise_N.sum()))
    kept = ~noise_N
    together = np.stack((labels_N[kept], pids_N[kept]))
    both = _pairs(np.unique(together, axis=1, return_counts=True)[1])
    predicted = _pairs(np.unique(labels_N[kept], return_counts=True)[1])
    actual = _pairs(np.unique(pids_N, return_counts=True)[1])
    return PseudoLabelQuality(
        ari=float(adjusted_rand_score(pids_N, singletons_N)),
        nmi=float(normalized_mutual_info_score(pids_N, singletons_N)),
        pairwise_precision=both / predicted if predicted else 0.0,
        pairwise_recall=both / actual if actual else 0.0,
    )


def cluster_statistics(pseudo_labels: ArrayLike) -> ClusterStatistics:
    """Describe a clustering: how many clusters, how large, how much noise.

    Args:
        pseudo_labels: ``[N]`` integers, -1 noise.

    Raises:
        UserError: no rows, or not integers.
    """
    labels_N = _integers(pseudo_labels, "pseudo_labels")
    sizes = np.unique(labels_N[labels_N >= 0], return_counts=True)[1]
    bins = np.ceil(np.log2(sizes)).astype(np.int64)
    histogram = tuple(
        (1 if power == 0 else (1 << (power - 1)) + 1, 1 << power, int((bins == power).sum()))
        for power in range(int(bins.max()) + 1 if bins.size else 0)
    )
    quantiles = tuple(float(size) for size in np.quantile(sizes, _QUANTILES)) if sizes.size else ()
    return ClusterStatistics(
        rows=len(labels_N),
        clusters=len(sizes),
        noise_share=float((labels_N < 0).mean()),
        size_quantiles=quantiles,
        size_histogram=histogram,
    )


def _integers(values: ArrayLike, name: str) -> NDArray[np.int64]:
    """Return ``values`` as int64 ``[N]``, N above 0, or raise UserError."""
    given = np.asarray(values)
    if given.ndim != 1 or given.size == 0 or given.dtype.kind not in "iu":
        raise UserError(
            f"{name} has shape {list(given.shape)} and dtype {given.dtype}; "
            "a vector of integers with at least one row is needed."
        )
    return given.astype(np.int64)


def _pairs(counts: NDArray[np.int64]) -> int:
    """Return how many unordered pairs lie within groups of these sizes."""
    return int((counts * (counts - 1) // 2).sum())
