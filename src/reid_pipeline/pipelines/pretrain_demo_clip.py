"""Captioned drawings to the weights of the demo CLIP that ship with the package."""

from functools import partial
from typing import Any

from kedro.pipeline import Pipeline, node, pipeline
from pydantic import Field

from reid_drawings.captions import CaptionedDrawings
from reid_pipeline.schema.base import Parameters
from reid_pipeline.schema.parameters import ContrastParameters


class DrawnKinds(Parameters):
    """Each kind in the shape in which it is used."""

    people: CaptionedDrawings
    vehicles: CaptionedDrawings
    animals: CaptionedDrawings


class PretrainingParameters(Parameters):
    """What is drawn, and how the towers are trained on it."""

    drawings: DrawnKinds = Field(description="the training set")
    contrast: ContrastParameters = Field(description="the schedule")


def draw_captioned_images(pretrain_demo_clip: PretrainingParameters) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """Draw people, vehicles and animals who occur in no benchmark, with captions of what is seen of them."""
    from reid_drawings import KINDS, draw_captioned
    from reid_pipeline.engine.progress import progress_bar

    drawings: dict[str, Any] = {}
    captions: dict[str, list[str]] = {}
    with progress_bar() as bar:
        for kind in KINDS:
            drawn: CaptionedDrawings = getattr(pretrain_demo_clip.drawings, kind)
            report = partial(_show, bar, bar.add_task(f"draw {kind}", total=drawn.count, unit="images"))
            drawings[kind], captions[kind] = draw_captioned(drawn, kind=kind, on_image=report)
    return drawings, captions


def _show(bar: Any, task: Any, done: int) -> None:
    bar.update(task, completed=done)


def contrast(
    drawings: dict[str, Any], captions: dict[str, list[str]], pretrain_demo_clip: PretrainingParameters
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
