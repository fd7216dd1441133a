"""One writer at a time: a lock that the operating system takes back when its process ends, in any way."""

import contextlib
import json
import logging
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
from reid_pipeline.schema.parsing import parse_json
from reid_pipeline.schema.regular_files import read_regular

_STARTED = time.time()
_PATIENCE = 0.5  # seconds within which a holder has written who it is, and a process that only checked has let go
_POLL, _LOG_AGAIN = 0.1, 30.0  # seconds
_in_this_process = threading.Lock()
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Holder:
    """The process that holds a lock, as it describes itself; `started` is in UTC."""

    pid: int
    host: str
    command: str
    started: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} (started {self.started}: {self.command})"

    def lives(self) -> bool:
        """Return whether there is such a process; one of another machine counts as alive."""
        if self.host != socket.gethostname():
            return True
        if self.pid == os.getpid():
            return False  # we do not hold it: the number was another's before
        try:
            os.kill(self.pid, 0)
        except OSError as error:
            return isinstance(error, PermissionError)  # alive, and somebody else's
        return True


class CellLock:
    """A lock on what one process at a time may write.

    It is `flock` on a file that stays: nothing has to be tidied up after a killed process, and two processes
    never lock two files of one name. Within a process it can be taken several times, from any thread.

    Args:
        file: the lock file; a JSON file beside it names the holder.
        what: what it protects, for messages: "Zero_shot, seed 0 of market1501".
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
        """Take the lock; if another process has it, wait for that one, or refuse with `remedy`."""
        patience = 0.0 if wait else _PATIENCE
        while not self._try_for(patience):
            if not wait:
                raise self._refusal(remedy)
            _log.info("Waiting for %s: %s is writing there.", self.what, self._holder(_PATIENCE))
            patience = _LOG_AGAIN
        if self._lock.lock_counter == 1:
            started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(_STARTED))
            ours = _Holder(os.getpid(), socket.gethostname(), _command(), started)
            self._warn_of(self._described(), ours)
            with contextlib.suppress(OSError):  # a full disk: messages then name "another process"
                self._owner.write_text(json.dumps(asdict(ours)) + "\n", encoding="utf-8")

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
        """Refuse, as `acquire` would, where another process has the lock, without taking it."""
        if not self._try_for(_PATIENCE):
            raise self._refusal(remedy)
        with _in_this_process:
            self._give_back()

    def _refusal(self, remedy: str) -> UserError:
        return UserError(f"{self.what}: {self._holder()} is writing there. {remedy}".strip())

    def _holder(self, patience: float = 0) -> str:
        """Return who has the lock, as far as this can be found out within `patience` seconds."""
        deadline = time.monotonic() + patience
        while True:
            found = self._described()
            if found and found.lives():
                return str(found)
            if time.monotonic() >= deadline:
                return "another process"
            time.sleep(_POLL)

    def _described(self) -> _Holder | None:
        """Return who has the lock, or had it and ended without giving it back, as far as that is written."""
        with contextlib.suppress(OSError, ValueError, TypeError):  # not written yet, or not completely
            return _Holder(**parse_json(read_regular(self._owner)))
        return None

    def _warn_of(self, last: _Holder | None, ours: _Holder) -> None:
        """Log that the last holder, whose lock is free now, did not give it back; `ours` is this process."""
        if last is None or last == ours:
            return
        elsewhere = (
            f" If it is still running on {last.host}, the file system does not carry locks from one machine to another:"
            " end one of the two."
        )
        _log.warning(
            "%s: the last run there, %s, ended without a word: it was killed, or its machine stopped. This run goes on"
            " from what it stored.%s",
            self.what,
            last,
            elsewhere if last.host != ours.host else "",
        )

    def _try_for(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while True:
            try:
                with _in_this_process:
                    self.file.parent.mkdir(parents=True, exist_ok=True)
                    self._lock.acquire(blocking=False)
                    self._taken += 1
                return True
            except Timeout:
                if time.monotonic() >= deadline:
                    return False
            except OSError as error:
                _refuse_no_folder(self.file, error)
                raise UserError(
                    f"{self.what} cannot be locked by {self.file}: {error.strerror or error}. By that file runs"
                    " keep out of each other's results. Make its folder writable; if its file system has no locks"
                    " (flock), let the folder be a link to one on a local disk."
                ) from error
            time.sleep(_POLL)

    def _give_back(self) -> None:
        self._taken -= 1
        self._lock.release()


def _refuse_no_folder(file: Path, error: OSError) -> None:
    """Raise, from `error`, what lies in the place of a folder above `file`: a link to an absent disk, a file."""
    for each in file.parents:
        if os.path.lexists(each) and not each.is_dir():
            what = f"a link to {each.readlink()}, which does not exist" if each.is_symlink() else "a file"
            raise UserError(f"{each} is {what}, where a folder is needed. Mend it, or mount its disk.") from error


def _command() -> str:
    """Return what the user typed; Kedro calls itself "python -m kedro"."""
    program, *words = sys.argv or [""]
    path = Path(program)
    name = path.parent.name if path.name == "__main__.py" else path.name
    return shlex.join([name.rpartition(" ")[2], *words])
