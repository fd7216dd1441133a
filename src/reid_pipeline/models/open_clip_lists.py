"""What open_clip lists, read from its folder without importing it: that takes ten seconds, and a wrong name none."""

import importlib
import importlib.util
import json
import sys
import types
from functools import cache
from pathlib import Path
from typing import Any

ModelConfig = dict[str, Any]

_PACKAGE = "open_clip"
_ALONE = "_open_clip_alone"
OWN_CONFIGS = Path(__file__).parent / "configs"
DEMO_MODEL = "demo-vit"
DEMO_TAG = "demo"
DEMO_PIXELS = (0.5, 0.5, 0.5)
"""Mean and standard deviation that the demo CLIP was pretrained with."""
_PARTS = ("embed_dim", "vision_cfg", "text_cfg")


def configs() -> dict[str, ModelConfig]:
    """Return open_clip's configurations by name, that of our demo model among them; the caller owns the copy.

    Those that a program has added to open_clip since count, too.
    """
    parsed = {name: json.loads(text) for name, text in _texts().items()}
    found = {name: config for name, config in parsed.items() if all(part in config for part in _PARTS)}
    if (open_clip := sys.modules.get(_PACKAGE)) is not None:
        found |= {name: open_clip.get_model_config(name) for name in open_clip.list_models() if name not in found}
    return found


@cache
def _texts() -> dict[str, str]:
    files = [*(_folder() / "model_configs").glob("*.json"), *OWN_CONFIGS.glob("*.json")]
    return {file.stem: file.read_text(encoding="utf-8") for file in sorted(files)}


def tags_of(name: str) -> list[str]:
    """Return the tags of published weights of a model."""
    return list(_pretrained().list_pretrained_tags_by_model(name))


def facts_of(name: str, tag: str) -> dict[str, Any]:
    """Return where the weights of a tag lie and which pixels they were trained on; empty for an unknown tag."""
    return dict(_pretrained().get_pretrained_cfg(name, tag))


def shared_statistics(name: str) -> dict[str, Any]:
    """Return the pixel statistics (`mean`, `std`) that all tags of a model were trained with; empty where they differ.

    It is empty, too, for a model without tags.
    """
    if name == DEMO_MODEL:
        return {"mean": DEMO_PIXELS, "std": DEMO_PIXELS}
    facts = [facts_of(name, tag) for tag in tags_of(name)]
    found: list[dict[str, Any]] = [{key: each[key] for key in ("mean", "std") if key in each} for each in facts]
    return found[0] if found and all(each == found[0] for each in found) else {}


def default_tag(name: str, present: str | None) -> str | None:
    """Return the tag of published weights for a model that was named without: `present` where the model has it.

    Otherwise the first that open_clip lists and that was trained with the activation of the network, QuickGELU or the
    exact one; None for a model that has none.
    """
    known = configs()
    exact = not known.get(name, {}).get("quick_gelu", False) and f"{name}-quickgelu" in known
    fitting = [tag for tag in tags_of(name) if not (exact and facts_of(name, tag).get("quick_gelu", False))]
    return present if present in fitting else next(iter(fitting), None)


def file_names() -> tuple[str, str]:
    """Return the names of a repository's weights where the list gives none: what to look for, in this order."""
    lists = _pretrained()
    return str(lists.HF_SAFE_WEIGHTS_NAME), str(lists.HF_WEIGHTS_NAME)


@cache
def _pretrained() -> Any:
    """Return the module `open_clip.pretrained`, alone: under another package's name where open_clip is not loaded."""
    if _PACKAGE in sys.modules:
        return importlib.import_module(f"{_PACKAGE}.pretrained")
    package = types.ModuleType(_ALONE)
    package.__path__ = [str(_folder())]
    sys.modules[_ALONE] = package
    return importlib.import_module(f"{_ALONE}.pretrained")


def _folder() -> Path:
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or found.origin is None:
        raise ModuleNotFoundError(f"No module named {_PACKAGE!r}", name=_PACKAGE)
    return Path(found.origin).parent
