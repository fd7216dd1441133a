"""The main job, run once for all tests of this folder, in an interpreter of its own."""

import pytest
from console_blocks import documented
from small_project import Project, make_project


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, str]:
    """A project in which the main job has run once, and what it printed."""
    project = make_project(tmp_path_factory.mktemp("finished") / "project")
    words = documented("docs/first_run.md", "kedro run --pipeline=unsupervised_pcl")
    status, printed = project.kedro_anew(*words[1:])
    assert status == 0, printed
    return project, printed
