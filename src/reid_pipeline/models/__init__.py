"""Networks: CLIP's image and text towers, weights, prompts, heads, the embedder. Importing it imports no torch."""

from typing import Any


def __getattr__(name: str) -> Any:
    if name != "build_image_encoder":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from reid_pipeline.models.backbone import build_image_encoder

    return build_image_encoder


def __dir__() -> list[str]:
    return sorted({*globals(), "build_image_encoder"})
