"""Captioned drawings to the weights of the demo CLIP that ship with the package."""

from typing import Any

from kedro.pipeline import Pipeline, node, pipeline
from pydantic import Field

from reid_drawings.captions import CaptionedDrawings
from reid_pipeline.schema.base import Parameters
from reid_pipeline.schema.parameters import ContrastParameters


class PretrainingParameters(Parameters):
    """What is drawn, and how the towers are trained on it."""

    drawings: CaptionedDrawings = Field(description="the training set")
    contrast: ContrastParameters = Field(description="the schedule")


def draw_captioned_images(pretrain_demo_clip: PretrainingParameters) -> tuple[Any, list[str]]:
    """Draw people who occur nowhere in the benchmark, with captions of what is seen of them."""
    from reid_drawings import draw_captioned
    from reid_pipeline.engine.progress import progress_bar

    drawings = pretrain_demo_clip.drawings
    with progress_bar() as bar:
        task = bar.add_task("draw captioned", total=drawings.count, unit="images")
        return draw_captioned(drawings, on_image=lambda done: bar.update(task, completed=done))


def contrast(
    drawings: Any, captions: list[str], pretrain_demo_clip: PretrainingParameters
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Train both towers; return the packed weights and their provenance."""
    from reid_pipeline.pretraining import pretrain

    weights, measured = pretrain(drawings, captions, pretrain_demo_clip.contrast)
    return weights, {"parameters": pretrain_demo_clip.model_dump(mode="json"), **measured}


def create_pipeline() -> Pipeline:
    """Return drawings and captions -> weights and provenance."""
    parameters, drawn = "params:pretrain_demo_clip", ["drawings", "captions"]
    trained = ["demo_clip_weights", "demo_clip_provenance"]
    drawing = node(draw_captioned_images, parameters, drawn, name="draw_captioned_images")
    return pipeline([drawing, node(contrast, [*drawn, parameters], trained, name="contrast")])
