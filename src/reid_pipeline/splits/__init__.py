"""From the manifest, as published, to the split table, as used, and what is in it."""

from reid_pipeline.splits.normalise import (
    SplitTables,
    data_hash,
    galleries_hash,
    images_hash,
    normalise_splits,
    require_tables,
    white_value,
    with_origin,
    with_white_value,
)

__all__ = [
    "SplitTables",
    "data_hash",
    "galleries_hash",
    "images_hash",
    "normalise_splits",
    "require_tables",
    "white_value",
    "with_origin",
    "with_white_value",
]
