"""Where a study is stored: a journal, which is a file that any number of machines may share, or a database."""

from collections.abc import Iterator
from contextlib import contextmanager

from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

from reid_pipeline.schema.errors import UserError, printable
from reid_pipeline.schema.tuning import JOURNAL, without_password


def open_storage(storage: str) -> BaseStorage:
    """Return the storage of a file or URL.

    A journal is appended to under a lock that holds on shared disks, too (Optuna's `JournalFileSymlinkLock`); the gRPC
    proxy of Optuna takes databases alone, so that there is none here.

    Args:
        storage: the path of a journal, also as `journal:///<path>`, or the URL of a database.

    Raises:
        UserError: the driver of a database is not installed, or it does not answer.
    """
    if "://" not in storage or storage.startswith(JOURNAL):
        return JournalStorage(JournalFileBackend(storage.removeprefix(JOURNAL)))
    try:
        return RDBStorage(storage)
    except ImportError as error:
        missing = f"{error.__cause__ or error}".splitlines()[0]
        raise UserError(
            f"tuning.storage is {without_password(storage)}, whose driver is not installed here: {missing}. Install it"
            f" beside this package on every machine, or share a file: --params tuning.storage={JOURNAL}/<folder>/<file>"
        ) from error
    except Exception as error:  # whatever a driver raises where nobody answers
        reason = _reason(error)
        raise UserError(
            f"tuning.storage is {without_password(storage)}, which cannot be opened: {reason}. Is that the database's"
            " URL, <dialect>://<user>:<password>@<host>/<name>, and does it answer from this machine?"
        ) from error


@contextmanager
def answering(storage: str) -> Iterator[None]:
    """Within the block a database that is gone, or locked by another program, is a UserError."""
    try:
        yield
    except Exception as error:
        if not (isinstance(error, StorageInternalError) or type(error).__module__.startswith("sqlalchemy.")):
            raise
        raise UserError(
            f"tuning.storage is {without_password(storage)}, which does not answer any more:"
            f" {_reason(error.__cause__ or error)}. Trials that had ended are stored; once it answers, the same command"
            " goes on with the study."
        ) from error


def _reason(error: BaseException) -> str:
    """Return the first line of what a driver says, without passwords."""
    first = next(iter(str(error).splitlines()), type(error).__name__)
    return printable(without_password(first) if "://" in first else first).rstrip(".")
