"""Captioned drawings to the weights of the demo CLIP that ship with the package."""

from reid_pipeline.pipelines.pretrain_demo_clip.pipeline import create_pipeline

__all__ = ["create_pipeline"]
