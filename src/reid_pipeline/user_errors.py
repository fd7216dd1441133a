"""Which errors are the user's to mend, and which are faults of the program."""

from kedro.framework.cli.utils import KedroCliError
from kedro.validation import DataValidationError, ParameterValidationError

from reid_pipeline.machine_faults import machine_fault_text
from reid_pipeline.schema.errors import UserError

# Kedro raises bare ValueErrors for these.
_KEDRO_MESSAGES = (
    "Failed to find the pipeline named", "Given configuration path either does not exist", "Pipeline does not contain",
    "Pipeline contains no nodes",
)  # fmt: skip


def user_error_text(error: BaseException) -> str | None:
    """Return the message if `error`, or what caused it, is the user's to mend; else None."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, UserError | ParameterValidationError | DataValidationError):
            return str(seen)
        if not isinstance(seen, KedroCliError) and str(seen).startswith(_KEDRO_MESSAGES):
            return str(seen)
        seen = seen.__cause__ or seen.__context__
    return machine_fault_text(error)
