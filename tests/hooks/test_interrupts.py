"""Signals, sent for real: a run ends in order, with the status of shells, and says from where it goes on."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest
from click.testing import CliRunner
from kedro.framework.cli.project import run as kedro_run
from kedro.framework.hooks.manager import _create_hook_manager, _register_hooks
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Pipeline, node, pipeline
from kedro.runner import SequentialRunner, ThreadRunner

from reid_pipeline.cli import cli
from reid_pipeline.engine.progress import run_ends, track
from reid_pipeline.hooks import interrupts
from reid_pipeline.hooks.interrupts import Standing, orderly_end
from reid_pipeline.io.weights import TrainingStateDataset

pytestmark = pytest.mark.filterwarnings("ignore:One or more dataset names contain")
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    """The handlers are afterwards what they were."""
    before = [signal.getsignal(each) for each in SIGNALS]
    yield
    assert [signal.getsignal(each) for each in SIGNALS] == before
    assert not run_ends.is_set()


def send(number: int) -> None:
    os.kill(os.getpid(), number)
    time.sleep(10)


@pytest.mark.parametrize(
    ("number", "by"), zip(SIGNALS, ("Interrupted.", "Interrupted by SIGTERM.", "Interrupted by SIGHUP."), strict=True)
)
def test_a_signal_ends_the_command_with_the_status_that_shells_expect(
    monkeypatch: pytest.MonkeyPatch, number: int, by: str
) -> None:
    monkeypatch.setattr(kedro_run, "callback", lambda **_: send(number))
    monkeypatch.setattr(interrupts, "settings", SimpleNamespace(HOOKS=(Standing(),)))
    result = CliRunner().invoke(cli, ["run"])
    assert result.output == f"{by} Nothing had begun: give the same command again.\n"
    assert result.exit_code == 128 + number


def test_what_is_ignored_stays_ignored() -> None:
    """As SIGHUP is under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with orderly_end():
        os.kill(os.getpid(), signal.SIGHUP)
        time.sleep(0.01)
    assert signal.signal(signal.SIGHUP, before) is signal.SIG_IGN


def test_other_errors_and_ends_go_through() -> None:
    with pytest.raises(KeyError, match="pid"), orderly_end():
        raise KeyError("pid")
    with orderly_end():
        pass


def test_in_another_thread_the_process_is_left_as_it_is() -> None:
    seen: list[Any] = []

    def work() -> None:
        with orderly_end():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGTERM)]


def test_a_signal_that_a_library_has_caught_ends_the_run_at_its_next_batch() -> None:
    def work() -> None:
        with orderly_end():
            with contextlib.suppress(KeyboardInterrupt):
                send(signal.SIGTERM)
            assert not list(track([1], "batches", total=1, unit="steps"))

    with pytest.raises(click.exceptions.Exit):
        work()


SLOW_END = """
import sys, time
from reid_pipeline.hooks.interrupts import orderly_end
with orderly_end():
    try:
        print("begun", flush=True)
        time.sleep(60)
    finally:
        print("ending", flush=True)
        time.sleep(60)
"""


@pytest.mark.slow
def test_the_second_signal_ends_the_process_at_once() -> None:
    process = subprocess.Popen([sys.executable, "-c", SLOW_END], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for word, number in (("begun\n", signal.SIGTERM), ("ending\n", signal.SIGINT)):
        assert process.stdout.readline() == word
        process.send_signal(number)
    assert process.wait(timeout=5) == -signal.SIGINT
    process.stdout.close()


class Run:
    """A training of three epochs and what follows it, which a signal meets somewhere."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.standing = Standing()
        state = str(root / "state.pt")
        names = ("pcl.state", "pcl.resume_point")
        self.catalog = DataCatalog({name: TrainingStateDataset(filepath=state) for name in names})
        self.catalog["raw"] = MemoryDataset(1)
        self.place = ""
        monkeypatch.setattr(interrupts, "settings", SimpleNamespace(HOOKS=(self.standing,)))

    def nodes(self) -> Pipeline:
        def read(_: int) -> int:
            return self.reach("read")

        def train(_: int, resume_point: Any) -> Iterator[dict[str, int]]:
            for epoch in range(resume_point["epoch"] if resume_point else 0, 3):
                for _ in track(range(1000), "steps", total=1000, unit="steps"):
                    if self.reach(f"epoch {epoch + 1}"):
                        break
                yield {"epoch": epoch + 1, "epochs": 3}

        def extract(_: Any) -> int:
            return self.reach("extract")

        training = [
            node(train, ["table", "resume_point"], "state", name="train"),
            node(extract, "state", "made", name="extract"),
        ]
        return pipeline([node(read, "raw", "table", name="read")]) + pipeline(
            training, namespace="pcl", inputs={"table"}
        )

    def reach(self, place: str) -> int:
        if place == self.place:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.1)
            return 0
        return 1

    def until(self, place: str, runner: Any) -> None:
        self.place = place
        manager = _create_hook_manager()
        _register_hooks(manager, (self.standing,))
        manager.hook.before_pipeline_run(run_params={}, pipeline=self.nodes(), catalog=self.catalog)
        with orderly_end():
            runner().run(self.nodes(), self.catalog, manager)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    return Run(tmp_path, monkeypatch)


WHERE = [
    ("read", " in read. What was finished is stored: the same command does the rest."),
    ("epoch 1", ". No epoch of pcl.train is stored: the same command begins it anew."),
    ("epoch 2", ". Epoch 1 of 3 of pcl.train is stored: the same command goes on after it."),
    ("extract", " in pcl.extract. All 3 epochs of pcl.train are stored: the same command goes on after them."),
]


@pytest.mark.parametrize("runner", [SequentialRunner, ThreadRunner])
@pytest.mark.parametrize(("place", "says"), WHERE)
def test_it_says_where_it_was_and_from_where_it_goes_on(
    run: Run, capsys: pytest.CaptureFixture[str], place: str, says: str, runner: Callable[[], Any]
) -> None:
    began = time.monotonic()
    with pytest.raises(click.exceptions.Exit) as caught:
        run.until(place, runner)
    assert caught.value.exit_code == 143
    assert time.monotonic() - began < 5
    assert capsys.readouterr().err.endswith(f"Interrupted by SIGTERM{says}\n")


def test_the_same_command_goes_on_there(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    for place, says in (
        ("epoch 2", "Epoch 1 of 3 of pcl.train is stored: the same command goes on after it."),
        ("epoch 2", "This run has stored no epoch of pcl.train: the same command begins where this one did."),
        ("epoch 3", "Epoch 2 of 3 of pcl.train is stored: the same command goes on after it."),
    ):
        with pytest.raises(click.exceptions.Exit):
            run.until(place, SequentialRunner)
        assert capsys.readouterr().err == f"Interrupted by SIGTERM. {says}\n"
    run.until("nowhere", SequentialRunner)


def test_a_run_that_failed_says_so_too(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(click.exceptions.Exit):
        run.until("epoch 3", SequentialRunner)
    run.standing.on_pipeline_error()
    assert capsys.readouterr().out.endswith(
        "\nEpoch 2 of 3 of pcl.train is stored: the same command goes on after it.\n\n"
    )


def test_a_run_without_a_training_says_nothing_of_one(capsys: pytest.CaptureFixture[str]) -> None:
    Standing().on_pipeline_error()
    assert capsys.readouterr().out == ""
