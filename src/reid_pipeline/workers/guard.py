"""Ends the launcher and all of its group when the head is gone: python guard.py <head> <group>.

A worker ends with its head by itself. An agent of torchrun whose workers have just died does not: it waits ten minutes
for others to meet. A killed head cannot end it, so a process beside it does. No import but the standard library's.
"""

import contextlib
import os
import signal
import sys
import time

_POLL = 0.2  # seconds


def main(head: int, group: int) -> None:
    """Wait until this process has another parent than the head; then kill the group."""
    while os.getppid() == head:
        time.sleep(_POLL)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
