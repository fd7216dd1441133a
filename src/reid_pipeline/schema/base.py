"""The base of every parameter model: frozen, complete, and helpful about a mistyped name."""

from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

from reid_pipeline.schema.errors import first_few, nearest


class Parameters(BaseModel):
    """A frozen set of named parameters that refuses names it does not know.

    Raises:
        pydantic.ValidationError: an unknown name (with the nearest allowed one), a missing one, or a value
            out of its range; Kedro raises it before the first node runs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _known_names(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        for given in values:
            if given not in cls.model_fields:
                allowed = sorted(cls.model_fields)
                raise ValueError(
                    f"unknown parameter {given!r}.{nearest(str(given), allowed)}"
                    f" Allowed here: {first_few(allowed, 30)}."
                )
        return values
