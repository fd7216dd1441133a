"""Nodes of the ingestion pipeline."""

import pandas as pd

from reid_pipeline.benchmarks import reader
from reid_pipeline.schema.columns import PATH, SHA256
from reid_pipeline.schema.parameters import IngestionParameters, SplitParameters
from reid_pipeline.schema.raw_folder import RawFolder
from reid_pipeline.splits import normalise_splits


def read_manifest(raw_images: RawFolder, ingestion: IngestionParameters) -> pd.DataFrame:
    """List the images as published, with the hash of every file's bytes."""
    from reid_pipeline.images.decode import content_hashes

    manifest = reader(ingestion.reader)(raw_images.files)
    return manifest.assign(**{SHA256: content_hashes(raw_images.root, manifest[PATH].tolist())})


def make_split_table(manifest: pd.DataFrame, splits: SplitParameters) -> pd.DataFrame:
    """Give every image its split and every training identity its label."""
    return normalise_splits(manifest, splits)
