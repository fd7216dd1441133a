"""The bases of all parameter models: frozen, complete, and helpful about a mistyped name."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from reid_pipeline.schema.errors import first_few, nearest
from reid_pipeline.schema.nested import merged


class Parameters(BaseModel):
    """A frozen set of named parameters that refuses names it does not know, and gives the nearest allowed one."""

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
