"""CONTRIBUTING's example reader, taken from the page, does what is asked of every reader."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from documents import file_block
from project_copy import ROOT
from reader_checks import check_benchmark, check_layout, laid_out, read_files

from reid_pipeline import readers
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.parameters import IngestionParameters
from reid_pipeline.schema.raw_folder import RawFolder

NAME = "corridor"
MODULE = f"src/reid_pipeline/readers/{NAME}.py"
PAGE = ROOT / "CONTRIBUTING.md"


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "package" / f"{NAME}.py"
    file.parent.mkdir()
    file.write_text(file_block(PAGE, MODULE))
    monkeypatch.setattr(readers, "__path__", [*readers.__path__, str(file.parent)])
    return file


@pytest.mark.usefixtures("module")
def test_it_is_found_laid_out_and_read_back(tmp_path: Path) -> None:
    assert NAME in readers.reader_names()
    assert readers.layouts()[NAME] == (NAME, None)
    check_benchmark(NAME)
    check_layout(NAME, "person", tmp_path / "raw")


@pytest.mark.usefixtures("module")
@pytest.mark.parametrize(
    ("list_name", "line", "message"),
    [
        ("query", "images/c1/12_00042.jpg", "1 lines are not 'images/c<camera>/<person from 0001>_<frame>.jpg'"),
        ("query", "images/c1/0001_99999.jpg", "names 1 images that are not there"),
        ("train", "", "1 images are listed twice: Corridor_v1/images/"),
    ],
)
def test_it_refuses_lists_that_are_wrong(list_name: str, line: str, message: str, tmp_path: Path) -> None:
    files = laid_out(NAME, "person")
    lines = files[f"Corridor_v1/{list_name}.txt"].decode()
    files[f"Corridor_v1/{list_name}.txt"] = (lines + (line or lines.splitlines()[0])).encode()
    with pytest.raises(UserError) as caught:
        read_files(NAME, files, tmp_path / "raw")
    assert message in str(caught.value)


@pytest.mark.usefixtures("module")
def test_it_answers_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a Corridor folder holds images/, train\.txt, query\.txt, gallery\.txt"):
        readers.reader(NAME).read(RawFolder(tmp_path, ()), IngestionParameters(reader=NAME))


def test_its_environment_names_it() -> None:
    assert yaml.safe_load(file_block(PAGE, f"conf/{NAME}/globals.yml")) == {"benchmark": NAME}
    parameters = yaml.safe_load(file_block(PAGE, f"conf/{NAME}/parameters.yml"))
    assert IngestionParameters(**parameters.pop("ingestion")).reader == NAME
    assert parameters == {}


@pytest.mark.slow
def test_its_module_has_the_projects_style_and_types(module: Path) -> None:
    text = module.read_text()
    assert "type: ignore" not in text
    assert "noqa" not in text
    programs = Path(sys.executable).parent
    stdin = ["--stdin-filename", str(ROOT / MODULE), "-"]
    for command in (
        [programs / "ruff", "check", *stdin],
        [programs / "ruff", "format", "--check", *stdin],
        # As in test_house_first_method.py: other options would make mypy check all modules anew, here and next time.
        [programs / "mypy", "--strict", "--config-file", str(ROOT / "pyproject.toml"), str(module)],
    ):
        environment = {**os.environ, "MYPYPATH": str(ROOT / "src")}
        done = subprocess.run(command, input=text, cwd=ROOT, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
