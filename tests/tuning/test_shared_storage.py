"""A study that two machines share: each trial once, as many as planned, and none lost with a machine."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from kedro.io import DatasetError
from optuna.trial import TrialState
from toy_objective import START, final, plan

from reid_pipeline.config.shared_journal import shared_journal
from reid_pipeline.io.study import StudyFileDataset
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.tuning import TuningParameters, without_password
from reid_pipeline.tuning.storage import open_storage
from reid_pipeline.tuning.study import open_study
from reid_pipeline.tuning.trials import Score, run_trials

TESTS = Path(__file__).parent
# A machine of its own: nobody else sees its processes.
MACHINE = """
import json, socket, sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
name, folder, trials, hangs = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "hangs"
socket.gethostname = lambda: name
from toy_objective import Toy, plan
from reid_pipeline.tuning.trials import run_trials
from reid_pipeline.schema.tuning import SamplerParameters
given = {"storage": f"journal://{folder}/study.journal", "trials": trials, "stale_seconds": 2.0}
shared = plan(folder, **given, sampler=SamplerParameters(startup_trials=20))
(folder / name).touch()
while len(list(folder.glob("machine_?"))) < 2:
    time.sleep(0.001)
toy = Toy(seconds=0.01, sign=folder / "sign") if hangs else Toy(seconds=0.03)
print(json.dumps([trial.number for trial in run_trials(shared, toy)]))
"""


def machine(name: str, folder: Path, *, trials: int, hangs: bool = False) -> "subprocess.Popen[str]":
    program = MACHINE.replace("{tests!r}", repr(str(TESTS)))
    words = [name, str(folder), str(trials), "hangs" if hangs else ""]
    return subprocess.Popen([sys.executable, "-c", program, *words], stdout=subprocess.PIPE, text=True)


def counted(folder: Path) -> list[optuna.trial.FrozenTrial]:
    trials = open_study(plan(folder)).trials
    assert {trial.state for trial in trials} <= {TrialState.COMPLETE, TrialState.FAIL}, "none runs, none waits"
    return [trial for trial in trials if trial.state == TrialState.COMPLETE]


def wait_until(happens: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def numbers(program: "subprocess.Popen[str]") -> list[int]:
    printed, _ = program.communicate(timeout=60)
    assert program.returncode == 0, printed
    found: list[int] = json.loads(printed.splitlines()[-1])
    return found


@pytest.mark.slow
def test_two_machines_run_each_trial_once(tmp_path: Path) -> None:
    first, second = (machine(f"machine_{n}", tmp_path, trials=12) for n in (1, 2))
    found = [numbers(first), numbers(second)]
    trials = counted(tmp_path)
    assert len(trials) == 12, "of the study, not of each"
    assert sorted(found[0] + found[1]) == [trial.number for trial in trials]
    assert all(found)
    assert [trial.params for trial in trials].count(START) == 1
    assert len({trial.params["plan.rate"] for trial in trials}) == 12
    assert sorted(trial.user_attrs["position"] for trial in trials) == list(range(12))
    assert all(trial.value == final(trial.params) for trial in trials)


@pytest.mark.slow
def test_a_killed_machines_trial_is_taken_up(tmp_path: Path) -> None:
    """The second machine hangs in its second trial, and gives signs of life until it is killed."""
    (tmp_path / "machine_1").touch()  # the second begins alone
    second = machine("machine_2", tmp_path, trials=5, hangs=True)
    wait_until((tmp_path / "sign").exists)
    first = machine("machine_1", tmp_path, trials=5)
    study = open_study(plan(tmp_path))
    wait_until(lambda: len(study.get_trials(states=(TrialState.COMPLETE,))) == 4)
    time.sleep(2.5)  # longer than the silence that is death
    hanging = [trial for trial in study.trials if trial.state == TrialState.RUNNING]
    assert len(hanging) == 1, "it gives signs of life, and the first machine waits for it"
    assert first.poll() is None
    second.kill()
    second.communicate()
    numbers(first)
    trials = counted(tmp_path)
    assert len(trials) == 5
    assert open_study(plan(tmp_path)).trials[hanging[0].number].state == TrialState.FAIL
    (again,) = [trial for trial in trials if trial.number > hanging[0].number and trial.params == hanging[0].params]
    assert again.user_attrs["position"] == hanging[0].user_attrs["position"]


def test_a_trial_that_was_taken_for_dead_does_not_count(tmp_path: Path) -> None:
    """A machine that slept through its first trial finds it failed, and runs another."""
    asleep = iter([True])

    def sleeping(values: Any) -> Iterator[Score]:
        yield Score(1, 2, 0.5)
        if next(asleep, False):
            open_study(plan(tmp_path)).tell(0, state=TrialState.FAIL)
        yield Score(2, 2, 0.5)

    ended = list(run_trials(plan(tmp_path, trials=2), sleeping))  # type: ignore[arg-type]
    assert [trial.number for trial in ended] == [1, 2]
    assert [trial.params for trial in ended].count(START) == 1, "as configured, again"
    assert open_study(plan(tmp_path)).trials[0].state == TrialState.FAIL


def tuned(**given: Any) -> TuningParameters:
    return TuningParameters.model_validate({"trials": 2, "sampler": {}, "pruner": {}, "search": {}, **given})


class TestStorage:
    def test_a_journal_is_a_file_with_a_whole_path(self, tmp_path: Path) -> None:
        url = f"journal://{tmp_path}/study.journal"
        assert tuned(storage=url).journal == f"{tmp_path}/study.journal"
        assert shared_journal({"tuning": {"storage": url}}) == f"{tmp_path}/study.journal"
        assert tuned().journal == tuned(storage="postgresql://me@there/x").journal == ""
        assert shared_journal({"tuning": {"storage": "postgresql://me@there/x"}}) is None
        for wrong, said in (
            ("study.journal", "is no URL: journal:// and the whole path"),
            ("journal://", "is no URL"),
            ("journal://study.journal", "needs a whole path, with three strokes: journal:///study.journal"),
        ):
            with pytest.raises(ValueError, match=said):
                tuned(storage=wrong)

    def test_sqlite_is_for_one_worker(self) -> None:
        tuned(storage="sqlite:///study.db")
        with pytest.raises(ValueError, match="loses workers that start together: journal:///<path>"):
            tuned(storage="sqlite:///study.db", workers=2)

    def test_a_disk_that_is_not_there(self, tmp_path: Path) -> None:
        file = tmp_path / "shared" / "study.journal"
        dataset = StudyFileDataset(filepath=str(tmp_path / "own.journal"), shared=str(file))
        with pytest.raises(DatasetError, match=r"no folder .*shared on this machine. Make it, or mount the disk"):
            dataset.load()
        file.parent.mkdir()
        assert dataset.load() == str(file)

    def test_a_database_without_its_driver_or_without_an_answer(self, tmp_path: Path) -> None:
        with pytest.raises(UserError) as caught:
            open_storage("postgresql+pg8000://me:secret@localhost:1/studies")
        assert "postgresql+pg8000://me:***@localhost:1/studies, whose driver is not installed" in str(caught.value)
        with pytest.raises(UserError, match=r"cannot be opened: .*unable to open database file"):
            open_storage(f"sqlite:///{tmp_path}/none/study.db")
        with pytest.raises(UserError, match="cannot be opened"):
            open_storage("nonsense://x")
        assert without_password("mysql://me@there/x") == "mysql://me@there/x"

    @pytest.mark.parametrize(
        ("url", "shown"),
        [
            ("mysql://me:a@b/c@there/x", "mysql://me:***@there/x"),
            ("mysql://there:1/x?user=me&password=a&charset=b", "mysql://there:1/x?user=me&password=***&charset=b"),
            ("mysql:/me:a@there/x", "there/x"),
        ],
    )
    def test_no_form_of_a_password_is_shown(self, url: str, shown: str) -> None:
        assert without_password(url) == shown

    def test_what_is_no_url_may_have_a_password(self) -> None:
        with pytest.raises(ValueError, match=r"storage 'there/x' is no URL"):
            tuned(storage="postgresql:/me:secret@there/x")

    def test_a_database_that_goes_in_a_trial_is_said(self, tmp_path: Path) -> None:
        file = tmp_path / "study.db"
        shared = plan(tmp_path, storage=f"sqlite:///{file}", trials=3)

        def removing(values: Any) -> Iterator[Score]:
            yield Score(1, 2, 0.5)
            file.unlink()
            yield Score(2, 2, 0.5)

        with pytest.raises(UserError, match=r"study.db, which does not answer any more: .*readonly database\. Trials"):
            list(run_trials(shared, removing))  # type: ignore[arg-type]
