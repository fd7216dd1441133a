"""Python with the libraries already loaded: a process that forks for each program that tests start.

What `kedro run` or a program of bench/ has to load is most of what it takes in a test. Here it is loaded once, and no
module of this project or of Kedro's framework is among it: each program loads those itself, reads its own settings,
and is a process with its own id, streams and end. Its libraries, and their order, are those of the server, and so is
its hash seed. That a fresh interpreter does as well is seen where one is started: the main job in e2e/conftest.py,
the installed command in test_user_errors.py, the imports in schema/test_parameter_contract.py.
"""

import atexit
import gc
import importlib
import inspect
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

LIBRARIES = (
    "click", "dynaconf", "faiss", "fsspec", "hypothesis.strategies", "jinja2", "kedro.io", "kedro.pipeline",
    "kedro_datasets.json", "kedro_datasets.pandas", "kedro_datasets.plotly", "numba", "omegaconf", "open_clip",
    "pandas", "pandera.backends.pandas.builtin_checks", "pandera.pandas", "pathspec", "plotly.express",
    "plotly.graph_objects", "plotly.io", "pluggy", "pyarrow.parquet", "requests", "rich.progress", "rich.traceback",
    "safetensors.torch", "scipy.stats", "sklearn.cluster", "sklearn.manifold", "sklearn.metrics",
    "sknetwork.clustering", "sqlalchemy.orm", "timm", "torch", "torchvision.transforms.v2",
)  # fmt: skip
# Allocations, and collections of the younger. What was loaded is millions of objects that stay; to look through all
# of them as often as Python does by itself took a fourteenth of the time.
COLLECTED_AFTER = (50_000, 20, 100)
# A command of that name for programs that look for it, as DVC does: it hands over what it was given, and waits.
CLIENT = """\
#!{python} -ISE
import json, os, socket, sys
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
socket.send_fds(server, [b"."], [0, 1, 2])
request = {{"words": ["-m", "{name}", *sys.argv[1:]], "folder": os.getcwd(), "variables": dict(os.environ)}}
server.sendall(json.dumps(request).encode() + b"\\n")
status = int(server.makefile().read().split()[1])
sys.exit(status if status >= 0 else 128 - status)
"""


class Program:
    """A running program, with what the tests use of `subprocess.Popen`.

    Attributes:
        pid: of its process.
        stdout: what it prints.
        returncode: None while it runs; of a signal minus its number.
    """

    def __init__(self, request: dict[str, Any], stderr: int | None) -> None:
        self.returncode: int | None = None
        reading, writing = os.pipe()
        nothing = os.open(os.devnull, os.O_RDONLY)
        self._server = socket.socket(socket.AF_UNIX)
        self._server.connect(address())
        socket.send_fds(self._server, [b"."], [nothing, writing, writing if stderr is None else stderr])
        self._server.sendall(json.dumps(request).encode() + b"\n")
        os.close(nothing)
        os.close(writing)
        self.stdout = os.fdopen(reading)
        self.pid = int(line_from(self._server))

    def poll(self) -> int | None:
        """Return the status if it has ended."""
        if self.returncode is None and select.select([self._server], [], [], 0)[0]:
            self.wait()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Return the status when it has ended; `AssertionError` after `timeout` seconds."""
        if self.returncode is None:
            assert select.select([self._server], [], [], timeout)[0], f"{self.pid} runs after {timeout} seconds"
            self.returncode = int(line_from(self._server))
            self._server.close()
        return self.returncode

    def communicate(self, timeout: float = 300) -> tuple[str, None]:
        """Return the rest of what it prints, when it has ended; after `timeout` seconds it is killed."""
        ends = threading.Timer(timeout, self.kill)
        ends.start()
        with self.stdout:
            printed = self.stdout.read()
        self.wait()
        ends.cancel()
        return printed, None

    def send_signal(self, number: int) -> None:
        """Send a signal to it, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)


def start(
    *words: str | Path, folder: Path, variables: Mapping[str, str] | None = None, stderr: int | None = None
) -> Program:
    """Start `python <words>` with one thread; both streams come as one, unless `stderr` is a file of its own."""
    given = {**os.environ, **(variables or {}), "OMP_NUM_THREADS": "1"}
    return Program({"words": [str(word) for word in words], "folder": str(folder), "variables": given}, stderr)


def run(*words: str | Path, folder: Path, timeout: float = 240) -> "subprocess.CompletedProcess[str]":
    """Run `python <words>`; return its status and what it printed."""
    with tempfile.TemporaryFile("w+") as errors:
        program = start(*words, folder=folder, stderr=errors.fileno())
        printed, _ = program.communicate(timeout)
        errors.seek(0)
        return subprocess.CompletedProcess(words, program.wait(), printed, errors.read())


@cache
def address() -> str:
    """Start the server, which ends with this process; return where it listens."""
    folder = tempfile.TemporaryDirectory(prefix="warm")
    place = f"{folder.name}/server"
    server = subprocess.Popen(
        [sys.executable, __file__, place],
        stdin=subprocess.PIPE,  # held open: its end is the server's
        stdout=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert server.stdin is not None
    assert server.stdout is not None
    assert server.stdout.readline() == b"ready\n"
    atexit.register(folder.cleanup)
    atexit.register(server.wait)
    atexit.register(server.stdin.close)
    return place


def command(name: str, folder: Path) -> Path:
    """Write the command of a module below `folder`, for the path; return its folder."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(CLIENT.format(python=sys.executable, address=address(), name=name))
    (folder / name).chmod(0o755)
    return folder


def line_from(connection: socket.socket) -> str:
    """Return the next line, reading no byte more."""
    line = b""
    while not line.endswith(b"\n"):
        byte = connection.recv(1)
        assert byte, "the server has ended"
        line += byte
    return line.decode()


def frames(*_: object) -> list[inspect.FrameInfo]:
    """Stand in for `inspect.stack`, without the lines of source.

    dynaconf asks it four times in a run, for names of files alone. To look for sources among thousands of modules, of
    which a run has a few at that moment, took a third of a second.
    """
    walked = traceback.walk_stack(sys._getframe(1))
    return [
        inspect.FrameInfo(frame, frame.f_code.co_filename, line, frame.f_code.co_name, None, None)
        for frame, line in walked
    ]


def first_use() -> None:
    """Do what numba and Pillow do at a first use: load what they know of types, and of files."""
    import numba
    from PIL import Image

    numba.njit(lambda: 0)()
    Image.init()


def serve(place: str) -> Sequence[str]:
    """Fork for every request; return, in the fork alone, the words of the program that it is to be."""
    for name in LIBRARIES:
        importlib.import_module(name)
    first_use()
    own = [name for name in sys.modules if name.startswith(("kedro.framework", "reid_"))]
    assert not own, f"each program loads {own} itself"
    inspect.stack = frames  # type: ignore[assignment]
    gc.set_threshold(*COLLECTED_AFTER)
    gc.freeze()  # what is looked at by no collection stays shared memory
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(place)
    listening.listen()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        ready, *_ = select.select([listening, sys.stdin], [], [])
        if sys.stdin in ready:  # the tests have ended
            os._exit(0)
        connection, _ = listening.accept()
        _, streams, *_ = socket.recv_fds(connection, 1, 3)
        request = json.loads(line_from(connection))
        if os.fork() == 0:
            listening.close()
            return follow(request, streams, connection)
        connection.close()
        for each in streams:
            os.close(each)
        with_ended_children()


def with_ended_children() -> None:
    """Let the system forget the processes that have ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def follow(request: dict[str, Any], streams: list[int], connection: socket.socket) -> list[str]:
    """Fork again: one process becomes the program, the other tells its id and, in the end, its status."""
    program = os.fork()
    if program:
        for each in (0, 1, 2, *streams):
            os.close(each)
        try:
            connection.sendall(b"%d\n" % program)
            status = os.waitstatus_to_exitcode(os.waitpid(program, 0)[1])
            connection.sendall(b"%d\n" % status)
        finally:
            os._exit(0)
    connection.close()
    for number, each in enumerate(streams):
        os.dup2(each, number)
        os.close(each)
    sys.stdin, sys.stdout = os.fdopen(0, closefd=False), os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr
    os.chdir(request["folder"])
    # In a copy of the project each of its programs would compile it anew.
    sys.dont_write_bytecode = Path.cwd().is_relative_to(Path(__file__).resolve().parents[1])
    os.environ.clear()
    os.environ.update(request["variables"])
    words: list[str] = request["words"]
    return words


def become(words: Sequence[str]) -> None:
    """Run `python <words>`: a module after -m, or a file."""
    by_name = words[0] == "-m"
    sys.argv = list(words[by_name:])
    given = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path[:] = [str(Path.cwd() if by_name else Path(words[0]).parent), *given, *sys.path]
    if any((Path(path) / "sitecustomize.py").is_file() for path in given):
        sys.modules.pop("sitecustomize", None)
        importlib.import_module("sitecustomize")
    if by_name:
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(words[0], run_name="__main__")


def end(status: int) -> None:
    """End as a program does, by minus a signal's number by it: threads are joined and what waits for the end is done.

    To free one after the other what was never loaded here would copy the server's memory, for over a second.
    """
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    if status < 0:
        signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status)


def main() -> None:
    """Serve; in a fork, be a program from its first word to its status."""
    words = serve(sys.argv[1])
    status = 0
    try:
        become(words)
    except SystemExit as left:
        status = left.code if isinstance(left.code, int) else int(left.code is not None)
        if isinstance(left.code, str):
            sys.stderr.write(f"{left.code}\n")
    except BaseException as error:
        sys.excepthook(*sys.exc_info())
        status = -signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1
    end(status)


if __name__ == "__main__":
    sys.path.pop(0)  # this folder
    main()
