"""From embeddings to pseudo labels, and the guard against a clustering that has collapsed."""

from numpy.typing import ArrayLike

from reid_pipeline.clustering.kinds import find_kind
from reid_pipeline.clustering.kinds._kind import check_options
from reid_pipeline.clustering.quality import Integers, pseudo_label_quality
from reid_pipeline.clustering.settings import ClusteringSettings
from reid_pipeline.geometry.jaccard import jaccard_similarity
from reid_pipeline.schema.errors import UserError

SLACK = 1e-5
"""Pairs this far beyond eps are still passed to the kind, which alone decides."""


def cluster_pseudo_labels(
    features: ArrayLike, *, k1: int = 30, k2: int = 6, eps: float = 0.6, min_samples: int = 4, kind: str = "dbscan"
) -> Integers:
    """Cluster `features` by their k-reciprocal Jaccard distance, of which only the pairs within eps are ever stored.

    By default the labels are those of scikit-learn's `DBSCAN(eps, min_samples, metric="precomputed")` on the dense
    float32 distance `1 - jaccard_distance(features)`. `cluster_features` finds eps itself, and splits large clusters.

    Args:
        features: `[N, D]` floats, finite; unit rows are usual.
        k1: neighbours in a list, the row included.
        k2: nearest rows averaged, the row included.
        eps: greatest Jaccard distance of neighbours, in (0, 1].
        min_samples: neighbours that make a core row, the row included; of other kinds the smallest cluster.
        kind: a module of `clustering/kinds`.

    Returns:
        int64 `[N]`: clusters from 0, noise -1.

    Raises:
        UserError: unusable features, or an option outside its range.
    """
    found = find_kind(kind)
    check_options(eps=eps, min_samples=min_samples)
    similarity = jaccard_similarity(features, k1=k1, k2=k2, minimum=max(0.0, 1.0 - eps - SLACK))
    return found.labels(similarity, eps=eps, min_samples=min_samples, resolution=1.0)


class ClusteringCollapse(UserError):  # noqa: N818 - the name says what happened, as fixed by the design
    """The pseudo labels are of no use for training: no cluster, one cluster, or nearly all noise."""


def check_collapse(
    pseudo_labels: ArrayLike, *, settings: ClusteringSettings | None = None, max_noise_share: float = 0.95
) -> None:
    """Raise ClusteringCollapse where `pseudo_labels` have no cluster, exactly one, or more noise than the share.

    `pseudo_labels` are `[N]` integers, -1 noise; `max_noise_share` is in [0, 1]. The message has `settings`, with which
    the labels were made, and what to change.
    """
    seen = pseudo_label_quality(pseudo_labels)
    if seen.clusters >= 2 and seen.noise_share <= max_noise_share:
        return
    options = "" if settings is None else f"; {settings.words()}"
    eps = "eps" if settings is None else f"eps ({settings.eps})"
    if seen.clusters == 1 and seen.noise_share <= max_noise_share:
        what = "all images fell into one cluster"
        remedy = f"Lower {eps}, or k1; if it grew from epoch to epoch, the learning rate is too high."
    else:
        what = "no cluster was found" if seen.clusters == 0 else "nearly all images are noise"
        remedy = (
            f"Raise {eps}, or lower min_samples; with few images per identity lower k1; or lower the learning rate."
        )
    raise ClusteringCollapse(
        f"Clustering collapsed: {what} ({seen.clusters} clusters, {seen.noise_share:.1%} noise "
        f"of {seen.rows} images; at least 2 clusters and at most {max_noise_share:.0%} noise are needed"
        f"{options}). {remedy}"
    )
