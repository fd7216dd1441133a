"""Where a study is stored: a journal, which is a file that any number of machines may share, or a database."""

import re

from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

from reid_pipeline.schema.errors import UserError, printable
from reid_pipeline.schema.tuning import JOURNAL

_PASSWORD = re.compile(r"(?<=://)([^/@:]*):[^/@]*@")


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
        reason = printable(without_password(str(error).splitlines()[0]))
        raise UserError(
            f"tuning.storage is {without_password(storage)}, which cannot be opened: {reason}. Is that the database's"
            " URL, <dialect>://<user>:<password>@<host>/<name>, and does it answer from this machine?"
        ) from error


def without_password(storage: str) -> str:
    """Return a URL as it may be shown."""
    return _PASSWORD.sub(r"\1:***@", storage)
