"""Which errors are the user's to mend, and which are faults of the program."""

from kedro.validation import DataValidationError, ParameterValidationError

from reid_pipeline.machine_faults import machine_fault_text
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.place import as_typed_here


def user_error_text(error: BaseException) -> str | None:
    """Return the message if `error`, or what caused it, is the user's to mend; else None."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, UserError | ParameterValidationError | DataValidationError):
            return as_typed_here(str(seen))
        seen = seen.__cause__ or seen.__context__
    return machine_fault_text(error)
