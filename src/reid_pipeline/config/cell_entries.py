"""Entries of the catalog for methods whose folder is not called like them."""

from typing import Any

_METHOD = "{method}"


def with_folders(catalog: dict[str, Any], folders: dict[str, str]) -> dict[str, Any]:
    """Give each method whose folder is not its name entries of its own, which Kedro prefers to a pattern."""
    written = dict(catalog)
    for method, folder in folders.items():
        for name, entry in catalog.items() if folder != method else ():
            own = name.replace(_METHOD, method)
            if own != name and own not in catalog:
                written[own] = _replaced(entry, folder)
    return written


def _replaced(entry: Any, folder: str) -> Any:
    if isinstance(entry, dict):
        return {name: _replaced(value, folder) for name, value in entry.items()}
    if isinstance(entry, list):
        return [_replaced(value, folder) for value in entry]
    return entry.replace(_METHOD, folder) if isinstance(entry, str) else entry
