"""Wiring of the ingestion pipeline."""

from kedro.pipeline import Pipeline, node, pipeline

from reid_pipeline.pipelines.ingestion import nodes

TABLES = "tables"
"""Tag of the nodes that write the tables of a benchmark: one process at a time (`cell_locks`)."""


def create_pipeline() -> Pipeline:
    """Return raw folder -> manifest -> facts of the image files -> split table -> dataset page."""
    tables = ["manifest", "image_facts", "split_table", "galleries"]
    return pipeline(
        [
            node(
                nodes.read_manifest,
                ["raw_images", "known_image_stamps", "params:ingestion"],
                ["manifest", "reading"],
                name="read_manifest",
            ),
            node(
                nodes.check_image_files,
                ["raw_images", "manifest", "known_image_facts"],
                ["image_facts", "image_stamps"],
                name="check_image_files",
            ),
            node(
                nodes.make_split_table,
                ["manifest", "image_facts", "params:ingestion", "params:splits", "params:evaluation"],
                ["split_table", "galleries"],
                name="make_split_table",
            ),
            node(
                nodes.summarise_collection,
                ["reading", *tables, "params:ingestion", "params:evaluation"],
                "dataset_summary",
                name="summarise_collection",
            ),
            node(nodes.make_dataset_page, "dataset_summary", "dataset_page", name="make_dataset_page"),
        ],
        tags=TABLES,
    )
