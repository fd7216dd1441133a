"""From the manifest, as published, to the split table, as used, and what is in it."""

from reid_pipeline.splits.normalise import SplitTables, data_hash, normalise_splits

__all__ = ["SplitTables", "data_hash", "normalise_splits"]
