"""Shrunken networks of every kind of tower: one module for each module of `models/towers/`, of the same name.

A module holds `EXAMPLES`, open_clip's `vision_cfg` by name, and `penultimate`, which reads that feature off a run of
open_clip's network. Where timm has no network that is small enough, the module registers one, made by timm's own
builder. `examples()` gives all, and open_clip knows them by name afterwards.
"""

import importlib
import json
import pkgutil
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from torch import Tensor, nn

TEXT = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
EMBED_DIM = 24


@cache
def examples() -> dict[str, dict[str, Any]]:
    """Return the configurations by module and name; each is a name that `Architecture` takes from now on."""
    import open_clip

    found: dict[str, dict[str, Any]] = {}
    for module in pkgutil.iter_modules(__path__):
        found[module.name] = importlib.import_module(f"{__name__}.{module.name}").EXAMPLES
    with TemporaryDirectory() as folder:
        for configs in found.values():
            for name, vision in configs.items():
                config = {"embed_dim": EMBED_DIM, "vision_cfg": vision, "text_cfg": TEXT}
                if vision.get("timm_proj") == "none":
                    config["embed_dim"] = vision["width"]
                Path(folder, f"{name}.json").write_text(json.dumps(config))
        open_clip.add_model_config(Path(folder))
        open_clip.factory._MODEL_CONFIG_PATHS.remove(Path(folder))
    return found


def entering(module: nn.Module, network: nn.Module, images: Tensor) -> Tensor:
    """Return what enters a module while the network runs."""
    seen: list[Tensor] = []
    handle = module.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    network(images)
    handle.remove()
    return seen[0]
