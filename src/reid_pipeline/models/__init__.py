"""Networks: CLIP's image tower, its weights, necks, and the inference-only embedder.

The names below are imported when first used: importing this package does not import torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reid_pipeline.models.architecture import build_clip, model_names
    from reid_pipeline.models.demo import (
        build_demo_clip,
        demo_tokenizer,
        load_demo_state,
        pack_demo_state,
        unpack_demo_state,
    )
    from reid_pipeline.models.embedder import Embedder, embedder_from_description
    from reid_pipeline.models.features import ImageFeatures
    from reid_pipeline.models.heads import BNNeck, identity_classifier
    from reid_pipeline.models.image_encoder import ImageEncoder, build_image_encoder
    from reid_pipeline.models.pretrained import load_pretrained_clip_state, load_pretrained_state
    from reid_pipeline.models.reid_model import ReIDModel

_HOMES = {
    "BNNeck": "heads",
    "Embedder": "embedder",
    "ImageEncoder": "image_encoder",
    "ImageFeatures": "features",
    "ReIDModel": "reid_model",
    "build_clip": "architecture",
    "build_demo_clip": "demo",
    "build_image_encoder": "image_encoder",
    "demo_tokenizer": "demo",
    "embedder_from_description": "embedder",
    "identity_classifier": "heads",
    "load_demo_state": "demo",
    "load_pretrained_clip_state": "pretrained",
    "load_pretrained_state": "pretrained",
    "model_names": "architecture",
    "pack_demo_state": "demo",
    "unpack_demo_state": "demo",
}

__all__ = [
    "BNNeck",
    "Embedder",
    "ImageEncoder",
    "ImageFeatures",
    "ReIDModel",
    "build_clip",
    "build_demo_clip",
    "build_image_encoder",
    "demo_tokenizer",
    "embedder_from_description",
    "identity_classifier",
    "load_demo_state",
    "load_pretrained_clip_state",
    "load_pretrained_state",
    "model_names",
    "pack_demo_state",
    "unpack_demo_state",
]


def __getattr__(name: str) -> Any:
    """Import a public name from the module it lives in."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
