"""The bases of all records: frozen, strict about numbers, and able to say whether they were changed."""

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from reid_pipeline.schema.digests import digest_of_json
from reid_pipeline.schema.origin import Origin

Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False, strict=True)]
Points = Annotated[float, Field(ge=-1, le=1, allow_inf_nan=False, strict=True)]
"""A difference of two fractions."""
Finite = Annotated[float, Field(allow_inf_nan=False, strict=True)]
Count = Annotated[int, Field(ge=0, strict=True)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Record(BaseModel):
    """A frozen record that refuses fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def content(self) -> dict[str, Any]:
        """Return plain JSON values; optional fields that were not given are left out, the version never."""
        content = self.model_dump(mode="json", exclude_unset=True)
        version = getattr(self, "version", None)
        return content if version is None else {"version": version, **content}


class OriginatedRecord(Record):
    """A record that says what it was made from, and by a digest whether it was changed since."""

    origin: Origin | None = None  # None in files of versions that noted none

    def with_origin(self, origin: Origin) -> Self:
        """Return the record with its origin, whose digest is that of the record's content."""
        signed = self.model_copy(update={"origin": origin})
        return signed.model_copy(update={"origin": origin.replace(digest=signed.digest())})

    def digest(self) -> str:
        """Return the SHA-256 of all but the origin."""
        return digest_of_json({name: value for name, value in self.content().items() if name != "origin"})

    @model_validator(mode="after")
    def _unchanged(self) -> Self:
        if self.origin is not None and self.origin.digest not in (None, self.digest()):
            raise ValueError(
                "its content is not what its origin's digest says: the file was changed or damaged after"
                f" {self.origin.made_by} had written it"
            )
        return self


class RunRecord(OriginatedRecord):
    """A record of one run."""

    benchmark: str
    method: str
    variant: str = ""  # in the address; empty for the parameters of conf/
    seed: Count
