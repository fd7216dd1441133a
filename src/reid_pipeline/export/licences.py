"""What is known of the licence of a model's weights: of those that training started from, and of what it trained on."""

from typing import Any

from reid_pipeline.readers import reader, reader_names
from reid_pipeline.schema.origin import PUBLISHED, Origin

_UNKNOWN = "their publisher's licence holds, which this project does not know"
# By the tag of the pretrained weights. OpenAI: the licence file of its repository, and the model card's limits on use.
_OF_TAGS = {
    "demo": "pretrained on drawings by this project, Apache-2.0",
    "openai": (
        "OpenAI's CLIP, published under the MIT licence; its model card calls surveillance and untested deployment out"
        " of scope"
    ),
}


def licence_note(origin: Origin | None) -> str:
    """Return sentences on the licence of an embedder's weights."""
    if origin is None:
        return "It is not known what these weights were made from: ask whoever made them."
    backbone = _backbone(origin)
    tag = backbone.get("pretrained")
    if PUBLISHED in origin.made_from:
        start = f"The weights are a published model's (SHA-256 {origin.made_from[PUBLISHED]}): {_UNKNOWN}."
    elif origin.weights == "random":
        start = "Training started from random weights."
    else:
        known = _OF_TAGS.get(str(tag), _UNKNOWN)
        digest = f", SHA-256 {origin.weights}" if origin.weights else ""
        start = f"Training started from weights {tag} of {backbone.get('name')}{digest}: {known}."
    return f"{start} {_of_images(origin)}".strip()


def _backbone(origin: Origin) -> dict[str, Any]:
    block = origin.parameters.get(origin.method or "")
    backbone = block.get("backbone") if isinstance(block, dict) else None
    return backbone if isinstance(backbone, dict) else {}


def _of_images(origin: Origin) -> str:
    """Return what holds for the images that it was trained on."""
    if origin.method == "zero_shot" or origin.benchmark is None:
        return ""
    if origin.benchmark in reader_names() and origin.benchmark != "custom":
        benchmark = reader(origin.benchmark).BENCHMARK
        return f"It was trained on {benchmark.title}: {benchmark.licence}"
    return f"It was trained on images of {origin.benchmark}, whose owner says what may be done with it."
