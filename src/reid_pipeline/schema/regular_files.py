"""Reading files that may be anything: a FIFO never hangs a run, and a device never fills its memory."""

import os
import stat
from pathlib import Path

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a FIFO (named pipe)"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class NotRegularFile(OSError):  # noqa: N818 - says what it found
    """What has the name is no regular file; `strerror` says what it is."""


def kind_of(mode: int) -> str:
    """Return what an `st_mode` that is no regular file's stands for, as a noun; empty for a regular file."""
    return "" if stat.S_ISREG(mode) else next((name for test, name in _KINDS if test(mode)), "no regular file")


def read_regular(path: str | Path) -> bytes:
    """Return the content of a regular file, or of one that links lead to; nothing else is opened.

    Raises:
        NotRegularFile: it is a folder, FIFO, socket or device.
        OSError: it is absent or cannot be opened.
    """
    name = os.fspath(path)
    _require_regular(os.stat(name).st_mode, name)  # noqa: PTH116 - without a Path: it reads every image
    # Not blocking: if a FIFO has taken its place by now, opening does not wait for a writer.
    descriptor = os.open(name, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        _require_regular(os.fstat(descriptor).st_mode, name)
        return file.readall()


def _require_regular(mode: int, name: str) -> None:
    if kind := kind_of(mode):
        raise NotRegularFile(None, f"it is {kind}, not a regular file", name)
