"""One module per kind of image tower; each holds its `TOWER`. A kind is found by looking at open_clip's built tower.

Modules whose names begin with an underscore are what several kinds share.
"""

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from typing import Any

from torch import Tensor

from reid_pipeline.models.architecture import Architecture
from reid_pipeline.models.image_encoder import ImageEncoder, TowerSettings
from reid_pipeline.schema.errors import UserError


@cache
def tower_kinds() -> tuple[type[ImageEncoder], ...]:
    """Return the class of every kind, in the order of their modules' names."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name[0] != "_")
    return tuple(importlib.import_module(f"{__name__}.{name}").TOWER for name in names)


def tower_class(visual: Any, name: str) -> type[ImageEncoder]:
    """Return the class for open_clip's built tower `visual` of the network `name`; a UserError where none fits it."""
    fitting = [kind for kind in tower_kinds() if kind.fits(visual)]
    if len(fitting) != 1:
        kinds = ", ".join(kind.KIND for kind in tower_kinds())
        found = type(getattr(visual, "trunk", visual)).__name__
        raise UserError(
            f"Backbone {name!r} has an image tower of a kind that does not give the three features ({found}). "
            f"Supported: {kinds}. Set `backbone` to a network of one of these, such as ViT-B-16-quickgelu."
        )
    return fitting[0]


def build_tower(
    architecture: Architecture, settings: TowerSettings, state: Mapping[str, Tensor] | None = None
) -> ImageEncoder:
    """Return the image tower of an architecture; arguments and errors are those of `ImageEncoder` and `tower_class`."""
    visual = architecture.visual()
    return tower_class(visual, architecture.name)(architecture, visual, settings, state)
