"""Features to pseudo labels, their proxies and quality, and the guard against a collapse."""

from reid_pipeline.clustering.dbscan import dbscan_labels
from reid_pipeline.clustering.proxies import CameraProxies, check_known_cameras, split_by_camera
from reid_pipeline.clustering.pseudo_labels import (
    ClusteringCollapse,
    ClusteringSettings,
    check_collapse,
    cluster_pseudo_labels,
)
from reid_pipeline.clustering.quality import PseudoLabelQuality, pseudo_label_quality

__all__ = [
    "CameraProxies",
    "ClusteringCollapse",
    "ClusteringSettings",
    "PseudoLabelQuality",
    "check_collapse",
    "check_known_cameras",
    "cluster_pseudo_labels",
    "dbscan_labels",
    "pseudo_label_quality",
    "split_by_camera",
]
