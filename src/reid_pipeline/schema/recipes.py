"""Parameters that come in two recipes: as the released code computes, or as corrected.

A recipe fills in what was not given; whatever is given stands. The resolved values are in every run card.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from reid_pipeline.schema.base import Parameters

Recipe = Literal["released", "corrected"]


class RecipeParameters(Parameters):
    """Parameters whose left-out values depend on `recipe` (methods.md section 11)."""

    RECIPES: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    recipe: Recipe = Field(
        "released", description="released: as the code that made the published figures; corrected: as meant"
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        return merged(cls.RECIPES.get(str(values.get("recipe", "released")), {}), values)


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return `above` with what only `below` has, mappings within mappings too."""
    result = dict(below)
    for name, value in above.items():
        if isinstance(value, Mapping) and isinstance(result.get(name), Mapping):
            result[name] = merged(result[name], value)
        else:
            result[name] = value
    return result
