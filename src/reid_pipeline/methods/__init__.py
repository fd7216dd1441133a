"""One module per method; each holds its `METHOD`. A method is found by its module's name.

Modules whose names begin with an underscore are families: what several methods share.
"""

import importlib
import pkgutil
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from reid_pipeline.schema.base import Parameters
from reid_pipeline.schema.errors import UserError, nearest
from reid_pipeline.schema.parameters import EvaluationParameters, IngestionParameters, SplitParameters

if TYPE_CHECKING:
    from reid_pipeline.engine.stage import Method

DECIDING_BLOCKS: Mapping[str, type[Parameters]] = {
    "ingestion": IngestionParameters,
    "splits": SplitParameters,
    "evaluation": EvaluationParameters,
}
"""The blocks of parameters that decide a run's figures beside its method's own."""


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


def recorded_block(name: str, values: Any) -> Any:
    """Return a block of parameters as a run card has it, whole: a parameter that is not given has its default.

    `name` is a method's or one of `DECIDING_BLOCKS`; other blocks are returned as they are. A card that was written
    before there was a parameter is completed so: its default is what ran then.

    Raises:
        ValidationError: of pydantic; `values`, a dictionary or already a model, do not fit.
    """
    if isinstance(values, dict) and (name in DECIDING_BLOCKS or name in method_names()):
        values = (DECIDING_BLOCKS.get(name) or find_method(name).params).model_validate(values)
    return values.model_dump(mode="json") if isinstance(values, BaseModel) else values
