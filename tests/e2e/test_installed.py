"""The wheel, installed into a bare environment beside the locked packages without faiss: one demo, one question."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from dataclasses import dataclass
from email import message_from_string
from email.message import Message
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from types import SimpleNamespace

import pandas as pd
import pytest
from click.testing import CliRunner
from project_copy import ROOT, source_files

from reid_pipeline import __version__
from reid_pipeline.cli import demo
from reid_pipeline.cli.command import cli

NEW = "data/01_raw/demo/new"
ANSWERS = "data/08_reporting/galleries/demo/identify.csv"


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What git has of the project, and beside it what it has not: credentials, results, caches."""
    folder = tmp_path_factory.mktemp("clone")
    for file in source_files():
        if file.parts[0] not in {"tests", "data", "bench"}:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / file, folder / file)
    for name in (
        "conf/local/credentials.yml", "conf/market1501/credentials.yml", "data/06_models/x/embedder.safetensors",
        "src/reid_pipeline/__pycache__/x.pyc", "tests/test_x.py",
    ):  # fmt: skip
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("secret: 1")
    return folder


@pytest.fixture(scope="module")
def wheel(clone: Path) -> Path:
    """What `kedro package` builds there."""
    result = CliRunner().invoke(cli, ["package"], obj=SimpleNamespace(project_path=clone))
    assert result.exit_code == 0, result.output
    (found,) = (clone / "dist").iterdir()
    return found


def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        return message_from_string(archive.read(f"reid_pipeline-{__version__}.dist-info/METADATA").decode())


def test_the_wheel_has_code_conf_and_weights_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        found = {name: archive.read(name) for name in archive.namelist() if ".dist-info/" not in name}
    ours = {
        (f"reid_pipeline/_{file.as_posix()}" if file.parts[0] == "conf" else file.relative_to("src").as_posix()): file
        for file in source_files()
        if file.parts[0] in {"src", "conf"} and file.suffix != ".pyc"
    }
    assert set(found) == set(ours)
    assert all(found[name] == (ROOT / file).read_bytes() for name, file in ours.items())
    for name in (
        "reid_pipeline/py.typed",
        "reid_drawings/py.typed",
        "reid_pipeline/models/weights/demo_clip.safetensors",
    ):
        assert name in found
    places = [os.fsencode(place) for place in {ROOT.resolve(), Path(sys.prefix).resolve(), wheel.parents[1]}]
    assert not [name for name, content in found.items() if any(place in content for place in places)]
    assert wheel.stat().st_size < 8e6


def test_the_metadata_say_whose_and_what(wheel: Path) -> None:
    found = metadata(wheel)
    assert found["Author"] == "The reid_pipeline authors"
    assert found["License-Expression"] == "Apache-2.0"
    assert "Typing :: Typed" in found.get_all("Classifier", [])
    assert found["Keywords"]
    extras = [each for each in found.get_all("Requires-Dist", []) if "faiss" in each]
    assert extras
    assert all("extra ==" in each for each in extras), "faiss is an extra"
    links = re.findall(r"\]\(([^)]+)\)", str(found.get_payload()))
    assert [link for link in links if not link.startswith("https://")] == [], "relative links are dead on an index"


def test_the_source_distribution_is_what_builds_the_wheel(clone: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "--target", "sdist", "--directory", "sdist"]
    subprocess.run(command, cwd=clone, check=True, capture_output=True)
    (file,) = (clone / "sdist").iterdir()
    with tarfile.open(file) as archive:
        names = {PurePosixPath(each.name).relative_to(f"reid_pipeline-{__version__}") for each in archive}
    assert {name.parts[0] for name in names} == {
        "src", "conf", "docs", "CHANGELOG.md", "CITATION.cff", "LICENSE", "PKG-INFO", "README.md", "SECURITY.md",
        "pyproject.toml", ".gitignore",
    }  # fmt: skip
    assert not [name for name in names if fnmatch(name.name, "*credentials*") or name.suffix == ".pyc"]
    assert {PurePosixPath(each.as_posix()) for each in source_files() if each.parts[0] in {"src", "conf"}} <= names


@dataclass(frozen=True)
class Installed:
    """An environment, and an empty folder where its command is typed."""

    programs: Path
    here: Path
    home: Path

    def run(self, program: str, *words: str) -> str:
        """Run a program of the environment, without the tests' own variables, and without a network."""
        variables = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "KEDRO"))}
        nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
        done = subprocess.run(
            [self.programs / program, *words],
            cwd=self.here,
            env={**variables, **nowhere, "HOME": str(self.home), "COLUMNS": "200", "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=500,
        )
        assert done.returncode == 0, done.stdout[-4000:]
        return done.stdout


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel in an environment that sees the packages of this one, but neither faiss nor this project."""
    folder = tmp_path_factory.mktemp("installed")
    environment, packages = folder / "environment", folder / "packages"
    venv.create(environment, symlinks=True)
    for each in (packages, folder / "here", folder / "home"):
        each.mkdir()
    for each in Path(sysconfig.get_path("purelib")).iterdir():
        if each.suffix != ".pth" and not each.name.lower().startswith(("faiss", "reid", "_editable", "pip")):
            (packages / each.name).symlink_to(each)
    found = Installed(environment / "bin", folder / "here", folder / "home")
    (own,) = environment.glob("lib/python*/site-packages")
    (own / "packages.pth").write_text(f"{packages}\n")
    seen = "import importlib.util as u; print([bool(u.find_spec(n)) for n in ('torch', 'faiss', 'reid_pipeline')])"
    assert found.run("python", "-c", seen) == "[True, False, False]\n"
    install = [
        "-m",
        "pip",
        "--python",
        str(environment / "bin/python"),
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
    ]
    subprocess.run([sys.executable, *install, str(wheel)], check=True, capture_output=True)
    return found


@pytest.fixture(scope="module")
def shown(installed: Installed) -> str:
    """What the demo prints."""
    return installed.run("reid-pipeline", "demo")


def test_the_demo_ends_with_a_page_of_who_is_who(installed: Installed, shown: str) -> None:
    page = re.search(r"^page    (\S+), after \d+ s$", shown, re.MULTILINE)
    assert page is not None, shown
    html = (installed.here / page[1]).read_text()
    assert html.count("data:image/") > demo.ASKED, "the pictures are on the page"
    answers = pd.read_csv(installed.here / ANSWERS).groupby("probe").first()
    who = {Path(path).stem: row for path, row in answers.to_dict("index").items()}
    assert len(who) == demo.ASKED + demo.STRANGERS
    right = [name for name, row in who.items() if row["answer"] == "known" and row["identity"] == name]
    wrong = [name for name, row in who.items() if row["answer"] == "known" and row["identity"] != name]
    assert len(right) >= demo.ASKED // 2
    assert len(wrong) <= 1


def test_a_question_afterwards_needs_a_picture_alone(installed: Installed, shown: str) -> None:
    assert "next    reid-pipeline identify" in shown
    answer = installed.run("python", "-m", "reid_pipeline", "identify", f"{NEW}/person 01.jpg")
    assert "person 01" in answer
    assert "1 known" in answer or "1 unsure" in answer or "1 new" in answer
    assert len(pd.read_csv(installed.here / ANSWERS)["probe"].unique()) == 1


def test_nothing_is_written_but_data(installed: Installed, shown: str) -> None:
    assert "kedro run" not in shown, "there is none in this folder"
    assert [each.name for each in installed.here.iterdir()] == ["data"]
    assert list(installed.home.rglob("*")) == [], "no telemetry, no cache"
    assert {each.name for each in (installed.here / "data").iterdir()} >= {"01_raw", "06_models", "08_reporting"}
