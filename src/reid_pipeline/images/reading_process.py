"""A file reader in a process of its own.

Opening a small JPEG is mostly Python, which the threads of a process do one after the other: two threads
check 128 x 64 pictures 1.1 times as fast as a plain loop, two processes 1.7 times (docs/performance.md).

The process is started as a program of its own and not through `multiprocessing`, which would run the caller's
main module again: that of `kedro` takes a second to import, a script without a main guard would begin anew,
and a notebook or `python -` has no file to run.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from reid_pipeline.images.file_reader import ReadFile
from reid_pipeline.images.picture import Picture

_READY = "reid_pipeline is ready"  # whatever the interpreter's own start prints comes before it
_PROGRAM = (
    "import json, signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN);"  # the parent ends this process
    " sys.path[:] = json.loads(sys.stdin.buffer.readline());"
    f" from reid_pipeline.images.file_reader import serve; print({_READY!r}, flush=True); serve()"
)


class ReaderGone(Exception):  # noqa: N818 - a state, answered by who asked and never shown
    """The process ended, or never began."""


class ReadingProcess:
    """Does what a `FileReader` does, in another process, which is started when first asked.

    Args:
        folder: what paths are relative to.
        command: what to run; by default this interpreter, with this process's module path.

    Attributes:
        startable: false once a process did not start.
    """

    def __init__(self, folder: str, command: Sequence[str] = (sys.executable, "-c", _PROGRAM)) -> None:
        self._folder = folder
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self.startable = True

    def read(self, paths: Sequence[str]) -> list[ReadFile]:
        """Do as `FileReader.read` does.

        Raises:
            ReaderGone: the process ended, and the next call starts another; or none can be started.
        """
        return [ReadFile(*found) for found in self._ask(["read", list(paths)])]

    def decode(self, places: Sequence[int]) -> list[Picture]:
        """Do as `FileReader.decode` does.

        Raises:
            ReaderGone: the process ended, and what it had read is lost.
        """
        return [Picture(*found) for found in self._ask(["decode", list(places)])]

    def close(self) -> None:
        """End the process, if there is one."""
        if self._process is not None:
            self._process.kill()  # it writes nothing
            self._process.communicate()
            self._process = None

    def _ask(self, request: Any) -> Any:
        try:
            process = self._process or self._start()
            _send(process, request)
            return json.loads(_line(process))
        except (OSError, EOFError) as error:
            self.close()
            raise ReaderGone(str(error)) from error

    def _start(self) -> "subprocess.Popen[bytes]":
        self.startable = False  # until it has said that it is ready
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603
        _send(self._process, [str(folder) for folder in sys.path])
        _send(self._process, self._folder)
        while _line(self._process).strip() != _READY.encode():
            pass
        self.startable = True
        return self._process


def _send(process: "subprocess.Popen[bytes]", request: Any) -> None:
    assert process.stdin is not None  # noqa: S101 - it is a pipe
    process.stdin.write(json.dumps(request).encode() + b"\n")
    process.stdin.flush()


def _line(process: "subprocess.Popen[bytes]") -> bytes:
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    line = process.stdout.readline()
    if not line.endswith(b"\n"):
        raise EOFError("the process ended")
    return line
