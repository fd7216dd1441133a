import shutil
import subprocess

import pytest
from compiled import share_kernels
from project_copy import ROOT, SMALL_BACKBONE, SMALL_DRAWING, SMALL_METHOD, ProjectCopy, source_files


@pytest.fixture(scope="session")
def small_project(tmp_path_factory: pytest.TempPathFactory) -> ProjectCopy:
    """A copy of the project, without results, whose demo takes seconds."""
    folder = tmp_path_factory.mktemp("house") / "project"
    for file in source_files():
        if file.parts[0] not in {"data", "tests"} and file.name != "dvc.lock":
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / file, folder / file)
    conf = folder / "conf" / "synthetic"
    catalog = (conf / "catalog.yml").read_text()
    assert "${runtime_params:synthetic,{}}" in catalog
    (conf / "catalog.yml").write_text(catalog.replace("${runtime_params:synthetic,{}}", SMALL_DRAWING))
    (conf / "parameters_unsupervised_pcl.yml").write_text(SMALL_METHOD)
    (conf / "parameters_zero_shot.yml").write_text(f"zero_shot: {{backbone: {SMALL_BACKBONE}}}\n")
    share_kernels(folder)
    subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
    return ProjectCopy(folder)


@pytest.fixture(scope="session")
def reproduced(small_project: ProjectCopy) -> ProjectCopy:
    """The small project after its first `dvc repro`."""
    small_project.run("dvc", "repro")
    return small_project
