"""What of a folder's configuration is checked where it is read: the values that say how large a network is, and pixels.

Keys that are not listed here are open_clip's affair: it refuses those that it does not know where a network is built.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple


class _Rule(NamedTuple):
    allows: Callable[[Any], bool]
    allowed: str  # in words


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _are(value: Any, length: int, each: Callable[[Any], bool]) -> bool:
    return isinstance(value, list) and len(value) == length and all(map(each, value))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_above_0(value: Any) -> bool:
    return _is_number(value) and value > 0


_COUNT = _Rule(_is_count, "a whole number above 0")
_SIDE = _Rule(lambda value: _is_count(value) or _are(value, 2, _is_count), "a whole number above 0, or a list of two")
_DEPTH = _Rule(lambda value: _is_count(value) or _are(value, 4, _is_count), "a whole number above 0, or a list of four")
_NO_COUNT = _Rule(lambda value: value is None or _SIDE.allows(value), f"null or {_SIDE.allowed}")
_TEXT = _Rule(lambda value: value is None or isinstance(value, str), "null or a text, the name of a network of timm")

_NETWORK = {"embed_dim": _COUNT}
_VISION = {
    "timm_model_name": _TEXT,
    "image_size": _SIDE,
    "patch_size": _SIDE,
    "width": _COUNT,
    "layers": _DEPTH,
    "head_width": _COUNT,
}
_OF_TIMM = {"patch_size": _NO_COUNT}  # timm's networks have a patch size of their own
_TEXTS = {"context_length": _COUNT, "vocab_size": _COUNT, "width": _COUNT, "heads": _COUNT, "layers": _COUNT}
_PIXELS = {
    "mean": _Rule(lambda value: _are(value, 3, _is_number), "a list of three numbers, one per colour"),
    "std": _Rule(lambda value: _are(value, 3, _is_above_0), "a list of three numbers above 0, one per colour"),
}


def fault_of_config(config: Mapping[str, Any]) -> str:
    """Return what is wrong in `model_cfg`, whose blocks are mappings, and what is allowed; empty if nothing is."""
    vision = config["vision_cfg"]
    of_timm = _OF_TIMM if vision.get("timm_model_name") else {}
    return (
        _fault(config, _NETWORK, "model_cfg")
        or _fault(vision, _VISION | of_timm, "model_cfg.vision_cfg")
        or _fault_of_sides(vision)
        or _fault(config["text_cfg"], _TEXTS, "model_cfg.text_cfg")
    )


def _fault_of_sides(vision: Mapping[str, Any]) -> str:
    """Return that a patch is larger than the image, where it is."""
    if vision.get("timm_model_name") or isinstance(vision.get("layers"), list):
        return ""
    image, patch = vision.get("image_size", 224), vision.get("patch_size", 16)
    pairs = [each if isinstance(each, list) else [each, each] for each in (image, patch)]
    if all(side >= least for side, least in zip(*pairs, strict=True)):
        return ""
    return f"`model_cfg.vision_cfg.patch_size` is {patch}, more than its `image_size` {image}. Allowed: at most that"


def fault_of_pixels(preprocessing: Any) -> str:
    """Return what is wrong in `preprocess_cfg`, and what is allowed; empty if nothing is."""
    if not isinstance(preprocessing, dict):
        return f"`preprocess_cfg` is {_short(preprocessing)}. Allowed: a block such as {{'mean': [0.5, 0.5, 0.5]}}"
    return _fault(preprocessing, _PIXELS, "preprocess_cfg")


def _fault(block: Mapping[str, Any], rules: Mapping[str, _Rule], where: str) -> str:
    for key, rule in rules.items():
        if key in block and not rule.allows(block[key]):
            return f"`{where}.{key}` is {_short(block[key])}. Allowed: {rule.allowed}"
    return ""


def _short(value: Any) -> str:
    text = "null" if value is None else repr(value)
    return text if len(text) <= 80 else f"{text[:80]}..."
