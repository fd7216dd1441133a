"""bench/install.py: the commands it installs by, and the clock; the whole takes gigabytes."""

import sys
from pathlib import Path
from types import ModuleType

import pytest
from bench_programs import bench_program


@pytest.fixture(scope="module")
def install() -> ModuleType:
    return bench_program("install")


def test_the_commands(install: ModuleType) -> None:
    wheel, python = Path("x.whl"), Path("bin/python")
    (newest,) = install.install_words(python, wheel, locked=False, cache=False)
    assert newest[1:] == ["pip", "install", "--quiet", "--python", "bin/python", "--no-cache", "x.whl"]
    packages, alone = install.install_words(python, wheel, locked=True, cache=True)
    assert packages[6:] == ["--require-hashes", "-r", str(install.ROOT / "requirements.lock")]
    assert alone[6:] == ["--no-deps", "x.whl"]


def test_a_step_is_timed_and_a_failure_ends_all(install: ModuleType, tmp_path: Path) -> None:
    code = "import time; time.sleep(0.05); sum(range(10**5)); print('done'); print('last')"
    step = install.timed("a step", [sys.executable, "-c", code], tmp_path)
    assert step.wall >= 0.05
    assert step.cpu > 0
    assert step.line().split() == ["a", "step", f"{step.wall:.1f}", "s", f"{step.cpu:.1f}", "s", "last"]
    with pytest.raises(SystemExit, match="worse: exit 3"):
        install.timed("worse", [sys.executable, "-c", "raise SystemExit(3)"], tmp_path)
