"""Programs of a warm Python are programs: settings, streams, status and end of their own; loaded by none before."""

import signal
import subprocess
import time
from pathlib import Path

import pytest
from warm_python import command, run, start

FACTS = """\
import atexit, os, sys
atexit.register(print, "at exit")
print(os.getcwd(), os.environ["WORD"], os.environ["OMP_NUM_THREADS"], sys.argv[1:], sys.path[0])
print("torch" in sys.modules, [name for name in sys.modules if name.startswith(("reid_", "kedro.framework"))])
print("to the other stream", file=sys.stderr)
seen = getattr(sys, "seen", False)
sys.seen = True
print(seen)
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    return tmp_path / "program.py"


def test_it_has_what_it_was_given_and_nothing_of_another(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program.write_text(FACTS)
    for word in ("first", "second"):
        monkeypatch.setenv("WORD", word)
        done = run(program, "a b", "c", folder=program.parent)
        assert done.stdout.splitlines() == [
            f"{program.parent} {word} 1 ['a b', 'c'] {program.parent}",
            "True []",
            "False",
            "at exit",
        ]
        assert (done.returncode, done.stderr) == (0, "to the other stream\n")


@pytest.mark.parametrize(
    ("code", "status", "printed"),
    [
        ("import sys; sys.exit(3)", 3, ""),
        ("import sys; sys.exit('so it is')", 1, "so it is\n"),
        ("import sys; sys.exit()", 0, ""),
        ("{}['a']", 1, "KeyError: 'a'\n"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -9, ""),
        ("import threading, time; threading.Thread(target=lambda: (time.sleep(0.1), print('joined'))).start()", 0,
         "joined\n"),
    ],
)  # fmt: skip
def test_it_ends_as_a_program_does(program: Path, code: str, status: int, printed: str) -> None:
    program.write_text(code)
    process = start(program, folder=program.parent)
    assert process.communicate()[0].endswith(printed)
    assert process.returncode == status


def test_its_signals_are_its_own(program: Path) -> None:
    program.write_text("print('begun', flush=True)\nimport time\ntime.sleep(60)")
    process = start(program, folder=program.parent)
    assert process.stdout.readline() == "begun\n"
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in process.communicate(timeout=20)[0]
    assert process.returncode == -signal.SIGINT
    process.kill()  # of nothing


def test_it_is_killed_when_it_takes_too_long(program: Path) -> None:
    program.write_text("import time; time.sleep(60)")
    began = time.monotonic()
    assert start(program, folder=program.parent).communicate(timeout=0.2) == ("", None)
    assert time.monotonic() - began < 20


def test_a_command_on_the_path_hands_on_words_streams_and_status(tmp_path: Path) -> None:
    (tmp_path / "echo_words.py").write_text(
        "import os, sys\nprint(sys.argv[1:], os.getcwd(), sys.stdin.read())\nsys.exit(7)"
    )
    folder = command("echo_words", tmp_path / "bin")
    done = subprocess.run(
        [folder / "echo_words", "--a=b c"], cwd=tmp_path, input="given", capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (7, f"['--a=b c'] {tmp_path} given\n", "")
