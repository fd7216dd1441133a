"""Every trained embedder on every test split that is there."""

from reid_pipeline.pipelines.cross_benchmark.pipeline import create_pipeline

__all__ = ["create_pipeline"]
