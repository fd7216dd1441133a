"""Paths that a user gives, in a parameter or to a function: one place that reads them and says what is wrong."""

from pathlib import Path

from reid_pipeline.schema.errors import UserError, nearest
from reid_pipeline.schema.regular_files import kind_of


def user_path(given: str | Path, what: str) -> Path:
    """Return a path with the home folder for `~`; whether anything lies there is not looked at.

    Args:
        given: as the user gave it.
        what: the beginning of a message, which the value follows: "Parameter raw_root is".

    Raises:
        UserError: the home folder is not known, or the text can be no path.
    """
    try:
        path = Path(given).expanduser()
    except RuntimeError as error:
        raise UserError(
            f"{what} {str(given)!r}, and the home folder that it begins with is not known. Write the path in full."
        ) from error
    if "\0" in str(path):
        raise UserError(f"{what} {str(given)!r}, which no file is called. Correct it.")
    return path


def user_file(given: str | Path, what: str, remedy: str, *, folder: Path | None = None) -> Path:
    """Return the path of a regular file; a relative one begins at `folder`, or where the process runs.

    Arguments are those of `user_path`, and the sentence that ends a message.

    Raises:
        UserError: as `user_path`; there is nothing, or no regular file; names the nearest file beside it.
    """
    file = (folder or Path()) / user_path(given, what)
    try:
        kind = kind_of(file.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError) as error:
        beside = [other.name for other in file.parent.glob("*")] if file.parent.is_dir() else []
        near = nearest(file.name, beside)
        raise UserError(f"{what} {str(given)!r}, and there is no such file.{near} {remedy}") from error
    except OSError as error:
        raise UserError(f"{what} {str(given)!r}, which cannot be read: {error.strerror}. {remedy}") from error
    if kind:
        raise UserError(f"{what} {str(given)!r}, which is {kind}. {remedy}")
    return file
