"""Raw data under DVC, with the repository's own ignore files: add, push, lose, pull (docs/datasets.md)."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from console_blocks import documented
from project_copy import ROOT, source_files


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "data/01_raw/market1501/query").mkdir(parents=True)
    (folder / "data/01_raw/market1501/query/0001_c1s1_001051_00.jpg").write_bytes(b"a picture")
    for name in (".gitignore", ".dvcignore"):
        shutil.copy(ROOT / name, folder / name)
    subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
    return folder


def dvc(folder: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *words],
        cwd=folder,
        env={**os.environ, "DVC_SITE_CACHE_DIR": str(folder / ".dvc/tmp/site"), "DVC_NO_ANALYTICS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
def test_locks_are_seen_neither_by_git_nor_by_dvc(repository: Path) -> None:
    dvc(repository, "init", "--quiet")
    locks = ["data/.locks/market1501/tables.lock", "data/.locks/market1501/pcl/seed_0.json"]
    assert dvc(repository, "check-ignore", *locks).split() == locks
    ignored = subprocess.run(
        ["git", "check-ignore", *locks], cwd=repository, capture_output=True, text=True, check=True
    )
    assert ignored.stdout.split() == locks


@pytest.mark.slow
def test_raw_data_comes_back_from_a_remote(repository: Path, tmp_path: Path) -> None:
    raw = repository / "data/01_raw/market1501"
    dvc(repository, "init", "--quiet")
    dvc(repository, "remote", "add", "--default", "store", str(tmp_path / "store"))
    dvc(repository, *documented("docs/datasets.md", "dvc add data/01_raw/market1501")[1:])
    listed = subprocess.run(
        ["git", "status", "--porcelain", "--untracked-files=all"],
        cwd=repository, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert "data/01_raw/market1501.dvc" in listed
    assert ".jpg" not in listed
    assert "2 files pushed" in dvc(repository, *documented("docs/datasets.md", "dvc push")[1:])
    shutil.rmtree(raw)
    shutil.rmtree(repository / ".dvc/cache")
    dvc(repository, *documented("docs/datasets.md", "dvc pull data/01_raw/market1501.dvc")[1:])
    assert (raw / "query/0001_c1s1_001051_00.jpg").read_bytes() == b"a picture"


def test_a_clone_has_the_folder_that_benchmarks_are_linked_in(tmp_path: Path) -> None:
    """As README, docs and the error of an absent raw folder say: ln -s /where/it/lies data/01_raw/market1501."""
    tree = tmp_path / "tree"
    (tree / "data/01_raw").mkdir(parents=True)
    for name in (".gitignore", "data/01_raw/.gitkeep"):
        assert Path(name) in source_files()
        shutil.copy(ROOT / name, tree / name)

    def git(*words: str) -> str:
        identity = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.org"]
        return subprocess.run(["git", *identity, *words], capture_output=True, text=True, check=True).stdout

    git("init", "--quiet", str(tree))
    git("-C", str(tree), "add", "--all")
    git("-C", str(tree), "commit", "--quiet", "--message=tree")
    git("clone", "--quiet", str(tree), str(tmp_path / "clone"))
    (tmp_path / "Market").mkdir()
    command = ["ln", "-s", str(tmp_path / "Market"), "data/01_raw/market1501"]
    subprocess.run(command, cwd=tmp_path / "clone", check=True)
    assert git("-C", str(tmp_path / "clone"), "status", "--porcelain", "--untracked-files=all") == ""
