"""All benchmarks and methods that have been run, in one place."""

from reid_pipeline.pipelines.leaderboard.pipeline import create_pipeline

__all__ = ["create_pipeline"]
