"""A method's results as they are beside those of an earlier run, which `--load-versions` chooses."""

from reid_pipeline.pipelines.changes.pipeline import create_pipeline

__all__ = ["create_pipeline"]
