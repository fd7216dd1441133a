"""The main job, run once for all tests of this folder, in an interpreter of its own."""

import fcntl
import os
import shutil
from pathlib import Path

import pytest
from console_blocks import documented
from small_project import Project, make_project


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, str]:
    """A project in which the main job has run once, and what it printed; each process of tests has a copy."""
    own = tmp_path_factory.getbasetemp()
    made = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "finished_once"
    made.mkdir(exist_ok=True)
    with (made / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (made / "printed").exists():
            run_main_job(made)
    copy = tmp_path_factory.mktemp("finished") / "project"
    shutil.copytree(made / "project", copy, symlinks=True)
    return Project(copy), (made / "printed").read_text()


def run_main_job(folder: Path) -> None:
    """Run it in a project in a folder, and write beside that what it printed."""
    project = make_project(folder / "project")
    words = documented("docs/first_run.md", "kedro run --pipeline=unsupervised_pcl")
    status, printed = project.kedro_anew(*words[1:])
    assert status == 0, printed
    (folder / "printed").write_text(printed)
