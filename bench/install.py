"""From nothing to the first ranked picture: the wheel, installed into a fresh environment, and its demo.

    .venv/bin/python bench/install.py                the newest packages that fit
    .venv/bin/python bench/install.py --locked       those of requirements.lock, with faiss
    .venv/bin/python bench/install.py --no-cache     all is downloaded, also what the cache of uv holds

Downloads some gigabytes, since torch for Linux brings CUDA along. All of it lies in a temporary folder that is removed.
A line for each step: seconds by the clock, seconds of processors, and what the command printed last.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
UV = str(Path(sys.executable).with_name("uv"))


class Step(NamedTuple):
    """A command that was timed."""

    name: str
    wall: float
    cpu: float
    last: str  # line that it printed

    def line(self) -> str:
        """Return the row of the table."""
        return f"{self.name:<26}{self.wall:>8.1f} s{self.cpu:>8.1f} s  {self.last[:70]}".rstrip()


def timed(name: str, command: Sequence[str | Path], folder: Path) -> Step:
    """Run a command in a folder; one that fails ends the program with what it printed."""
    before, started = _of_children(), time.monotonic()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    wall = time.monotonic() - started
    if done.returncode:
        sys.exit(f"{name}: exit {done.returncode}\n{done.stdout[-4000:]}")
    lines = done.stdout.strip().splitlines() or [""]
    return Step(name, wall, _of_children() - before, lines[-1])


def _of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def install_words(python: Path, wheel: Path, *, locked: bool, cache: bool) -> list[list[str]]:
    """Return the commands that install the wheel: with what is locked first, or with what fits."""
    install = [UV, "pip", "install", "--quiet", "--python", str(python), *([] if cache else ["--no-cache"])]
    if not locked:
        return [[*install, str(wheel)]]
    return [[*install, "--require-hashes", "-r", str(ROOT / "requirements.lock")], [*install, "--no-deps", str(wheel)]]


def measure(place: Path, *, locked: bool, cache: bool) -> list[Step]:
    """Build, install and run in a folder that is there and empty."""
    environment, user = place / "environment", place / "user"
    user.mkdir()
    programs = environment / "bin"
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", place / "dist"]
    steps = [
        timed("build the wheel", build, ROOT),
        timed("environment", [sys.executable, "-m", "venv", "--without-pip", environment], place),
    ]
    (wheel,) = (place / "dist").glob("*.whl")
    commands = install_words(programs / "python", wheel, locked=locked, cache=cache)
    steps += [timed(f"install {number}/{len(commands)}", words, place) for number, words in enumerate(commands, 1)]
    program = programs / "reid-pipeline"
    picture = "data/01_raw/demo/new/person 01.jpg"
    for name, words in {
        "--help": ["--help"],
        "demo, the first time": ["demo"],
        "demo, once more": ["demo"],
        "identify": ["identify", picture],
    }.items():
        steps.append(timed(name, [program, *words], user))
    written = {each.name for each in user.iterdir()}
    if written != {"data"}:
        sys.exit(f"The user's folder holds {written}, and not data/ alone.")
    size = sum(file.stat().st_size for file in environment.rglob("*") if file.is_file()) / 1e9
    print(f"wheel {wheel.stat().st_size / 1e6:.1f} MB, environment {size:.2f} GB")
    return steps


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--locked", action="store_true", help="the packages of requirements.lock")
    parser.add_argument("--no-cache", action="store_true", help="download all")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="install-") as folder:
        steps = measure(Path(folder), locked=given.locked, cache=not given.no_cache)
    print("\n".join([f"{'':<26}{'clock':>10}{'cpu':>10}", *(step.line() for step in steps)]))


if __name__ == "__main__":
    main()
