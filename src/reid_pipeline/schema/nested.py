"""Nested mappings: by dotted names, and one laid over another."""

from collections.abc import Iterator, Mapping
from typing import Any


def leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every leaf as (dotted name, value), in the mapping's order; an empty mapping is a leaf."""
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return dotted names as mappings within mappings: `{"a.b": 3}` as `{"a": {"b": 3}}`."""
    result: dict[str, Any] = {}
    for name, value in values.items():
        *groups, last = name.split(".")
        place = result
        for group in groups:
            place = place.setdefault(group, {})
        place[last] = value
    return result


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return `above` with what only `below` has, mappings within mappings too."""
    result = dict(below)
    for name, value in above.items():
        held = result.get(name)
        result[name] = merged(held, value) if isinstance(value, Mapping) and isinstance(held, Mapping) else value
    return result
