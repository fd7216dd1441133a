"""Telling a user's mistake from a fault of the program."""

from kedro.framework.cli.utils import KedroCliError
from kedro.validation import DataValidationError, ParameterValidationError

from reid_pipeline.schema.errors import UserError

# Kedro raises bare ValueErrors for these two.
_KEDROS_OWN = ("Failed to find the pipeline named", "Given configuration path either does not exist")


def mistake_in(error: BaseException) -> str | None:
    """Return what to tell the user if `error`, or what caused it, is a mistake of theirs; else None."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, UserError | ParameterValidationError | DataValidationError):
            return str(seen)
        if not isinstance(seen, KedroCliError) and str(seen).startswith(_KEDROS_OWN):
            return str(seen)
        seen = seen.__cause__ or seen.__context__
    return None
