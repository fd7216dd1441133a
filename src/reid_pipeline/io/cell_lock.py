"""One writer at a time: a lock that the operating system takes back when its process ends, in any way."""

import contextlib
import json
import logging
import math
import os
import shlex
import socket
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from reid_pipeline.schema.errors import UserError

_STARTED = time.time()
_PATIENCE = 0.5
"""Seconds in which a holder has written who it is, and after which one that only looked has let go."""
_POLL = 0.1
_SAY_AGAIN = 30.0
_in_this_process = threading.Lock()
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Holder:
    """The process that holds a lock, as it wrote itself down.

    Attributes:
        pid: its number.
        host: the machine that it runs on.
        command: what the user typed.
        started: when it was started, in UTC.
    """

    pid: int
    host: str
    command: str
    started: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} (started {self.started}: {self.command})"

    def lives(self) -> bool:
        """Return whether there is such a process; of another machine's there is no knowing."""
        if self.host != socket.gethostname():
            return True
        if self.pid == os.getpid():
            return False  # we do not hold it: the number was another's before
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True


class CellLock:
    """A lock on what one process at a time may write.

    It is `flock` on a file that stays: nothing has to be tidied up after a killed process, and two processes
    never lock two files of one name. Within a process it can be taken several times, from any thread.

    Args:
        file: the lock file; its folder is made. Beside it lies who holds it, as JSON.
        what: what it keeps, for messages: "Zero_shot, seed 0 of market1501".
    """

    def __init__(self, file: Path, what: str) -> None:
        self.file = file
        self.what = what
        self._owner = file.with_suffix(".json")
        self._lock = FileLock(file, thread_local=False, is_singleton=True, fallback_to_soft=False)
        self._taken = 0

    @property
    def held(self) -> bool:
        """Whether the lock was taken through this object."""
        return self._taken > 0

    def acquire(self, *, wait: bool, remedy: str = "") -> None:
        """Take the lock.

        Args:
            wait: for as long as another process has it, saying for whom; otherwise refuse.
            remedy: what the user may do where it is refused.

        Raises:
            UserError: another process has it and `wait` is false, or the file system has no locks.
        """
        if not self._try_for(0 if wait else _PATIENCE):
            if not wait:
                raise self._refusal(remedy)
            self._wait()
        if self._lock.lock_counter == 1:
            self._sign()

    def release(self) -> None:
        """Give the lock back, as often as it was taken; without having it, do nothing."""
        with _in_this_process:
            if not self._taken:
                return
            if self._lock.lock_counter == 1:
                with contextlib.suppress(OSError):
                    self._owner.unlink(missing_ok=True)  # before the lock: the next holder's stays
            self._give_back()

    def check(self, remedy: str = "") -> None:
        """Refuse, as `acquire` would, where another process has the lock; keep nothing.

        Raises:
            UserError: another process has it, or the file system has no locks.
        """
        if not self._try_for(_PATIENCE):
            raise self._refusal(remedy)
        with _in_this_process:
            self._give_back()

    def holder(self, patience: float = 0) -> Holder | str:
        """Return who has the lock, as far as it can be told within `patience` seconds."""
        deadline = time.monotonic() + patience
        while True:
            found = _read(self._owner)
            if found is not None and found.lives():
                return found
            if time.monotonic() >= deadline:
                return "another process"
            time.sleep(_POLL)

    def _refusal(self, remedy: str) -> UserError:
        return UserError(f"{self.what}: {self.holder()} is writing there. {remedy}".strip())

    def _wait(self) -> None:
        said = -math.inf
        while not self._try():
            if time.monotonic() - said >= _SAY_AGAIN:
                said = time.monotonic()
                _log.info("Waiting for %s: %s is writing there.", self.what, self.holder(_PATIENCE))
            time.sleep(_POLL)

    def _try_for(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not self._try():
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL)
        return True

    def _give_back(self) -> None:
        self._taken -= 1
        self._lock.release()

    def _try(self) -> bool:
        try:
            with _in_this_process:
                self.file.parent.mkdir(parents=True, exist_ok=True)
                self._lock.acquire(blocking=False)
                self._taken += 1
        except Timeout:
            return False
        except OSError as error:
            raise UserError(
                f"{self.what} cannot be locked by {self.file}: {error.strerror or error}. By that file runs"
                " keep out of each other's results. Make its folder writable; if its file system has no locks"
                " (flock), let the folder be a link to one on a local disk."
            ) from error
        return True

    def _sign(self) -> None:
        started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(_STARTED))
        ours = Holder(os.getpid(), socket.gethostname(), _command(), started)
        with contextlib.suppress(OSError):  # a full disk: others are told "another process"
            self._owner.write_text(json.dumps(asdict(ours)) + "\n", encoding="utf-8")


def _read(file: Path) -> Holder | None:
    try:
        return Holder(**json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None  # not written yet, or half of it


def _command() -> str:
    """Return what the user typed; Kedro calls itself "python -m kedro"."""
    program, *words = sys.argv or [""]
    path = Path(program)
    name = path.parent.name if path.name == "__main__.py" else path.name
    return shlex.join([name.rpartition(" ")[2], *words])
