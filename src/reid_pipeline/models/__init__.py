"""Networks: CLIP's image and text towers, their weights, prompts, heads, and the inference-only embedder.

The documented names are imported when first used: importing this package does not import torch.
"""

from importlib import import_module
from typing import Any

_HOMES = {"build_image_encoder": "backbone"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
