"""Split table to report, for any method: one namespace each."""

from reid_pipeline.pipelines.method.pipeline import create_pipeline

__all__ = ["create_pipeline"]
