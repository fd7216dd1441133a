"""What the checks before a run say of conf/, of a session in Python, and of a machine that is too small."""

import multiprocessing
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from kedro.io import DatasetError
from project_copy import ROOT

from reid_pipeline.cli.parameters import given_parameters
from reid_pipeline.config.loader import LayeredConfigLoader
from reid_pipeline.hooks.preflight import Preflight
from reid_pipeline.hooks.session_checks import CatalogEntries, SessionChecks
from reid_pipeline.schema.errors import UserError
from reid_pipeline.settings import CONFIG_LOADER_ARGS


@pytest.fixture
def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project's conf/, to be broken."""
    monkeypatch.chdir(tmp_path)
    for name in ("base", "synthetic"):
        shutil.copytree(ROOT / "conf" / name, tmp_path / "conf" / name)
    return tmp_path / "conf"


def refused(**given: object) -> str:
    loader = LayeredConfigLoader("conf", "synthetic", given, **CONFIG_LOADER_ARGS)
    with pytest.raises(UserError) as caught:
        Preflight().after_context_created(SimpleNamespace(config_loader=loader))
    return str(caught.value)


def line_of(file: Path, word: str) -> int:
    return next(number for number, line in enumerate(file.read_text().splitlines(), 1) if word in line)


@pytest.mark.parametrize(
    ("name", "old", "new", "says"),
    [
        ("base/parameters.yml", "dev_seed: 0", "dev_sed: 0", "Parameter splits: unknown parameter 'dev_sed'."),
        ("base/parameters.yml", "device: auto", "device: gpu", "Parameter compute.device: "),
        ("base/parameters_pcl.yml", "epochs: 60", "epochs: -1", "Parameter pcl.plan.epochs: "),
    ],
)
def test_a_wrong_value_has_its_file_and_line(conf: Path, name: str, old: str, new: str, says: str) -> None:
    file = conf / name
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))
    for other in ("parameters.yml", "parameters_pcl.yml"):  # of the environment, which would win
        if name.endswith("_pcl.yml"):
            (conf / "synthetic" / other).write_text("ingestion: {reader: synthetic}\n" if other[10] == "." else "{}\n")
    (line,) = [line for line in refused().splitlines() if line.startswith(says)]
    assert line.endswith(f"(conf/{name}, line {line_of(file, new)})")


@pytest.mark.parametrize(
    ("given", "answer"),
    [
        (
            "unsupervised_pcl.plan.epochs=0",
            r"Parameter unsupervised_pcl\.plan\.epochs: .*greater than or equal to 1; given 0",
        ),
        ("unsupervised_pcl.memory.update=hrad", r"memory\.update: .*'hard' or 'mean'; given 'hrad'"),
        ("unsupervised_pcl.plan.batch_size=30", r"batch_size 30 must be a multiple .* of instances \d+"),
        ("sede=1", r"unknown parameter 'sede'\. Did you mean 'seed'\? Allowed here: .*compute"),
        ("seed=one", r"Parameter seed: .*valid integer.*given 'one'"),
        ("compute.device=gpu", r"Parameter compute\.device: .*given 'gpu'"),
    ],
)
def test_a_wrong_parameter_of_the_command_line(conf: Path, given: str, answer: str) -> None:
    assert re.search(answer, refused(**given_parameters(given, ["seed", "compute", "unsupervised_pcl"])))


def test_a_value_of_the_command_line_has_no_file(conf: Path) -> None:
    assert "conf/" not in refused(compute={"device": "gpu"})


def test_a_misspelt_name_in_globals(conf: Path) -> None:
    (conf / "synthetic/globals.yml").write_text("# mine\nbenchmrk: synthetic\nown: 3\n")
    with pytest.raises(UserError, match=r"^conf/synthetic/globals.yml, line 2: benchmrk is read by nothing"):
        LayeredConfigLoader("conf", "synthetic", {}, **CONFIG_LOADER_ARGS)


def test_names_of_ones_own_in_globals_are_read(conf: Path) -> None:
    (conf / "synthetic/globals.yml").write_text(yaml.safe_dump({"benchmark": "synthetic", "own": 3}))
    assert LayeredConfigLoader("conf", "synthetic", {}, **CONFIG_LOADER_ARGS)["globals"]["own"] == 3


def test_a_session_with_parallel_runner() -> None:
    with pytest.raises(UserError, match=r"ParallelRunner hands nodes to other processes.*ThreadRunner"):
        SessionChecks().before_pipeline_run({"runner": "kedro.runner.ParallelRunner"})
    SessionChecks().before_pipeline_run({"runner": "SequentialRunner"})


def test_a_script_that_begins_itself_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multiprocessing.current_process(), "_inheriting", True, raising=False)
    with pytest.raises(UserError, match="if __name__ == "):
        SessionChecks().before_pipeline_run({})


@pytest.mark.parametrize(
    "cause",
    [
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
        ModuleNotFoundError("No module named 'torch'"),
        MemoryError(),
    ],
)
def test_a_right_entry_is_not_blamed_for_the_machine(cause: Exception) -> None:
    def get(name: str) -> None:
        raise DatasetError("cannot be made") from cause

    catalog = SimpleNamespace(get=get)
    with pytest.raises(DatasetError):
        CatalogEntries().before_pipeline_run(SimpleNamespace(datasets=lambda: {"image_cache"}), catalog)
