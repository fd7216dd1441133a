"""What a run imports: a published model, and what the user gave beside it."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.layers import CHECKPOINT, IMPORT
from reid_pipeline.schema.record import Digest


class Import(BaseModel):
    """The parameter that the loader makes where `checkpoint` and `method` are given."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str
    checkpoint: str  # as it was given
    digest: Digest  # SHA-256 of the file
    given: tuple[str, ...]  # names of what was given of the method's backbone, which conf/ has not


def required_import(parameters: dict[str, Any]) -> Import:
    """Return what a run imports, from all parameters in force; a UserError where that is not given."""
    for name, example in (("method", "clip_reid"), (CHECKPOINT, "<file>")):
        if parameters.get(name) is None:
            whole = f"--params {CHECKPOINT}=<file>,method=<name>"
            what = "Which method is the checkpoint of?" if name == "method" else "Which file is imported?"
            raise UserError(f"{what} Give {name}={example}, as in kedro run --pipeline={IMPORT} {whole}.")
    return Import.model_validate(parameters[IMPORT])
