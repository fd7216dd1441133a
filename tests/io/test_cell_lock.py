"""The lock of a cell: real processes, killed and forked, and what they are told of each other."""

import errno
import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reid_pipeline.io import cell_lock
from reid_pipeline.io.cell_lock import CellLock
from reid_pipeline.schema.errors import UserError

HOLD = """
import sys, time
from pathlib import Path
from reid_pipeline.io.cell_lock import CellLock
sys.argv = ["/bin/kedro", "run", "--params=seed=1"]
lock = CellLock(Path({file!r}), "It")
lock.acquire(wait=True)
{then}
print("held", flush=True)
time.sleep(600)
"""
Hold = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "locks" / "b" / "pcl" / "seed_0.lock"


@pytest.fixture
def hold(file: Path) -> Iterator[Hold]:
    """Start a process that takes the lock, and return it once it has it."""
    started: list[subprocess.Popen[str]] = []

    def start(then: str = "") -> subprocess.Popen[str]:
        code = HOLD.format(file=str(file), then=then)
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_the_second_process_is_refused_and_told_by_whom(file: Path, hold: Hold) -> None:
    other = hold()
    lock = CellLock(file, "pcl, seed 0 of b")
    said = (
        rf"pcl, seed 0 of b: process {other.pid} on {re.escape(socket.gethostname())} \(started \d{{4}}-\S+Z:"
        r" kedro run --params=seed=1\) is writing there\. Try another seed\.$"
    )
    for refuse in (lambda: lock.acquire(wait=False, remedy="Try another seed."),
                   lambda: lock.check("Try another seed.")):  # fmt: skip
        with pytest.raises(UserError, match=said):
            refuse()
    assert not lock.held


def test_nothing_lasts_of_a_process_that_was_killed(file: Path, hold: Hold) -> None:
    other = hold()
    other.send_signal(signal.SIGKILL)
    other.wait()
    lock = CellLock(file, "It")
    began = time.monotonic()
    lock.acquire(wait=False)
    assert time.monotonic() - began < 0.4
    assert json.loads(file.with_suffix(".json").read_text())["pid"] == os.getpid()
    lock.release()
    assert not file.with_suffix(".json").exists()


def test_a_child_that_outlives_a_killed_process_does_not_keep_the_lock(file: Path, hold: Hold) -> None:
    child = file.parent / "child"
    write = f"Path({str(child)!r}).write_text(str(os.getpid()))"
    fork = f"import os\nif not os.fork():\n    {write}\n    time.sleep(600)"
    other = hold(fork)
    while not child.is_file() or not child.read_text():
        time.sleep(0.02)
    try:
        other.kill()
        other.wait()
        os.kill(int(child.read_text()), 0)
        lock = CellLock(file, "It")
        lock.acquire(wait=False)
        lock.release()
    finally:
        os.kill(int(child.read_text()), signal.SIGKILL)


def test_the_waiting_process_says_for_whom_and_goes_on(
    file: Path, hold: Hold, caplog: pytest.LogCaptureFixture
) -> None:
    other = hold()
    lock = CellLock(file, "The tables of b")
    threading.Timer(0.6, other.kill).start()
    with caplog.at_level("INFO"):
        lock.acquire(wait=True)
    assert lock.held
    said, killed = caplog.messages
    assert f"the last run there, process {other.pid} on " in killed
    assert said.startswith(f"Waiting for The tables of b: process {other.pid} on ")
    lock.release()


def test_a_dead_process_is_never_named(file: Path, hold: Hold, monkeypatch: pytest.MonkeyPatch) -> None:
    hold()
    monkeypatch.setattr(cell_lock, "_PATIENCE", 0.05)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    owner = file.with_suffix(".json")
    stale = json.loads(owner.read_text()) | {"pid": dead.pid}
    for content in (json.dumps(stale), json.dumps(stale)[:20], "[]", None):
        owner.unlink()
        if content is not None:
            owner.write_text(content)
        with pytest.raises(UserError, match=r"^It: another process is writing there\.$"):
            CellLock(file, "It").check()
        owner.touch()


def test_it_is_taken_again_within_a_process_and_given_back_as_often(file: Path) -> None:
    first, second = CellLock(file, "It"), CellLock(file, "It")
    first.acquire(wait=False)
    second.acquire(wait=False)
    threads = [threading.Thread(target=second.acquire, kwargs={"wait": False}) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for _ in range(5):
        second.release()
    assert not second.held
    assert file.with_suffix(".json").exists()
    assert not free(file)
    first.release()
    first.release()
    assert free(file)
    assert not file.with_suffix(".json").exists()


def free(file: Path) -> bool:
    with file.open() as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK])
def test_a_file_system_without_locks_is_said_in_a_sentence(
    file: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def flock(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(UserError, match=r"It cannot be locked by .*seed_0\.lock: .*\. .*\(flock\), let the"):
        CellLock(file, "It").acquire(wait=True)


def test_a_folder_that_cannot_be_made_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "locks").write_text("no folder")
    with pytest.raises(UserError, match=r"locks is a file, where a folder is needed"):
        CellLock(tmp_path / "locks" / "tables.lock", "It").acquire(wait=False)


@pytest.mark.parametrize(
    ("program", "shown"),
    [("/x/bin/kedro", "kedro"), ("python -m kedro", "kedro"), ("/x/kedro/__main__.py", "kedro"), ("", "''")],
)
def test_the_command_as_it_was_typed(monkeypatch: pytest.MonkeyPatch, program: str, shown: str) -> None:
    monkeypatch.setattr(sys, "argv", [program, "run", "--params=seed=1"])
    assert cell_lock._command() == f"{shown} run --params=seed=1"


OTHERS = {"pid": 4_000_000, "host": socket.gethostname(), "command": "kedro run", "started": "2026-01-02T03:04:05Z"}


class TestTheLastHolder:
    """Its description is there still, but not its lock: it was killed."""

    @pytest.mark.parametrize(
        ("changes", "says"),
        [
            ({}, "from what it stored."),
            ({"pid": os.getpid()}, "from what it stored."),  # the number was another's before, as 1 is in containers
            ({"pid": os.getppid()}, "from what it stored."),  # the number is another's now
            ({"host": "node7"}, "If it is still running on node7, the file system does not carry locks from one"),
        ],
    )
    def test_it_is_named(
        self, file: Path, caplog: pytest.LogCaptureFixture, changes: dict[str, object], says: str
    ) -> None:
        described = {**OTHERS, **changes}
        file.parent.mkdir(parents=True)
        file.with_suffix(".json").write_text(json.dumps(described))
        lock = CellLock(file, "pcl, seed 0 of b")
        lock.check()
        assert not caplog.text
        lock.acquire(wait=False)
        lock.release()
        (text,) = [record.getMessage() for record in caplog.records]
        assert text.startswith(
            f"pcl, seed 0 of b: the last run there, process {described['pid']} on {described['host']} (started"
            " 2026-01-02T03:04:05Z: kedro run), ended without a word: it was killed, or its machine stopped."
        )
        assert says in text

    def test_it_is_named_once(self, file: Path, caplog: pytest.LogCaptureFixture) -> None:
        file.parent.mkdir(parents=True)
        file.with_suffix(".json").write_text(json.dumps(OTHERS))
        lock = CellLock(file, "It")
        for _ in range(2):
            lock.acquire(wait=False)
        for _ in range(2):
            lock.release()
        lock.acquire(wait=True)
        lock.release()
        assert caplog.text.count("ended without a word") == 1

    @pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1}', "{}"])
    def test_what_cannot_be_read_is_nobody(self, file: Path, caplog: pytest.LogCaptureFixture, content: str) -> None:
        file.parent.mkdir(parents=True)
        file.with_suffix(".json").write_text(content)
        lock = CellLock(file, "It")
        lock.acquire(wait=False)
        lock.release()
        assert not caplog.text

    def test_one_that_ended_in_order_is_none(self, file: Path, caplog: pytest.LogCaptureFixture) -> None:
        for _ in range(2):
            lock = CellLock(file, "It")
            lock.acquire(wait=False)
            lock.release()
        assert not caplog.text
