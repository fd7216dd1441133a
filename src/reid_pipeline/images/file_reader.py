"""Reading, hashing and decoding files: in this process, or in a process of its own.

Opening a small JPEG is mostly Python, hence processes (docs/performance.md); they start fast, as little is imported.
"""

import hashlib
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

from reid_pipeline.images.picture import Picture, describe
from reid_pipeline.schema.regular_files import NotRegularFile, read_regular

_MOST_HELD = 8_000_000  # bytes of files, or one file where it is larger
_READY = "reid_pipeline is ready"  # all that the interpreter's own start prints comes before it
_PROGRAM = (
    "import json, signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN);"  # the parent ends this process
    " sys.path[:] = json.loads(sys.stdin.buffer.readline());"
    f" from reid_pipeline.images.file_reader import serve; print({_READY!r}, flush=True); serve()"
)


class ReadFile(NamedTuple):
    """SHA-256 and size in bytes of a file's content, or the error that opening it gave."""

    sha256: str
    size: int
    error: str = ""


class FileReader:
    """Reads files below a folder, holds them until the next reading, and decodes those that the caller asks for."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._held: list[bytes | str] = []  # the content, or of what is no file what it is

    def read(self, paths: Sequence[str]) -> list[ReadFile]:
        """Read and hash the first files of `paths`: as many as may be held, and at least one."""
        self._held = []
        found: list[ReadFile] = []
        size = 0
        for path in paths:
            held: bytes | str = b""
            try:
                held = read_regular(os.path.join(self._folder, path))  # noqa: PTH118 - a Path takes its time
                found.append(ReadFile(hashlib.sha256(held).hexdigest(), len(held)))
            except NotRegularFile as error:  # as unreadable as a damaged picture, under a hash that no file has
                held = str(error.strerror)
                found.append(ReadFile(hashlib.sha256(b"no file: " + held.encode()).hexdigest(), 0))
            except OSError as error:
                found.append(ReadFile("", 0, error.strerror or str(error)))
            self._held.append(held)
            size += len(held)
            if size >= _MOST_HELD:
                break
        return found

    def decode(self, places: Sequence[int]) -> list[Picture]:
        """Decode the files at these places of the last reading."""
        held = [self._held[place] for place in places]
        return [Picture(None, None, "", each) if isinstance(each, str) else describe(each) for each in held]


class ReaderGone(Exception):  # noqa: N818 - a state, handled by the caller and never shown
    """The process ended, or never began."""


class ReadingProcess:
    """A `FileReader` in another process, which the first call starts; `startable` is false once one did not start.

    It is a program: `multiprocessing` would run the caller's main module again, and a notebook has none.
    """

    def __init__(self, folder: str, command: Sequence[str] = (sys.executable, "-c", _PROGRAM)) -> None:
        self._folder = folder
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self.startable = True

    def read(self, paths: Sequence[str]) -> list[ReadFile]:
        """Do as `FileReader.read`; `ReaderGone`: the process ended or did not start, and the next call starts one."""
        return [ReadFile(*found) for found in self._ask(["read", list(paths)])]

    def decode(self, places: Sequence[int]) -> list[Picture]:
        """Do as `FileReader.decode`; `ReaderGone`: the process ended, and what it had read is lost."""
        return [Picture(*found) for found in self._ask(["decode", list(places)])]

    def close(self) -> None:
        """End the process, if there is one."""
        if self._process:
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
        self.startable = False  # until it is ready
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


def serve() -> None:
    """Answer lines of JSON, ["read", paths] or ["decode", places], by lines of JSON; the first line is the folder."""
    warnings.simplefilter("ignore")  # Pillow's, about odd files; they would break the line of a progress bar
    lines, answers = sys.stdin.buffer, sys.stdout.buffer
    reader = FileReader(json.loads(lines.readline()))
    while line := lines.readline():
        verb, given = json.loads(line)
        answer = reader.read(given) if verb == "read" else reader.decode(given)
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.flush()
