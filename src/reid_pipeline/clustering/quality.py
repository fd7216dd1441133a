"""What pseudo labels look like, and how well they agree with the identities. For diagnosis, never training.

Shape suffixes: N rows, M filled cells of the contingency table.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reid_pipeline.schema.errors import UserError

Integers = NDArray[np.int64]

_QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)
_AGREEMENT = ("ari", "nmi", "pairwise_precision", "pairwise_recall", "bcubed_precision", "bcubed_recall")


@dataclass(frozen=True)
class PseudoLabelQuality:
    """A clustering's figures. Those that compare it with identities are None where none were given.

    Noise forms no pair, so it costs pairwise recall and not precision; in the other measures of agreement
    every noise row is a cluster of its own.

    Attributes:
        rows: labels given.
        clusters: distinct labels, noise left out.
        noise_share: share of rows labelled -1, in [0, 1].
        size_quantiles: minimum, quartiles and maximum of the cluster sizes; empty where there is no cluster.
        size_histogram: (size from, size up to and including, clusters) in powers of two: 1, 2, 3-4, 5-8 ...
        ari: adjusted Rand index over all rows, in [-0.5, 1].
        nmi: normalised mutual information (arithmetic mean) over all rows, in [0, 1].
        pairwise_precision: share of the pairs in one cluster that share an identity; 0 where there is no pair.
        pairwise_recall: share of the pairs of one identity in one cluster; 0 where there is no pair.
        bcubed_precision: mean over all rows of the share of the row's cluster with the row's identity, in (0, 1].
        bcubed_recall: mean over all rows of the share of the row's identity in the row's cluster, in (0, 1].
    """

    rows: int
    clusters: int
    noise_share: float
    size_quantiles: tuple[float, ...]
    size_histogram: tuple[tuple[int, int, int], ...]
    ari: float | None = None
    nmi: float | None = None
    pairwise_precision: float | None = None
    pairwise_recall: float | None = None
    bcubed_precision: float | None = None
    bcubed_recall: float | None = None

    def facts(self) -> dict[str, Any]:
        """Return the figures as a history record holds them: plain JSON values, the largest cluster's share too."""
        bins = [{"low": low, "high": high, "clusters": count} for low, high, count in self.size_histogram]
        largest = self.size_quantiles[-1] / self.rows if self.size_quantiles else 0.0
        facts: dict[str, Any] = {
            "clusters": self.clusters,
            "noise_share": self.noise_share,
            "cluster_sizes": {"quantiles": list(self.size_quantiles), "histogram": bins},
            "largest_cluster": largest,
        }
        if self.ari is not None:
            facts["ground_truth"] = {name: getattr(self, name) for name in _AGREEMENT}
        return facts


def checked_integers(values: ArrayLike, name: str) -> Integers:
    """Return `values` as int64 `[N]`, N above 0, or raise UserError."""
    given = np.asarray(values)
    if given.ndim != 1 or given.size == 0 or given.dtype.kind not in "iu":
        raise UserError(
            f"{name} has shape {list(given.shape)} and dtype {given.dtype}; "
            "a vector of integers with at least one row is needed."
        )
    return given.astype(np.int64)


def checked_pair(pseudo_labels: ArrayLike, others: ArrayLike, name: str) -> tuple[Integers, Integers]:
    """Return pseudo labels and `others` (`name`, a plural), one of each per row, or raise UserError."""
    labels_N, others_N = checked_integers(pseudo_labels, "pseudo_labels"), checked_integers(others, name)
    if labels_N.shape != others_N.shape:
        raise UserError(
            f"{len(labels_N)} pseudo labels and {len(others_N)} {name} were given; "
            f"one {name.removesuffix('s')} per row is needed."
        )
    return labels_N, others_N


def rows_of_noise_alone(labels_N: Integers) -> Integers:
    """Return the labels with every row of noise in a cluster of its own."""
    noise_N = labels_N < 0
    groups_N = labels_N.copy()
    groups_N[noise_N] = labels_N.max() + 1 + np.arange(int(noise_N.sum()))
    return groups_N


def pseudo_label_quality(pseudo_labels: ArrayLike, pids: ArrayLike | None = None) -> PseudoLabelQuality:
    """Describe a clustering, and compare it with the identities where these are known.

    Time O(N log N), memory O(N): the contingency table is sparse.

    Sources: Hubert and Arabie, "Comparing partitions", Journal of Classification 1985 (ARI); Vinh, Epps and
    Bailey, "Information theoretic measures for clusterings comparison", JMLR 2010 (NMI); Bagga and Baldwin,
    "Entity-based cross-document coreferencing using the vector space model", ACL 1998 (BCubed). ARI and NMI
    are those of scikit-learn, where nothing can be normalised too: two partitions into a single group, or
    both into rows alone, have ARI 1, and NMI is 1 for the former.

    Args:
        pseudo_labels: `[N]` integers, below 0 noise.
        pids: `[N]` integers, or None.

    Raises:
        UserError: lengths that differ, no rows, or not integers.
    """
    labels_N = checked_integers(pseudo_labels, "pseudo_labels")
    sizes = np.unique(labels_N[labels_N >= 0], return_counts=True)[1]
    quantiles = tuple(float(size) for size in np.quantile(sizes, _QUANTILES)) if sizes.size else ()
    return PseudoLabelQuality(
        rows=len(labels_N),
        clusters=len(sizes),
        noise_share=float((labels_N < 0).mean()),
        size_quantiles=quantiles,
        size_histogram=_histogram(sizes),
        **({} if pids is None else _agreement(*checked_pair(labels_N, pids, "pids"))),
    )


def _histogram(sizes: Integers) -> tuple[tuple[int, int, int], ...]:
    """Return (size from, size up to and including, clusters) in powers of two."""
    bins = np.ceil(np.log2(sizes)).astype(np.int64)
    return tuple(
        (1 if power == 0 else (1 << (power - 1)) + 1, 1 << power, int((bins == power).sum()))
        for power in range(int(bins.max()) + 1 if bins.size else 0)
    )


def _agreement(labels_N: Integers, pids_N: Integers) -> dict[str, float]:
    """Return the measures of agreement by name."""
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
    from sklearn.metrics.cluster import contingency_matrix, pair_confusion_matrix

    groups_N = rows_of_noise_alone(labels_N)
    (_, wrong), (missed, right) = pair_confusion_matrix(pids_N, groups_N).tolist()
    cells = contingency_matrix(groups_N, pids_N, sparse=True).tocoo()
    of_group_M, of_pid_M = (np.bincount(index, cells.data)[index] for index in (cells.row, cells.col))
    measures = (
        adjusted_rand_score(pids_N, groups_N),
        min(1.0, normalized_mutual_info_score(pids_N, groups_N)),  # rounding can exceed 1
        right / (right + wrong) if right + wrong else 0.0,
        right / (right + missed) if right + missed else 0.0,
        (cells.data * (cells.data / of_group_M)).sum() / len(labels_N),
        (cells.data * (cells.data / of_pid_M)).sum() / len(labels_N),
    )
    return dict(zip(_AGREEMENT, map(float, measures), strict=True))
