"""One writer at a time: a lock that the operating system takes back when its process ends, in any way."""

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.parsing import parse_json
from reid_pipeline.schema.regular_files import read_regular


@contextlib.contextmanager
def writing(folder: Path, patience: float) -> Iterator[None]:
    """Hold the lock of a gallery while its files change.

    It is `flock` on a file beside the folder, so that DVC does not hash it with the gallery. Another writer is waited
    for, in this process or any other.

    Args:
        folder: of the gallery.
        patience: seconds to wait for another writer.

    Raises:
        UserError: another writer is still at it, which is named; or the file cannot be locked.
    """
    file = folder.parent / f".{folder.name}.lock"
    owner = file.with_suffix(".json")
    lock = FileLock(file, thread_local=False, is_singleton=False, fallback_to_soft=False)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=patience)
    except Timeout:
        raise UserError(
            f"Gallery {folder.name}: {_holder(owner)} has been writing there for more than {patience:g} s."
            " Wait until it has ended, and run that again."
        ) from None
    except OSError as error:
        raise UserError(
            f"Gallery {folder.name} cannot be locked by {file}: {error.strerror or error}. By that file writers keep"
            " out of each other's way. Make its folder writable, on a file system that has locks (flock)."
        ) from error
    try:
        ours = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "since": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        with contextlib.suppress(OSError):  # a full disk: a message then names "another process"
            owner.write_text(json.dumps(ours), encoding="utf-8")
        yield
    finally:
        with contextlib.suppress(OSError):
            owner.unlink(missing_ok=True)  # before the lock: the next holder's stays
        lock.release()


def _holder(owner: Path) -> str:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        found = parse_json(read_regular(owner))
        return f"process {found['pid']} on {found['host']} (since {found['since']})"
    return "another process"
