"""Parameters as they are typed on the command line."""

import json
import re
from collections.abc import Mapping
from typing import Any

from reid_pipeline.schema.layers import TEXT
from reid_pipeline.schema.nested import leaves

_PLAIN = re.compile(r"[A-Za-z_/.~][\w/.~+-]*")
_PLAIN_NAME = re.compile(r"[^,\"'\\]+")
_NO_TEXT = {"null", "true", "false", "yes", "no", "on", "off", "y", "n", "~"}
"""Words that YAML reads as a value."""


def typed(parameters: Mapping[str, Any]) -> str:
    """Return parameters, nested or by dotted names, as `--params` takes them; the shell may want it in quotes."""
    return ",".join(f"{name}={_typed_value(name, value)}" for name, value in leaves(parameters))


def _typed_value(name: str, value: Any) -> str:
    plain = isinstance(value, str) and (_PLAIN if name not in TEXT else _PLAIN_NAME).fullmatch(value)
    return str(value) if plain and value.lower() not in _NO_TEXT else json.dumps(value, ensure_ascii=False)
