"""Features to pseudo labels, their proxies and quality, and the guard against a collapse."""

from reid_pipeline.clustering.constraints import constrained_labels as constrained_labels
from reid_pipeline.clustering.constraints import tracklets_of as tracklets_of
from reid_pipeline.clustering.dbscan import dbscan_labels as dbscan_labels
from reid_pipeline.clustering.measures import camera_balance as camera_balance
from reid_pipeline.clustering.measures import graph_silhouette as graph_silhouette
from reid_pipeline.clustering.measures import label_stability as label_stability
from reid_pipeline.clustering.measures import largest_share as largest_share
from reid_pipeline.clustering.proxies import check_known_cameras as check_known_cameras
from reid_pipeline.clustering.proxies import split_by_camera as split_by_camera
from reid_pipeline.clustering.pseudo_labels import ClusteringCollapse as ClusteringCollapse
from reid_pipeline.clustering.pseudo_labels import ClusteringSettings as ClusteringSettings
from reid_pipeline.clustering.pseudo_labels import check_collapse as check_collapse
from reid_pipeline.clustering.pseudo_labels import cluster_pseudo_labels as cluster_pseudo_labels
from reid_pipeline.clustering.quality import pseudo_label_quality as pseudo_label_quality
