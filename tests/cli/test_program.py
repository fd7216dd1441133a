"""`reid-pipeline` without a run: its help, what the short commands make of their words, and where conf/ lies."""

import errno
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from reid_pipeline import __version__
from reid_pipeline.cli import demo, here, short_commands
from reid_pipeline.cli.parameters import given_parameters
from reid_pipeline.cli.program import program
from reid_pipeline.cli.short_commands import SHORT
from reid_pipeline.io.environment import RunEnvironmentDataset
from reid_pipeline.pipelines.gallery import create_pipelines
from reid_pipeline.schema import place
from reid_pipeline.schema.nested import nested
from reid_pipeline.schema.parameters import SharedParameters
from reid_pipeline.schema.place import as_typed_here, package_conf, project_folder, project_of

PROJECT = '[tool.kedro]\npackage_name = "{}"\nproject_name = "x"\nkedro_init_version = "1.7.0"\n'
Runs = list[list[str]]


@pytest.fixture
def anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder outside of any project, where the process is."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch, anywhere: Path) -> Runs:
    """What would be run, in the place of running it."""
    found: Runs = []
    monkeypatch.setattr(here, "run_words", found.append)
    return found


def typed(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(program, list(words), prog_name="reid-pipeline")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def given_to(words: list[str]) -> dict[str, Any]:
    """Return the parameters of a run as the run itself reads them."""
    return given_parameters(words[words.index("--params") + 1], [*SharedParameters.model_fields])


def test_help_and_version_load_nothing_heavy() -> None:
    heavy = "{'kedro', 'torch', 'numpy', 'pandas', 'pydantic', 'dynaconf', 'reid_drawings'}"
    for words in ("--help", "--version", "identify --help"):
        code = (
            "import sys; from reid_pipeline.__main__ import main\n"
            f"sys.argv[1:] = {words.split()!r}\ntry: main()\n"
            f"finally: print('loaded', sorted({heavy} & set(sys.modules)))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.endswith("loaded []\n"), done.stdout
    assert __version__ in typed("--version")[1]


def test_an_unknown_command_has_its_neighbour(anywhere: Path) -> None:
    status, output = typed("identfy", "x")
    assert status == 2
    assert "There is no command 'identfy'. Did you mean 'identify'?" in output


class TestShortCommands:
    def test_all_pipelines_of_a_gallery_have_one(self) -> None:
        assert set(create_pipelines()) <= set(SHORT)

    @pytest.mark.parametrize("pipeline", SHORT)
    def test_their_parameters_are_those_of_a_run(self, pipeline: str) -> None:
        for name in (*SHORT[pipeline].arguments, *SHORT[pipeline].options):
            first, _, rest = name.partition(".")
            field = SharedParameters.model_fields[first]
            assert not rest or rest in field.annotation.model_fields  # type: ignore[union-attr]

    @pytest.mark.parametrize(
        ("line", "parameters"),
        [
            ("enrol known --gallery g --model a/b/seed_0", {"images": "known", "gallery": "g", "model": "a/b/seed_0"}),
            ("enrol --gallery gate --clusters-of a/b/seed_0", {"gallery": "gate", "clusters_of": "a/b/seed_0"}),
            ("calibrate --gallery 7 --false-alarm 0.1", {"gallery": "7", "calibrate.false_alarm": 0.1}),
            ("identify n --gallery g --params search.top=3", {"images": "n", "gallery": "g", "search.top": 3}),
            ("search --text red --gallery g --top 3", {"text": "red", "gallery": "g", "search.top": 3}),
            ("search a,b.jpg --gallery g", {"images": "a,b.jpg", "gallery": "g"}),
            ("merge Ada Bo --gallery g", {"identity": "Ada", "into": "Bo", "gallery": "g"}),
            ("rename null 007 --gallery g", {"identity": "null", "to": "007", "gallery": "g"}),
            ("forget --gallery g --before 2026-01-01", {"gallery": "g", "before": "2026-01-01"}),
            ("undo --gallery g", {"gallery": "g"}),
            ("reembed a/b/seed_0 --gallery g", {"model": "a/b/seed_0", "gallery": "g"}),
            ("embed zoo --model m.safetensors --name zoo", {"images": "zoo", "model": "m.safetensors", "name": "zoo"}),
        ],
    )  # fmt: skip
    def test_a_run_is_given_what_was_typed(self, runs: Runs, line: str, parameters: dict[str, Any]) -> None:
        status, output = typed(*line.split())
        assert status == 0, output
        assert len(runs) == 1
        assert runs[0][0] == f"--pipeline={line.split()[0]}"
        assert given_to(runs[0]) == nested(parameters)

    def test_an_environment_is_handed_on(self, runs: Runs) -> None:
        typed("identify", "new", "--gallery", "g", "--env", "custom")
        assert runs[0][:2] == ["--pipeline=identify", "--env=custom"]

    def test_the_only_gallery_is_found_where_nothing_is_changed(self, runs: Runs, anywhere: Path) -> None:
        galleries = anywhere / "data/07_model_output/galleries"
        (galleries / "gate").mkdir(parents=True)
        (galleries / ".gate.lock").touch()
        typed("identify", "new")
        typed("forget", "--identity", "Ada")
        (galleries / "zoo").mkdir()
        typed("identify", "new")
        assert [given_to(words) for words in runs] == [
            {"images": "new", "gallery": "gate"}, {"identity": "Ada"}, {"images": "new"},
        ]  # fmt: skip

    def test_what_must_be_given_is_asked_for(self, runs: Runs) -> None:
        status, output = typed("identify")
        assert status == 2
        assert "Missing argument '<folder, list, table or picture>'" in output
        assert runs == []


class TestRun:
    def test_the_status_of_an_interrupted_run_is_the_commands(self, monkeypatch: pytest.MonkeyPatch) -> None:
        @click.command()
        @click.option("--pipeline")
        @click.option("--params")
        def interrupted(**_: str) -> None:
            raise click.exceptions.Exit(130)

        monkeypatch.setattr(here, "run_command", lambda: interrupted)
        assert typed("undo", "--gallery", "g")[0] == 130

    def test_another_project_is_left_alone(self, anywhere: Path) -> None:
        (anywhere / "pyproject.toml").write_text(PROJECT.format("spaceflights"))
        (anywhere / "sub").mkdir()
        os.chdir(anywhere / "sub")
        for words in (["undo", "--gallery", "g"], ["run"]):
            status, output = typed(*words)
            assert status == 1
            assert "the folder of another Kedro project, spaceflights" in output


class TestPlace:
    def test_in_a_project_it_is_the_projects(self, anywhere: Path) -> None:
        (anywhere / "pyproject.toml").write_text(PROJECT.format("reid_pipeline"))
        (anywhere / "conf/base").mkdir(parents=True)
        (anywhere / "sub").mkdir()
        assert (project_folder(anywhere / "sub"), here.run_defaults()) == (anywhere, {})
        assert project_of(anywhere / "conf") == anywhere
        assert as_typed_here("give kedro run again") == "give kedro run again"

    def test_elsewhere_it_is_the_packages(self, anywhere: Path) -> None:
        (anywhere / "pyproject.toml").write_text('[project]\nname = "x"\n[tool]\nkedro = 1\n')
        assert project_folder() == anywhere
        assert here.run_defaults() == {"conf_source": str(package_conf())}
        assert (package_conf() / "base/catalog.yml").is_file()
        assert as_typed_here("kedro run --a; kedro run") == "reid-pipeline run --a; reid-pipeline run"

    def test_a_conf_of_something_else_is_not_read(
        self, anywhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (anywhere / "conf").mkdir()
        for name, value in {"DO_NOT_TRACK": "1", "KEDRO_LOGGING_CONFIG": str(package_conf() / "logging.yml")}.items():
            monkeypatch.setenv(name, value)  # else it would stand there from here on
        for _ in range(2):
            assert here.run_command().name == "run"
        note = "conf/ here has no base/, and is not read: parameters are those of the package."
        assert capsys.readouterr().err.count(note) == 1
        assert here.run_defaults() == {"conf_source": str(package_conf())}
        (anywhere / "pyproject.toml").write_bytes(b"\xff")  # no TOML
        assert project_folder() == anywhere

    def test_of_a_wheel_paths_begin_where_one_is_and_the_commit_there_is_of_something_else(
        self, anywhere: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        inside = anywhere / "site-packages/_conf"
        inside.mkdir(parents=True)
        who = ("-c", "user.name=nobody", "-c", "user.email=nobody@example.org")
        for words in (("init", "--quiet"), (*who, "commit", "--quiet", "--allow-empty", "--message", "theirs")):
            subprocess.run(["git", *words], check=True)
        commits = []
        monkeypatch.setattr(place, "_OF_WHEEL", inside)
        for conf in ("", "conf/base"):
            (anywhere / conf).mkdir(parents=True, exist_ok=True)
            assert package_conf() == inside
            assert project_of(inside) == anywhere
            commits.append(RunEnvironmentDataset().load()["git_commit"])
        assert commits[0] is None
        assert commits[1] is not None, "it has the parameters in force"

    def test_conf_copies_the_parameters_once(self, anywhere: Path) -> None:
        assert typed("conf")[0] == 0
        copied = {file.relative_to(anywhere / "conf") for file in anywhere.rglob("*.yml")}
        ours = {file.relative_to(package_conf()) for file in package_conf().rglob("*.yml")}
        assert copied == {file for file in ours if file.parts[0] != "local"}
        assert here.run_defaults() == {}
        status, output = typed("conf")
        assert status == 1
        assert "There is a conf/ here already" in output

    def test_a_copy_that_was_cut_is_none(self, anywhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def cut(_: Path, target: Path, **__: object) -> None:
            (target / "base").mkdir(parents=True)
            raise KeyboardInterrupt

        monkeypatch.setattr(shutil, "copytree", cut)
        status, output = typed("conf")
        assert status == 130
        assert output.startswith("Interrupted")
        assert list(anywhere.iterdir()) == [], "a part would be read in the place of the whole"


def test_a_fault_of_the_machine_is_one_message(anywhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(folder: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(folder))

    (anywhere / "data").touch()
    assert f"Error: {anywhere}/data is a file, where a folder is to be." in typed("demo")[1]
    (anywhere / "data").unlink()
    monkeypatch.setattr(demo, "write_pictures", refused)
    status, output = typed("demo")
    assert status == 1
    assert f"Error: {anywhere}/data/01_raw/demo: permission denied (this process runs as user" in output


def test_pictures_of_somebody_elses_demo_are_left_alone(anywhere: Path) -> None:
    (anywhere / "data/01_raw/demo/train").mkdir(parents=True)
    status, output = typed("demo")
    assert status == 1
    assert f"{anywhere}/data/01_raw/demo is there, and is not the demo's" in output


def test_the_demo_asks_about_other_pictures_than_it_enrols() -> None:
    from reid_drawings import Picture

    drawn = [
        Picture(f"{subset} {identity} {camera} {frame}".encode(), subset, identity, camera, frame)  # type: ignore[arg-type]
        for identity in range(1, 3 + demo.ENROLLED + demo.STRANGERS)
        for camera in range(3)
        for frame, subset in enumerate(["train"] if identity < 3 else ["query", "gallery"])
    ]
    files = demo.placed(drawn)
    assert len(set(files.values())) == len(files)
    known = [name for name in files if name.startswith("known/")]
    assert len({name.split("/")[1] for name in known}) == demo.ENROLLED
    assert len(known) == 3 * demo.ENROLLED
    asked = {name.split("/")[1]: data.split() for name, data in files.items() if name.startswith("new/")}
    assert len(asked) == demo.ASKED + demo.STRANGERS
    assert all(data[0] == b"query" for data in asked.values())
    assert int(asked["person 02.jpg"][1]) == 4, "identities begin after those of training"
    assert int(asked["stranger 1.jpg"][1]) == 3 + demo.ENROLLED


def test_the_demo_is_runs_that_can_be_typed(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "write_pictures", lambda folder: folder.mkdir(parents=True))
    status, output = typed("demo")
    assert status == 0
    shown = [line for line in output.splitlines() if line.startswith("$ ")]
    assert len(shown) == len(runs) == len(demo.STEPS)
    for line, words in zip(shown, runs, strict=True):
        given = shlex.split(line)[3:]
        assert sorted(given) == sorted(words)
    assert output.splitlines()[-2].startswith(f"page    {demo.PAGE}, after ")


def test_all_short_commands_have_a_help(anywhere: Path) -> None:
    for name in short_commands.SHORT:
        status, output = typed(name, "--help")
        assert status == 0
        assert f"reid-pipeline run --pipeline={name} --params" in " ".join(output.split())
