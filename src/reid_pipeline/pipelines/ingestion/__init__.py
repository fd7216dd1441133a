"""Raw folder to split table."""

from reid_pipeline.pipelines.ingestion.pipeline import create_pipeline

__all__ = ["create_pipeline"]
