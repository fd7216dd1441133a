"""What follows from the name of a backbone: `--params backbone.name=ViT-B-16-SigLIP2`."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from reid_pipeline.models.model_folders import is_model_folder
from reid_pipeline.models.open_clip_lists import DEMO_MODEL, DEMO_PIXELS, DEMO_TAG, configs, default_tag, tags_of
from reid_pipeline.schema.errors import first_few
from reid_pipeline.schema.layers import BACKBONE, Layers

_log = logging.getLogger(__name__)
_OF_THE_WEIGHTS = {"pixel_mean": None, "pixel_std": None}
_BY_NAME = "by its name"


def weights_of(old: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return what of a backbone follows from its name, which takes the place of the backbone `old`.

    - `pretrained`: of a folder or repository its own weights (null); else the tag in force where the new name has it,
      else the first fitting one that open_clip lists (`default_tag`). Random weights stay random, and a name without
      published weights leaves it as it is.
    - The pixel statistics: those of the weights, whichever these are.

    Nothing follows from a name that is unknown, which is refused later.
    """
    if is_model_folder(name):
        return {"pretrained": None, **_OF_THE_WEIGHTS}
    present = old.get("pretrained")
    random = present is None and not is_model_folder(str(old.get("name")))
    if name == DEMO_MODEL:
        pixels: dict[str, Any] = {"pixel_mean": list(DEMO_PIXELS), "pixel_std": list(DEMO_PIXELS)}
        return pixels if random else {"pretrained": DEMO_TAG, **pixels}
    known, tag = _known_and_tag(name, present)
    return {**({} if random or tag is None else {"pretrained": tag}), **(_OF_THE_WEIGHTS if known else {})}


@cache
def _known_and_tag(name: str, present: str | None) -> tuple[bool, str | None]:
    # Where none fits the network's activation, the first tag is refused with the name of the network that it fits.
    return name in configs(), default_tag(name, present) or next(iter(tags_of(name)), None)


def log_weights(layers: Layers, in_force: Mapping[str, Any]) -> None:
    """Log, once, each backbone in force whose weights follow from its name: no layer that counts gives them."""

    def marked(old: Mapping[str, Any], name: str) -> Mapping[str, Any]:
        found = weights_of(old, name)
        return {**found, "pretrained": _BY_NAME} if "pretrained" in found else found

    traced = replace(layers, weights_of=marked).in_force()
    for method in layers.models:
        of_trace, own = (_backbone(values.get(method)) for values in (traced, in_force))
        if of_trace.get("pretrained") == _BY_NAME:
            _log_once(own["name"], own["pretrained"])


def _backbone(parameters: Any) -> Mapping[str, Any]:
    block = parameters.get(BACKBONE) if isinstance(parameters, Mapping) else None
    return block if isinstance(block, Mapping) else {}


@cache
def _log_once(name: str, pretrained: str | None) -> None:
    if pretrained is None:
        _log.info("backbone.name is %s, without weights: it gets its own, with its pixel statistics.", name)
        return
    others = [each for each in tags_of(name) if each != pretrained]
    _log.info(
        "backbone.name is %s, without weights: it gets backbone.pretrained=%s, with the pixel statistics of these.%s",
        name,
        pretrained,
        f" There are also {first_few(others, 6)}." if others else "",
    )
