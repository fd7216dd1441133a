"""The images of the clusters and neighbours that a page shows, as thumbnails."""

import pandas as pd

from reid_pipeline.evaluation.clusters import shown_paths
from reid_pipeline.images.decode import read_image
from reid_pipeline.reporting.clusters_section import ClusterContent
from reid_pipeline.reporting.contact_sheets import thumbnail
from reid_pipeline.schema.clusters import ClusterFacts
from reid_pipeline.schema.raw_folder import RawFolder
from reid_pipeline.splits import white_value


def cluster_content(
    facts: ClusterFacts, before: ClusterFacts | None, split_table: pd.DataFrame, raw_images: RawFolder
) -> ClusterContent:
    """Return what the page shows of a run's clusters; `before` are those of zero_shot, if it is compared with one.

    An image is read once, and no larger than its thumbnail held in memory.
    """
    white = white_value(split_table)
    pictures = {
        path: thumbnail(read_image(raw_images.root / path, white_value=white))
        for path in shown_paths([facts, *([] if before is None else [before])])
    }
    return ClusterContent(facts, before, pictures, f"seed_{facts.seed}")
