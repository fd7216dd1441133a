"""A clustering with a bar: at a million images the search for neighbours takes half an hour."""

from typing import TYPE_CHECKING

from numpy.typing import ArrayLike

from reid_pipeline.engine.progress import late_bar

if TYPE_CHECKING:
    from reid_pipeline.clustering import Clustering, ClusteringSettings


def shown_clustering(features: ArrayLike, settings: "ClusteringSettings") -> "Clustering":
    """Return `clustering.cluster_features`; after two seconds a bar shows how far it is and how long it will take."""
    from reid_pipeline import clustering
    from reid_pipeline.geometry import Watch

    with late_bar() as report:
        return clustering.cluster_features(features, settings, Watch(report))
