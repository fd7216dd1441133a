"""The images that a page shows, as thumbnails: of clusters and neighbours, and of what a model sees in them."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from reid_pipeline.evaluation.clusters import shown_paths
from reid_pipeline.images.decode import read_image
from reid_pipeline.reporting.clusters_section import ClusterContent
from reid_pipeline.reporting.contact_sheets import thumbnail
from reid_pipeline.reporting.explained_section import ExplainedContent
from reid_pipeline.reporting.heat_maps import picture_below
from reid_pipeline.schema.clusters import ClusterFacts
from reid_pipeline.schema.columns import CAMERA, IDENTITY, PATH
from reid_pipeline.schema.explanations import Explanations
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


def shown_content(
    facts: ClusterFacts,
    before: ClusterFacts | None,
    explanations: Explanations,
    split_table: pd.DataFrame,
    raw_images: RawFolder,
) -> dict[str, Any]:
    """Return `clusters` and `explanations` of a report."""
    return {
        "clusters": cluster_content(facts, before, split_table, raw_images),
        "explanations": explanation_content(explanations, split_table, raw_images),
    }


def explanation_content(
    explanations: Explanations, split_table: pd.DataFrame, raw_images: RawFolder
) -> ExplainedContent:
    """Return what the page draws of an explanation: it, its images, and a caption of each."""
    white, paths = white_value(split_table), sorted({*_explained_paths(explanations)})
    rows = split_table.set_index(PATH).loc[paths]
    captions = {path: _caption(row) for path, row in rows.iterrows()}
    pictures = {path: picture_below(read_image(raw_images.root / path, white_value=white)) for path in paths}
    return ExplainedContent(explanations, pictures, {str(path): caption for path, caption in captions.items()})


def _explained_paths(explanations: Explanations) -> Iterator[str]:
    if explanations.attention is not None:
        yield from (each.path for each in explanations.attention.images)
    for each in explanations.similar:
        yield from (each.path, each.same.path, each.other.path)


def _caption(row: pd.Series) -> str:
    named = f"id {row[IDENTITY]}" if row[IDENTITY] else ""
    camera = f"camera {row[CAMERA]}" if row[CAMERA] else ""
    return " · ".join(filter(None, [named, camera]))
