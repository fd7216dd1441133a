"""Split table to report, for any method: one namespace each."""

from reid_pipeline.pipelines.method.pipeline import FLOOR, create_pipeline

__all__ = ["FLOOR", "create_pipeline"]
