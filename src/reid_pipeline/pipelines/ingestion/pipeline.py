"""Wiring of the ingestion pipeline."""

from kedro.pipeline import Pipeline, node, pipeline

from reid_pipeline.pipelines.ingestion.nodes import make_split_table, read_manifest


def create_pipeline() -> Pipeline:
    """Return raw folder -> manifest -> split table."""
    return pipeline(
        [
            node(read_manifest, ["raw_images", "params:ingestion"], "manifest", name="read_manifest"),
            node(make_split_table, ["manifest", "params:splits"], "split_table", name="make_split_table"),
        ]
    )
