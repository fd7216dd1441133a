"""Shrunken networks of every kind of tower: one module for each module of `models/towers/`, of the same name.

A module holds `EXAMPLES`, open_clip's `vision_cfg` by name, and `penultimate`, which reads that feature off a run of
open_clip's network. Where timm has no network that is small enough, the module registers one, made by timm's own
builder. `examples()` gives all, and open_clip knows them by name until `forget_examples()`.
"""

import importlib
import pkgutil
from functools import cache
from pathlib import Path
from typing import Any

from torch import Tensor, nn

TEXT = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
EMBED_DIM = 24


@cache
def configurations() -> dict[str, dict[str, Any]]:
    """Return open_clip's `vision_cfg` by module and name; timm knows its part of them afterwards."""
    modules = [each.name for each in pkgutil.iter_modules(__path__)]
    return {name: importlib.import_module(f"{__name__}.{name}").EXAMPLES for name in modules}


def examples() -> dict[str, dict[str, Any]]:
    """Return `configurations()`; each name is one that `Architecture` takes until `forget_examples()`."""
    import open_clip

    for configs in configurations().values():
        for name, vision in configs.items():
            embed_dim = vision["width"] if vision.get("timm_proj") == "none" else EMBED_DIM
            config = {"embed_dim": embed_dim, "vision_cfg": dict(vision), "text_cfg": dict(TEXT)}
            open_clip.factory._MODEL_CONFIGS[name] = config
    return configurations()


def forget_examples() -> None:
    """Take the examples out of open_clip's list again, for tests of what it lists."""
    import open_clip

    for configs in configurations().values():
        for name in configs:
            open_clip.factory._MODEL_CONFIGS.pop(name, None)


def shipped_names() -> list[str]:
    """Return the names that open_clip and this project ship, without those that tests add."""
    import open_clip

    from reid_pipeline.models import open_clip_lists

    folders = (Path(open_clip.__file__).parent / "model_configs", Path(open_clip_lists.__file__).parent / "configs")
    shipped = {file.stem for folder in folders for file in folder.glob("*.json")}
    return sorted(shipped & set(open_clip_lists.configs()))


def entering(module: nn.Module, network: nn.Module, images: Tensor) -> Tensor:
    """Return what enters a module while the network runs."""
    seen: list[Tensor] = []
    handle = module.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    network(images)
    handle.remove()
    return seen[0]
