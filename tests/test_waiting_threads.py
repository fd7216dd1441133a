"""How the threads of OpenMP wait: what stands in the environment before a library that computes is loaded."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from reid_pipeline import WAITING

LOADED = "import ctypes, sys; ctypes.CDLL(sys.argv[1])"


def output(code: str, *arguments: str, **variables: str) -> str:
    """Both streams of a Python process that has `code` to run, without what this one has in its environment."""
    inherited = {name: value for name, value in os.environ.items() if name not in WAITING}
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, env={**inherited, **variables}, capture_output=True, text=True, check=True)
    return done.stdout + done.stderr


@pytest.mark.parametrize("name", WAITING)
def test_what_a_user_set_wins(name):
    code = f"import os, reid_pipeline; print({{name: os.environ.get(name) for name in {WAITING}}})"
    alone = dict.fromkeys(WAITING)
    assert output(code, **{name: "1"}).strip() == str({**alone, name: "1"})


def test_the_package_sets_it_before_anything_heavy_and_children_inherit_it():
    code = (
        "import os, subprocess, sys, reid_pipeline;"
        "print('torch' in sys.modules, 'numpy' in sys.modules, os.environ['GOMP_SPINCOUNT'], flush=True);"
        "subprocess.run([sys.executable, '-c', 'import os; print(os.environ[\"GOMP_SPINCOUNT\"])'])"
    )
    assert output(code).split() == ["False", "False", "10000", "10000"]


def libraries() -> list[Path]:
    """GNU's OpenMP as torch and faiss bring it, each its own copy; none on other systems."""
    found = []
    for name, pattern in (("torch", "lib/libgomp*"), ("faiss", "../faiss_cpu.libs/libgomp*")):
        spec = importlib.util.find_spec(name)
        found += sorted(Path(str(spec and spec.origin)).parent.glob(pattern))
    return found


@pytest.mark.parametrize("library", libraries(), ids=lambda path: path.parent.parent.name + path.name[:4])
def test_the_library_reads_it(library):
    shown = output("import reid_pipeline; " + LOADED, str(library), OMP_DISPLAY_ENV="VERBOSE")
    assert "GOMP_SPINCOUNT = '10000'" in shown
    assert "GOMP_SPINCOUNT = '10000'" not in output(LOADED, str(library), OMP_DISPLAY_ENV="VERBOSE")
