"""The bases of all parameter models: frozen, complete, and helpful about a mistyped name."""

import math
from collections.abc import Hashable, Mapping
from functools import cache
from typing import Any, ClassVar, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from reid_pipeline.schema.errors import first_few, nearest
from reid_pipeline.schema.nested import merged

_LARGEST_WHOLE = 2**63 - 1
"""What numpy and torch count with."""
_LARGEST = 1e15
"""Of others: the product of two is still far from the end of single precision, 3e38."""


class Parameters(BaseModel):
    """A frozen set of named parameters that refuses names it does not know, and gives the nearest allowed one.

    A number is finite, and no truth value: `true` would be read as 1. Text that is a plain number is read as one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _known_names(cls, values: Any) -> Any:
        allowed = sorted(cls.model_fields)
        for given in values if isinstance(values, dict) else ():
            if given not in allowed:
                near = nearest(str(given), allowed)
                raise ValueError(f"unknown parameter {given!r}.{near} Allowed here: {first_few(allowed, 30)}.")
        return values

    @field_validator("*", mode="before")
    @classmethod
    def _numbers(cls, value: Any, info: ValidationInfo) -> Any:
        annotation: Any = cls.model_fields[info.field_name or ""].annotation
        allowed = _types_in(annotation)
        return _checked_number(value, allowed) if allowed & {int, float} else value


@cache
def _types_in(annotation: Hashable) -> frozenset[Any]:
    """Return the plain types that an annotation is made of."""
    parts = get_args(annotation)
    return frozenset().union(*map(_types_in, parts)) if parts else frozenset({annotation} & {bool, int, float, str})


def _checked_number(value: Any, allowed: frozenset[Any]) -> Any:
    """Return a number, or a list of them, with 0 in the place of -0: these are equal, and their text is not."""
    if isinstance(value, list | tuple):
        return type(value)(_checked_number(each, allowed) for each in value)
    if isinstance(value, bool) and bool not in allowed:
        raise ValueError(f"a number is needed, and {str(value).lower()} is a truth value")
    number = _number_in_text(value) if isinstance(value, str) and str not in allowed else value
    if isinstance(number, int | float):
        limit = _LARGEST_WHOLE if int in allowed else _LARGEST
        if isinstance(number, float) and not math.isfinite(number):
            raise ValueError(f"a finite number is needed, and {value} is none")
        if abs(number) > limit:
            shown = f"a number of {len(str(abs(number)))} digits" if isinstance(number, int) else f"{number:g}"
            raise ValueError(f"{shown} is too large to compute with; at most {limit:g} is allowed")
    return 0.0 if isinstance(value, float) and value == 0 else value


def _number_in_text(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


class RecipeParameters(Parameters):
    """Parameters whose left-out values depend on `recipe` (methods.md section 11); whatever is given stands."""

    RECIPES: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    recipe: Literal["released", "corrected"] = Field(
        "released", description="released: as the code that made the published figures; corrected: as meant"
    )

    @model_validator(mode="before")
    @classmethod
    def _filled_in(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        return merged(cls.RECIPES.get(str(values.get("recipe", "released")), {}), values)
