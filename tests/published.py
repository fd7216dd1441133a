"""The parameters of a method as conf/ has them, for tests without a session."""

import copy
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from reid_pipeline.methods import find_method, method_names
from reid_pipeline.schema.layers import resolved

CONF = Path(__file__).parents[1] / "conf"


def conf_layer(folder: str) -> dict[str, Any]:
    """Return what a folder's parameter files hold."""
    files = sorted((CONF / folder).glob("parameters*.yml"))
    return copy.deepcopy({name: value for file in files for name, value in _held(file.read_text()).items()})


@cache
def _held(text: str) -> dict[str, Any]:
    held: dict[str, Any] = yaml.safe_load(text)
    return held


def published(method: str, *environments: str) -> dict[str, Any]:
    """Return a method's parameters in base, with environments over it."""
    models = {name: find_method(name).params for name in method_names()}
    layers = [conf_layer(folder) for folder in ("base", *environments)]
    found: dict[str, Any] = resolved(layers, len(layers), models)[method]
    return found
