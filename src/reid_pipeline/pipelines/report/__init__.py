"""All methods of a benchmark in one table, beside the published figures."""

from reid_pipeline.pipelines.report.pipeline import create_pipeline

__all__ = ["create_pipeline"]
