"""A study of a method's parameters, scored on identities cut from the training split."""

from reid_pipeline.pipelines.tuning.pipeline import create_pipeline

__all__ = ["create_pipeline"]
