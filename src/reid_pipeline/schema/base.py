"""The bases of all parameter models: frozen, complete, and helpful about a mistyped name."""

import math
from collections.abc import Hashable, Mapping
from functools import cache
from typing import Any, ClassVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from reid_pipeline.schema.errors import first_few, nearest
from reid_pipeline.schema.nested import merged

_LARGEST_WHOLE = 2**63 - 1
"""What numpy and torch count with."""
_LARGEST = 1e15
"""Of others: the product of two is still far from the end of single precision, 3e38."""
RELEASED_OR_CORRECTED = "released: as the code that made the published figures; corrected: as meant"
_RECIPES = "recipes"
"""The block of an environment that adds to recipes."""


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
                raise ValueError(f"unknown parameter {given!r}.{nearest(str(given), allowed)} {_these(allowed)}")
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
    """Parameters whose left-out values depend on `recipe`; whatever is given stands.

    A subclass narrows `recipe` to the names in its `RECIPES`. What a recipe sets on one benchmark alone stands in that
    environment's conf, in the block `recipes`: `{released: {clustering: {eps: 0.7}}}` goes over `RECIPES`, and under
    whatever is given. The block itself is no parameter: it is read here, and in no run card.
    """

    RECIPES: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    recipe: str = Field("released", description="sets what is not given; released: as the published figures' code")

    @model_validator(mode="before")
    @classmethod
    def _filled_in(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        added = cls._added(values.get(_RECIPES, {}))
        recipe = str(values.get("recipe", cls.model_fields["recipe"].default))
        filled = merged(cls.RECIPES.get(recipe, {}), added.get(recipe, {}))
        return merged(filled, {name: value for name, value in values.items() if name != _RECIPES})

    @classmethod
    def _added(cls, block: Any) -> dict[str, Any]:
        """Return the block `recipes`; a ValueError where it names no recipe, or no parameter, of these."""
        allowed = sorted(cls.RECIPES)
        if not isinstance(block, dict) or not all(isinstance(values, dict) for values in block.values()):
            raise ValueError(
                f"recipes must hold a block of parameters for each recipe ({', '.join(allowed)}); given {block!r}"
            )
        for name, values in block.items():
            if name not in allowed:
                raise ValueError(
                    f"recipes has {name!r}, which is no recipe.{nearest(str(name), allowed)} {_these(allowed)}"
                )
            _require_known(cls, values, f"recipes.{name}")
        return block


def _require_known(model: type[BaseModel], values: Mapping[str, Any], place: str) -> None:
    """Raise a ValueError for a name that `model` does not have; blocks are looked into."""
    for name, value in values.items():
        field = model.model_fields.get(name)
        if field is None or name == "recipe":
            allowed = sorted(set(model.model_fields) - {"recipe"})
            raise ValueError(
                f"{place} has {name!r}, which no recipe can set.{nearest(name, allowed)} {_these(allowed)}"
            )
        if isinstance(value, dict) and isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            _require_known(field.annotation, value, f"{place}.{name}")


def _these(allowed: list[str]) -> str:
    return f"Allowed here: {first_few(allowed, 30)}."
