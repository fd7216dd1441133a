"""One module per method; each holds its `METHOD`. A method is found by its module's name.

Modules whose names begin with an underscore are families: what several methods share.
"""

import importlib
import pkgutil
from typing import TYPE_CHECKING

from reid_pipeline.schema.errors import UserError, nearest

if TYPE_CHECKING:
    from reid_pipeline.engine.stage import Method


def method_names() -> list[str]:
    """Return the names of all methods, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name[0] != "_")


def find_method(name: str) -> "Method":
    """Return the METHOD of module `name`; a UserError lists the methods where there is none."""
    names = method_names()
    if name not in names:
        raise UserError(f"There is no method {name!r}.{nearest(name, names)} Methods are: {', '.join(names)}.")
    method: Method = importlib.import_module(f"{__name__}.{name}").METHOD
    return method
