"""Wiring of the demo CLIP's pretraining."""

from kedro.pipeline import Pipeline, node, pipeline

from reid_pipeline.pipelines.pretrain_demo_clip.nodes import contrast, draw_captioned_images


def create_pipeline() -> Pipeline:
    """Return drawings and captions -> weights and provenance."""
    parameters = "params:pretrain_demo_clip"
    return pipeline(
        [
            node(draw_captioned_images, parameters, ["drawings", "captions"], name="draw_captioned_images"),
            node(
                contrast,
                ["drawings", "captions", parameters],
                ["demo_clip_weights", "demo_clip_provenance"],
                name="contrast",
            ),
        ]
    )
