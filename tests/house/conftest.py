import os
import shutil
import subprocess

import pytest
from compiled import share_kernels
from console_blocks import documented
from project_copy import NOT_EXPLAINED, ROOT, SMALL_DRAWING, SMALL_METHODS, ProjectCopy, small_stages, source_files

# Left by every `kedro run`: the modules of the package that it had loaded in the end.
WATCHING = """\
import atexit, os, pathlib, sys

def note(pipeline):
    names = sorted(name for name in sys.modules if name.partition(".")[0] == "reid_pipeline")
    pathlib.Path(os.environ["WATCHING"], pipeline).write_text("\\n".join(names))

for word in sys.argv:
    if word.startswith("--pipelines="):
        atexit.register(note, word.partition("=")[2])
"""


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
    with (conf / "parameters.yml").open("a") as file:
        file.write(f"\n{NOT_EXPLAINED}\n")
    for method, parameters in SMALL_METHODS.items():
        (conf / f"parameters_{method}.yml").write_text(parameters)
    (folder / "dvc.yaml").write_text(small_stages((folder / "dvc.yaml").read_text()))
    share_kernels(folder)
    subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
    return ProjectCopy(folder)


@pytest.fixture(scope="session")
def reproduced(small_project: ProjectCopy) -> ProjectCopy:
    """The small project after its first `dvc repro`; what each run loaded lies in .dvc/tmp/watching."""
    watching = small_project.folder / ".dvc" / "tmp" / "watching"
    watching.mkdir(parents=True)
    (watching / "sitecustomize.py").write_text(WATCHING)
    paths = os.pathsep.join([str(watching), *filter(None, [os.environ.get("PYTHONPATH")])])
    small_project.run(*documented("docs/reproducing.md", "dvc repro"), PYTHONPATH=paths, WATCHING=str(watching))
    return small_project
