"""Networks: CLIP's image and text towers, their weights, prompts, heads, and the inference-only embedder.

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
    from reid_pipeline.models.heads import BNNeck, identity_classifier, predictor_head, projection_head
    from reid_pipeline.models.image_encoder import ImageEncoder, build_image_encoder
    from reid_pipeline.models.pretrained import load_pretrained_clip_state, load_pretrained_state
    from reid_pipeline.models.prompt_augmentation import mask_prompts, mix_prompts, swap_prompts
    from reid_pipeline.models.prompts import PromptLearner
    from reid_pipeline.models.reid_model import ReIDModel
    from reid_pipeline.models.resnet_encoder import ResNetEncoder
    from reid_pipeline.models.text_encoder import TextEncoder, build_encoders, build_text_encoder
    from reid_pipeline.models.vit_encoder import ViTEncoder

_HOMES = {
    "BNNeck": "heads",
    "Embedder": "embedder",
    "ImageEncoder": "image_encoder",
    "ImageFeatures": "features",
    "PromptLearner": "prompts",
    "ReIDModel": "reid_model",
    "ResNetEncoder": "resnet_encoder",
    "TextEncoder": "text_encoder",
    "ViTEncoder": "vit_encoder",
    "build_clip": "architecture",
    "build_demo_clip": "demo",
    "build_encoders": "text_encoder",
    "build_image_encoder": "image_encoder",
    "build_text_encoder": "text_encoder",
    "demo_tokenizer": "demo",
    "embedder_from_description": "embedder",
    "identity_classifier": "heads",
    "load_demo_state": "demo",
    "load_pretrained_clip_state": "pretrained",
    "load_pretrained_state": "pretrained",
    "mask_prompts": "prompt_augmentation",
    "mix_prompts": "prompt_augmentation",
    "model_names": "architecture",
    "pack_demo_state": "demo",
    "predictor_head": "heads",
    "projection_head": "heads",
    "swap_prompts": "prompt_augmentation",
    "unpack_demo_state": "demo",
}

__all__ = [
    "BNNeck",
    "Embedder",
    "ImageEncoder",
    "ImageFeatures",
    "PromptLearner",
    "ReIDModel",
    "ResNetEncoder",
    "TextEncoder",
    "ViTEncoder",
    "build_clip",
    "build_demo_clip",
    "build_encoders",
    "build_image_encoder",
    "build_text_encoder",
    "demo_tokenizer",
    "embedder_from_description",
    "identity_classifier",
    "load_demo_state",
    "load_pretrained_clip_state",
    "load_pretrained_state",
    "mask_prompts",
    "mix_prompts",
    "model_names",
    "pack_demo_state",
    "predictor_head",
    "projection_head",
    "swap_prompts",
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
