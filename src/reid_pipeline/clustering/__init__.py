"""Features to pseudo labels, their proxies and quality, and the guard against a collapse."""

from reid_pipeline.clustering.cluster_quality import cluster_quality as cluster_quality
from reid_pipeline.clustering.clustering import Clustering as Clustering
from reid_pipeline.clustering.clustering import cluster_features as cluster_features
from reid_pipeline.clustering.clustering import cluster_similarity as cluster_similarity
from reid_pipeline.clustering.constraints import constrained_labels as constrained_labels
from reid_pipeline.clustering.constraints import tracklets_of as tracklets_of
from reid_pipeline.clustering.measures import camera_balance as camera_balance
from reid_pipeline.clustering.measures import graph_modularity as graph_modularity
from reid_pipeline.clustering.measures import graph_silhouette as graph_silhouette
from reid_pipeline.clustering.measures import label_measures as label_measures
from reid_pipeline.clustering.measures import label_stability as label_stability
from reid_pipeline.clustering.measures import largest_share as largest_share
from reid_pipeline.clustering.proxies import check_known_cameras as check_known_cameras
from reid_pipeline.clustering.proxies import split_by_camera as split_by_camera
from reid_pipeline.clustering.pseudo_labels import ClusteringCollapse as ClusteringCollapse
from reid_pipeline.clustering.pseudo_labels import check_collapse as check_collapse
from reid_pipeline.clustering.pseudo_labels import cluster_pseudo_labels as cluster_pseudo_labels
from reid_pipeline.clustering.quality import pseudo_label_quality as pseudo_label_quality
from reid_pipeline.clustering.settings import ClusteringSettings as ClusteringSettings
