"""Features to pseudo labels, their quality, and the guard against a collapse."""

from reid_pipeline.clustering.dbscan import dbscan_labels
from reid_pipeline.clustering.pseudo_labels import (
    ClusteringCollapse,
    ClusteringSettings,
    check_collapse,
    cluster_pseudo_labels,
)
from reid_pipeline.clustering.quality import (
    ClusterStatistics,
    PseudoLabelQuality,
    cluster_statistics,
    pseudo_label_quality,
)

__all__ = [
    "ClusterStatistics",
    "ClusteringCollapse",
    "ClusteringSettings",
    "PseudoLabelQuality",
    "check_collapse",
    "cluster_pseudo_labels",
    "cluster_statistics",
    "dbscan_labels",
    "pseudo_label_quality",
]
