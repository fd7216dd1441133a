"""The weights of a backbone that is given by its name alone: `--params backbone.name=ViT-B-16-SigLIP2`."""

import logging
from collections.abc import Mapping
from functools import cache
from typing import Any

from reid_pipeline.models.open_clip_lists import default_tag, tags_of
from reid_pipeline.schema.errors import first_few

_log = logging.getLogger(__name__)


@cache
def weights_of(name: str, present: str) -> Mapping[str, Any]:
    """Return what of a backbone follows from its name; nothing where it has no published weights.

    The tag `present`, of the backbone before, where the new one has it, else the first fitting one that open_clip
    lists (`default_tag`); and the pixel statistics that these weights were trained with. The log says so, once.
    """
    from reid_pipeline.models.open_clip_lists import DEMO_MODEL
    from reid_pipeline.models.pretrained import DEMO_PIXELS, DEMO_TAG

    if name == DEMO_MODEL:
        return {"pretrained": DEMO_TAG, "pixel_mean": DEMO_PIXELS, "pixel_std": DEMO_PIXELS}
    tag = default_tag(name, present)
    if tag is None:
        return {}
    others = [each for each in tags_of(name) if each != tag]
    _log.info(
        "backbone.name is %s, without weights: it gets backbone.pretrained=%s, with the pixel statistics of these.%s",
        name,
        tag,
        f" There are also {first_few(others, 6)}." if others else "",
    )
    return {"pretrained": tag, "pixel_mean": None, "pixel_std": None}
