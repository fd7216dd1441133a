"""The quick tests against other versions of what this project stands on: `make versions`.

    python bench/versions.py                 all of PACKAGES
    python bench/versions.py timm torch      some of them

For each package the lowest version that pyproject.toml allows and the newest one of the index, the other packages as
locked where these fit; and once the lock itself. A version that is the locked one is not tried again. Each set gets an
environment of its own in build/versions/, made by uv. Prints a table; exit 1 if a set cannot be installed or a test
fails.
"""

import argparse
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "build" / "versions"
PACKAGES = ("open-clip-torch", "timm", "torch", "kedro")
LOCK = ROOT / "requirements-dev.lock"
UV = [str(Path(sys.executable).with_name("uv"))]
Pins = dict[str, str]


class Tried(NamedTuple):
    """What came of one set of versions."""

    label: str
    versions: Pins  # of PACKAGES
    passed: int = 0
    failed: int = 0
    seconds: float = 0.0
    problem: str = ""  # why no test ran

    def line(self) -> str:
        """Return the row of the table."""
        shown = " ".join(f"{self.versions.get(name, '-'):>9}" for name in PACKAGES)
        found = self.problem or f"{self.passed:>6} {self.failed:>6} {self.seconds:>7.0f} s"
        return f"{self.label:<24} {shown} {found}"


def locked_pins(lock: str) -> Pins:
    """Return the requirement that a lock file pins by name, its marker with it: `{"timm": "timm==1.0.31 ; ..."}`."""
    found = re.findall(r"^([a-z0-9][a-z0-9._-]*)(==[^\\\n]+)", lock, flags=re.MULTILINE)
    return {name: f"{name}{pin}".strip() for name, pin in found}


def version_of(pin: str) -> str:
    """Return the version of a pinned requirement."""
    return pin.partition("==")[2].partition(";")[0].strip()


def requirements() -> dict[str, str]:
    """Return what pyproject.toml asks for, by name: `{"torch": "torch>=2.6,<3"}`."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    return {re.split(r"[\[<>=!~ ;]", each, maxsplit=1)[0]: each for each in declared}


def lowest(requirement: str) -> str:
    """Return the version behind `>=`."""
    found = re.search(r">=\s*([^,;\s]+)", requirement)
    if found is None:
        raise ValueError(f"{requirement!r} in pyproject.toml declares no lowest version. Write one behind >=.")
    return found[1]


def newest(name: str, requirement: str) -> str:
    """Return the newest version that the index has and the requirement allows; CalledProcessError without an index."""
    command = [*UV, "pip", "compile", "--quiet", "--no-deps", "--no-header", "--no-annotate", "-"]
    done = subprocess.run(command, input=requirement, capture_output=True, text=True, check=True)
    pin = next(line for line in done.stdout.splitlines() if line.startswith(f"{name}=="))
    return version_of(pin)


def sets_of(names: Sequence[str], pins: Pins) -> dict[str, str]:
    """Return the constraint of every set by its label, such as `torch==2.6`; empty for the lock itself."""
    declared, found = requirements(), {"locked": ""}
    for name in names:
        for which, version in (("lowest", lowest(declared[name])), ("newest", newest(name, declared[name]))):
            constraint = f"{name}=={version}"
            if version != version_of(pins[name]) and constraint not in found.values():
                found[f"{name} {which}"] = constraint
    return found


def install(folder: Path, constraint: str) -> Path:
    """Make the environment of a set and return its Python; CalledProcessError where uv cannot.

    The lock lies where uv writes the set's own: what it pins stays, but for what does not fit the constraint.
    """
    pinned, given, python = folder / "requirements.txt", folder / "constraint.txt", folder / ".venv" / "bin" / "python"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(LOCK, pinned)
    given.write_text(f"{constraint}\n", encoding="utf-8")
    wanted = ["--extra", "cpu", "--group", "build", "--group", "dev", "pyproject.toml", "-c", str(given)]
    into = ["--quiet", "--python", str(python)]
    for command in (
        ["pip", "compile", "--quiet", "--python", sys.executable, *wanted, "-o", str(pinned)],
        ["venv", "--quiet", "--clear", "--python", sys.executable, str(folder / ".venv")],
        ["pip", "install", *into, "-r", str(pinned)],
        ["pip", "install", *into, "--no-deps", "--no-build-isolation", "-e", "."],
    ):
        subprocess.run([*UV, *command], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return python


def tried(label: str, constraint: str) -> Tried:
    """Install a set and run the quick tests against it."""
    folder = FOLDER / label.replace(" ", "-")
    try:
        python = install(folder, constraint)
    except subprocess.CalledProcessError:
        return Tried(label, {}, problem="cannot be installed: uv says above why")
    report, started = folder / "tests.xml", time.perf_counter()
    report.unlink(missing_ok=True)
    options = ["-n", "2", "--dist", "loadfile", "--no-loadscope-reorder", "-m", "not slow", "-q"]
    command = [str(python), "-m", "pytest", *options, f"--junitxml={report}"]
    with (folder / "tests.log").open("w", encoding="utf-8") as log:
        subprocess.run(command, cwd=ROOT, check=False, stdout=log, stderr=subprocess.STDOUT)
    seconds, versions = time.perf_counter() - started, installed(python)
    if not report.is_file():
        return Tried(label, versions, problem=f"no test ran: {(folder / 'tests.log').relative_to(ROOT)}")
    return Tried(label, versions, *counts(report.read_text(encoding="utf-8")), seconds)


def installed(python: Path) -> Pins:
    """Return the versions of PACKAGES in an environment."""
    listed = [*UV, "pip", "freeze", "--quiet", "--python", str(python)]
    done = subprocess.run(listed, capture_output=True, text=True, check=True)
    return {name: version_of(pin) for name, pin in locked_pins(done.stdout).items() if name in PACKAGES}


def counts(report: str) -> tuple[int, int]:
    """Return the tests that passed and that failed, from a report in JUnit's form."""
    suites = ElementTree.fromstring(report).iter("testsuite")
    found = [
        {name: int(suite.get(name, "0")) for name in ("tests", "failures", "errors", "skipped")} for suite in suites
    ]
    failed = sum(each["failures"] + each["errors"] for each in found)
    return sum(each["tests"] - each["skipped"] for each in found) - failed, failed


def main() -> None:
    """Try the sets one after the other, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("packages", nargs="*", choices=[[], *PACKAGES], metavar="package", help=", ".join(PACKAGES))
    names = parser.parse_args().packages or PACKAGES
    sets = sets_of(names, locked_pins(LOCK.read_text(encoding="utf-8")))
    print(
        f"{len(sets)} sets of versions, one after the other; logs in {FOLDER.relative_to(ROOT)}/*/tests.log", flush=True
    )
    columns = " ".join(f"{name.removesuffix('-torch'):>9}" for name in PACKAGES)
    print(f"{'set':<24} {columns} passed failed    time", flush=True)
    results = []
    for label, constraint in sets.items():
        results.append(tried(label, constraint))
        print(results[-1].line(), flush=True)
    sys.exit(any(each.problem or each.failed for each in results))


if __name__ == "__main__":
    main()
