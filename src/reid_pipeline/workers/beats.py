"""Signs of life: each worker writes where it is, and ends with its head; the head names one that stands still.

Clocks of machines differ, so that nobody compares times: who reads a file notes when it last saw it change.
"""

import contextlib
import ctypes
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from reid_pipeline.schema.errors import first_few
from reid_pipeline.workers.handover import HEAD, LAUNCHER_LOG, read_json, write_json

INTERVAL = 0.5  # seconds between two signs of life
_LOST = 120.0  # seconds without one of the head, of another machine, after which a worker takes it for gone
_PR_SET_PDEATHSIG = 1
_AGENT = "TORCHELASTIC_RUN_ID"
"""A variable of torchrun's workers: their parent is its agent, which would start others in their place."""


@dataclass(frozen=True)
class Identity:
    """A process: number, machine, and when it started in ticks, since numbers are given again ("" where unknown)."""

    pid: int
    host: str
    started: str

    @classmethod
    def own(cls) -> "Identity":
        """Return that of this process."""
        return cls(os.getpid(), socket.gethostname(), _started(os.getpid()))

    @property
    def here(self) -> bool:
        """Whether it is, or was, a process of this machine."""
        return self.host == socket.gethostname()

    def lives(self) -> bool:
        """Return whether there is such a process here."""
        try:
            os.kill(self.pid, 0)
        except OSError as error:
            return isinstance(error, PermissionError)
        return _started(self.pid) == self.started

    def kill(self) -> None:
        """End it, if it is of this machine and lives."""
        if self.here and self.lives():
            os.kill(self.pid, signal.SIGKILL)


_NOBODY = Identity(0, "", "")


def _started(pid: int) -> str:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]


def write_head(folder: Path, count: int) -> None:
    """Write a sign of life of the head, the `count`-th."""
    write_json(folder / HEAD, {**asdict(Identity.own()), "count": count})


class LifeLine(threading.Thread):
    """A thread of a worker that writes signs of life, and ends the process when its head is gone, however that ended.

    On Linux the kernel ends a worker whose launcher dies. `pulse` may be set once it is known.
    """

    def __init__(self, folder: Path, rank: int) -> None:
        super().__init__(name="life line", daemon=True)
        self.folder, self.rank = folder, rank
        self.pulse: Any = None
        self._head, self._seen, self._since = _NOBODY, -1, time.monotonic()
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    def run(self) -> None:
        """Look and write until the process ends."""
        count = 0
        while True:
            if not self._head_lives():
                self._end()
            count += 1
            beat = {} if self.pulse is None else asdict(self.pulse.beat())
            with contextlib.suppress(OSError):  # a disk that fails for a moment
                write_json(beat_file(self.folder, self.rank), {**asdict(Identity.own()), "count": count, **beat})
            time.sleep(INTERVAL)

    def _head_lives(self) -> bool:
        found = read_json(self.folder / HEAD)
        if found is None:
            return False  # the folder is gone, and with it the training
        count, head = int(found.pop("count")), Identity(**found)
        if self._head not in (_NOBODY, head):
            return False  # another run has taken the folder
        if count != self._seen:
            self._seen, self._since, self._head = count, time.monotonic(), head
        return self._head.lives() if self._head.here else time.monotonic() - self._since < _LOST

    def _end(self) -> None:
        if _AGENT in os.environ and os.getppid() > 1:
            os.kill(os.getppid(), signal.SIGKILL)
        os._exit(1)


def beat_file(folder: Path, rank: int) -> Path:
    """Return the file of a worker's signs of life."""
    return folder / f"beat_{rank}.json"


@dataclass
class _Watched:
    """What the head has seen of a worker, and when it saw it change."""

    count: int = -1
    moves: int = -1
    heard: float = field(default_factory=time.monotonic)
    moved: float = field(default_factory=time.monotonic)
    named: bool = False


class Watch:
    """The head's look at the workers: who stands still, and who is to be ended with the training."""

    def __init__(self, folder: Path, processes: int, seconds: float) -> None:
        self.folder, self.processes, self.seconds = folder, processes, seconds
        self._watched = [_Watched() for _ in range(processes)]
        self._since, self._counted = time.monotonic(), False

    def lines(self) -> Iterator[str]:
        """Yield a sentence for each worker that has begun to stand still, or goes on; one for all that never began."""
        if missing := self._missing():
            yield (
                f"No sign of life after {self.seconds:g} s from {len(missing)} of {self.processes} processes"
                f" ({first_few(missing)}). The launcher may wait for machines, or start too few:"
                f" {self.folder / LAUNCHER_LOG} has what it printed. Ctrl-C ends all."
            )
        for rank, watched in enumerate(self._watched):
            found = read_json(beat_file(self.folder, rank))
            if found is None:
                continue
            still = self._still(watched, found)
            if still and not watched.named:
                yield (
                    f"Process {rank} of {self.processes} (process {found['pid']} on {found['host']}) stands still for"
                    f" {self.seconds:g} s {still}. The others wait for it; Ctrl-C ends all, and the same command goes"
                    " on after the last stored epoch."
                )
            if watched.named and not still:
                yield f"Process {rank} of {self.processes} goes on."
            watched.named = bool(still)

    def _missing(self) -> list[str]:
        """Return the workers that gave no sign of life in time, once."""
        if self._counted or time.monotonic() - self._since <= self.seconds:
            return []
        self._counted = True
        return [str(rank) for rank in range(self.processes) if not beat_file(self.folder, rank).exists()]

    def workers(self) -> list[Identity]:
        """Return the processes that gave a sign of life."""
        found = (read_json(beat_file(self.folder, rank)) for rank in range(self.processes))
        return [Identity(each["pid"], each["host"], each["started"]) for each in found if each is not None]

    def _still(self, watched: _Watched, found: dict[str, Any]) -> str:
        """Return where a worker stands still; empty where it does not."""
        now, where = time.monotonic(), f"in {found.get('where', 'its beginning')}"
        if found["count"] != watched.count:
            watched.count, watched.heard = found["count"], now
        judged = bool(found.get("steady")) and not found.get("waits")
        if found.get("moves") != watched.moves or not judged:
            watched.moves, watched.moved = found.get("moves", -1), now
        if now - watched.heard > self.seconds:
            return f"{where}, without a sign of life"
        return where if now - watched.moved > self.seconds else ""
