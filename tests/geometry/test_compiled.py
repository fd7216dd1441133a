"""Where machine code is stored if neither the code's folder nor HOME can be written, as in containers."""

import os
import pwd
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import numba
import pytest
from unprivileged import run_unprivileged

from reid_pipeline.geometry import compiled as module

KERNEL = """
from reid_pipeline.geometry.compiled import compiled

@compiled
def plus_one(number):
    return number + 1
"""
RUN = "import kernel; print(kernel.plus_one(1), sum(kernel.plus_one.stats.cache_hits.values()))"
Compute = Callable[..., str]


@pytest.fixture
def compute(tmp_path: Path) -> Compute:
    """Run a kernel of a read-only folder with a read-only HOME; return its result and how often it was found."""
    code, home, temporary = (tmp_path / name for name in ("code", "home", "temporary"))
    for folder in (code, home, temporary):
        folder.mkdir()
    (code / "kernel.py").write_text(KERNEL)
    for folder in (code, home):
        folder.chmod(0o555)

    def run(**environment: str) -> str:
        path = os.pathsep.join([str(code), *sys.path])
        own = {"PYTHONPATH": path, "HOME": str(home), "TMPDIR": str(temporary)}
        inherited = {
            name: value for name, value in os.environ.items() if name not in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")
        }
        done = run_unprivileged([sys.executable, "-c", RUN], env={**inherited, **own, **environment}, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert not list(code.glob("__pycache__"))
        assert not list(home.iterdir())
        return done.stdout

    return run


@pytest.mark.slow
def test_it_is_stored_in_a_folder_of_the_users_own_and_found_again(compute: Compute, tmp_path: Path) -> None:
    assert [compute(), compute()] == ["2 0\n", "2 1\n"]
    (folder,) = (tmp_path / "temporary").iterdir()
    assert folder.name == f"reid_pipeline-{os.geteuid()}"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert list(folder.rglob("*.nbi"))


@pytest.mark.parametrize("name", ["NUMBA_CACHE_DIR", "XDG_CACHE_HOME"])
@pytest.mark.slow
def test_a_folder_that_the_user_names_comes_first(compute: Compute, tmp_path: Path, name: str) -> None:
    assert compute(**{name: str(tmp_path / "named")}) == "2 0\n"
    assert list((tmp_path / "named").rglob("*.nbi"))
    assert not list((tmp_path / "temporary").iterdir())


@pytest.mark.slow
def test_without_any_folder_it_is_compiled_all_the_same(compute: Compute, tmp_path: Path) -> None:
    """Somebody else's folder is there, which others may fill with code."""
    (tmp_path / "temporary" / f"reid_pipeline-{os.geteuid()}").mkdir()
    assert compute() == "2 0\n"
    assert not list(tmp_path.rglob("*.nbi"))


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    module._temporary_cache.cache_clear()
    return tmp_path / f"reid_pipeline-{os.geteuid()}"


class TestTemporaryCache:
    def test_it_is_made_for_its_owner_alone(self, temporary: Path) -> None:
        assert module._temporary_cache() == str(temporary)
        assert stat.S_IMODE(temporary.stat().st_mode) == 0o700

    def test_one_that_is_there_already_and_the_owners_alone_is_taken(self, temporary: Path) -> None:
        temporary.mkdir(mode=0o700)
        assert module._temporary_cache() == str(temporary)

    @pytest.mark.parametrize("mode", [0o777, 0o755, 0o710])
    def test_others_must_not_reach_it(self, temporary: Path, mode: int) -> None:
        temporary.mkdir()
        temporary.chmod(mode)
        assert module._temporary_cache() == ""

    def test_a_link_or_a_file_is_not_taken(self, temporary: Path) -> None:
        (temporary.parent / "elsewhere").mkdir(mode=0o700)
        temporary.symlink_to("elsewhere")
        assert module._temporary_cache() == ""
        temporary.unlink()
        temporary.write_text("")
        module._temporary_cache.cache_clear()
        assert module._temporary_cache() == ""

    @pytest.mark.skipif(os.geteuid() != 0, reason="another user's folder is made by root alone")
    def test_another_users_is_not_taken(self, temporary: Path) -> None:
        temporary.mkdir(mode=0o700)
        os.chown(temporary, 12345, -1)
        assert module._temporary_cache() == ""

    def test_others_must_not_be_able_to_replace_it(self, temporary: Path) -> None:
        temporary.parent.chmod(0o777)
        assert module._temporary_cache() == ""
        temporary.parent.chmod(0o1777)
        module._temporary_cache.cache_clear()
        assert module._temporary_cache() == str(temporary)


def nobody(_: int) -> None:
    raise KeyError("no such user")


def test_a_user_whom_the_machine_does_not_know_gets_no_folder_of_that_name(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOME")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    monkeypatch.chdir(temporary.parent)
    kernel = module.compiled(lambda number: number + 1)
    assert kernel(1) == 2
    assert [path.name for path in temporary.parent.iterdir()] == [temporary.name]
    monkeypatch.setenv("XDG_CACHE_HOME", str(temporary.parent))
    assert module._has_home()
