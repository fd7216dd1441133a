"""Trials of a study: drawn, scored, given up, counted; killed and gone on with; several processes at once."""

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState
from toy_objective import START, Toy, final, plan

from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.tuning import PrunerParameters, Study
from reid_pipeline.tuning.study import (
    best_parameters,
    describe_trial,
    fail_dead_trials,
    open_study,
    process_name,
    study_record,
)
from reid_pipeline.tuning.trials import Score, Unusable, run_in_processes, run_trials

pytestmark = pytest.mark.slow


def told(study: optuna.Study) -> list[tuple[Any, ...]]:
    """Values, scores and state of every trial that counts, in order."""
    return [
        (trial.params, trial.intermediate_values, trial.state)
        for trial in study.trials
        if trial.state != TrialState.FAIL
    ]


def test_trials_are_run_until_there_are_enough(tmp_path: Path) -> None:
    ended = list(run_trials(plan(tmp_path), Toy()))
    assert [trial.number for trial in ended] == list(range(6))
    for trial in ended:
        assert trial.state == TrialState.COMPLETE
        assert trial.value == final(trial.params)
        assert trial.intermediate_values == {n: final(trial.params) * n / 4 for n in (1, 2, 3, 4)}
        assert 0.1 <= trial.params["plan.rate"] <= 10
        assert trial.params["cluster.k"] in (2, 4, 6, 8, 10)
        assert trial.params["fill"] in ("mean", "noise")
    assert len({trial.params["plan.rate"] for trial in ended}) == 6
    assert list(run_trials(plan(tmp_path), Toy())) == []
    assert [trial.number for trial in run_trials(plan(tmp_path, trials=8), Toy())] == [6, 7]


def test_the_first_trial_is_as_configured(tmp_path: Path) -> None:
    first, second = run_trials(plan(tmp_path, trials=2), Toy())
    assert first.params == START
    assert second.params != START
    outside = plan(tmp_path / "other", trials=1, start={**START, "cluster.k": 5})
    (tmp_path / "other").mkdir()
    (only,) = run_trials(outside, Toy())
    assert only.params["cluster.k"] != 5


def test_a_trial_below_the_median_is_given_up(tmp_path: Path) -> None:
    """The objective scores trials 0.9, 0.8, ..., and writes down how far each was trained."""
    trained: list[int] = []
    values = itertools.count(9, -1)

    def falling(_: object):
        level = next(values) / 10
        trained.append(0)
        for epoch in range(1, 5):
            trained[-1] = epoch
            yield Score(epoch, 4, level)

    pruner = PrunerParameters(name="median", startup_trials=2, warmup_epochs=2)
    ended = list(run_trials(plan(tmp_path, trials=4, pruner=pruner), falling))
    # The third is below the median of two from the first epoch on, and always gets two.
    assert trained == [4, 4, 2, 2]
    assert [trial.state.name for trial in ended] == ["COMPLETE", "COMPLETE", "PRUNED", "PRUNED"]
    assert [len(trial.intermediate_values) for trial in ended] == trained


def test_a_trial_at_its_last_epoch_is_not_given_up(tmp_path: Path) -> None:
    values = itertools.count(9, -1)

    def falling(_: object):
        yield Score(1, 1, next(values) / 10)

    pruner = PrunerParameters(name="median", startup_trials=1, warmup_epochs=0)
    ended = list(run_trials(plan(tmp_path, trials=3, pruner=pruner), falling))
    assert [trial.value for trial in ended] == [0.9, 0.8, 0.7]


def test_values_that_cannot_be_trained_with_count_and_say_why(tmp_path: Path) -> None:
    def collapsing(values: Any):
        if values["fill"] == "noise":
            raise Unusable("one cluster")
        yield Score(1, 1, 0.5)

    ended = list(run_trials(plan(tmp_path), collapsing))
    assert len(ended) == 6
    record = study_record(plan(tmp_path))
    stopped = [trial for trial in record["trials"] if trial["params"]["fill"] == "noise"]
    assert stopped
    assert {(trial["state"], trial["value"], trial["stopped"]) for trial in stopped} == {
        ("pruned", None, "one cluster")
    }
    assert record["best"]["params"]["fill"] == "mean"


def test_an_error_of_the_program_ends_the_study_and_does_not_count(tmp_path: Path) -> None:
    def broken(_: object):
        yield Score(1, 2, 0.5)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(run_trials(plan(tmp_path, trials=2), broken))
    assert [trial.number for trial in run_trials(plan(tmp_path, trials=2), Toy())] == [1, 2]


def test_a_killed_study_goes_on_as_an_unbroken_one(tmp_path: Path) -> None:
    """The process is killed in its second trial, in the middle of an epoch; nothing of it is cleaned up."""
    (tmp_path / "killed").mkdir()
    (tmp_path / "unbroken").mkdir()
    sign = tmp_path / "second trial"
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from pathlib import Path\nfrom toy_objective import Toy, plan\n"
        "from reid_pipeline.tuning.trials import run_trials\n"
        f"list(run_trials(plan(Path({str(tmp_path / 'killed')!r})), Toy(sign=Path({str(sign)!r}))))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], env={**os.environ})
    deadline = time.monotonic() + 60
    while not sign.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    study = open_study(plan(tmp_path / "killed"))
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "RUNNING"]
    ended = list(run_trials(plan(tmp_path / "killed"), Toy()))
    assert [trial.number for trial in ended] == [2, 3, 4, 5, 6]
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "FAIL", *["COMPLETE"] * 5]
    list(run_trials(plan(tmp_path / "unbroken"), Toy()))
    assert told(study) == told(open_study(plan(tmp_path / "unbroken")))


INTERRUPTED = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import click
from toy_objective import Toy, plan
from reid_pipeline.hooks.interrupts import orderly_end
from reid_pipeline.tuning.trials import run_in_processes
@click.command()
@orderly_end()
def run():
    list(run_in_processes(plan(Path({folder!r}), trials=6), Toy(sign=Path({sign!r})), workers=2))
if __name__ == "__main__":
    run()
"""


def left_of_group(group: int) -> list[str]:
    """Processes of a group that run; others have ended, and wait to be collected."""
    found = subprocess.run(["ps", "-A", "-o", "pgid=,state=,args="], capture_output=True, text=True, check=True).stdout
    return [line for line in found.splitlines() if line.split()[0] == str(group) and line.split()[1] != "Z"]


@pytest.mark.parametrize(("number", "to_group"), [(signal.SIGINT, True), (signal.SIGTERM, False)])
def test_an_interrupted_study_ends_with_its_workers(tmp_path: Path, number: int, to_group: bool) -> None:
    """Ctrl-C in a terminal reaches all processes, and a batch system's SIGTERM the first; both workers hang."""
    sign, program = tmp_path / "sign", tmp_path / "program.py"
    program.write_text(INTERRUPTED.format(tests=str(Path(__file__).parent), folder=str(tmp_path), sign=str(sign)))
    process = subprocess.Popen(
        [sys.executable, str(program)], start_new_session=True, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while not sign.exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    (os.killpg if to_group else os.kill)(process.pid, number)
    _, printed = process.communicate(timeout=10)
    assert process.returncode == 128 + number
    assert printed.splitlines()[-1].startswith("Interrupted")
    assert "Traceback" not in printed
    deadline = time.monotonic() + 5
    while left_of_group(process.pid):  # multiprocessing's tracker ends after the rest
        assert time.monotonic() < deadline
        time.sleep(0.01)
    study = open_study(plan(tmp_path))
    fail_dead_trials(study, stale_seconds=0)  # as the next start does; one was about to begin, it may be, unnamed
    assert {trial.state for trial in study.trials} <= {TrialState.COMPLETE, TrialState.FAIL}
    assert TrialState.FAIL in {trial.state for trial in study.trials}


def test_who_is_dead(tmp_path: Path) -> None:
    study = open_study(plan(tmp_path))
    host, number, started = process_name().split(" ")
    parent = f"{host} {os.getppid()}"
    workers = {
        "this process": process_name(),
        "another one that took its number": f"{host} {number} {int(started) + 1}",
        "no such process": f"{host} {2**22 + 5} 1",
        "another start of the parent": f"{parent} 1",
        "another machine, heard of just now": "elsewhere 7 7",
        "another machine, long silent": "elsewhere 8 8",
    }
    for place, (name, worker) in enumerate(workers.items()):
        trial = study.ask()
        trial.set_user_attr("worker", worker)
        assert trial.number == place
        if name.startswith("another machine"):
            age = 7300 if name.endswith("silent") else 7100
            trial.set_user_attr("seen", (datetime.now() - timedelta(seconds=age)).timestamp())
    assert fail_dead_trials(study, stale_seconds=7200) == [1, 2, 3, 5]
    states = [trial.state.name for trial in study.trials]
    assert states == ["RUNNING", "FAIL", "FAIL", "FAIL", "RUNNING", "FAIL"]


def test_two_processes_lose_nothing(tmp_path: Path) -> None:
    wanted = plan(tmp_path, trials=16)
    seen = list(run_in_processes(wanted, Toy(seconds=0.01), workers=2))
    study = open_study(wanted)
    finished = [trial for trial in study.trials if trial.state == TrialState.COMPLETE]
    assert len(finished) == 16
    assert sorted(trial.number for trial in seen) == [trial.number for trial in finished]
    begun_too_late = [trial for trial in study.trials if trial.state == TrialState.FAIL]
    assert all("other processes began them" in trial.user_attrs["stopped"] for trial in begun_too_late)
    assert len(study.trials) == 16 + len(begun_too_late)
    for trial in finished:
        assert trial.value == final(trial.params)
        assert sorted(trial.intermediate_values) == [1, 2, 3, 4]
    assert len({trial.user_attrs["worker"] for trial in finished}) == 2
    assert [trial.params for trial in finished].count(START) == 1
    assert len({trial.params["plan.rate"] for trial in finished}) == len(finished)


def refuse(_: object) -> Generator[Score, None, None]:
    raise UserError("no such image")


def test_what_a_worker_raises_is_raised(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such image"):
        list(run_in_processes(plan(tmp_path), refuse, workers=1))


def test_a_study_refuses_other_facts_and_ranges(tmp_path: Path) -> None:
    list(run_trials(plan(tmp_path, trials=1), Toy()))
    with pytest.raises(UserError) as caught:
        open_study(plan(tmp_path, facts={"data": "abd", "parameters": {"plan.epochs": 5}}))
    assert "data was 'abc' and is 'abd', parameters.plan.epochs was 4 and is 5" in str(caught.value)
    assert "--params study=<name>" in str(caught.value)
    narrower = {name: found for name, found in plan(tmp_path).space.items() if name != "fill"}
    with pytest.raises(UserError, match=r"space.fill.choices was \['mean', 'noise'\] and is None"):
        open_study(plan(tmp_path, space=narrower))
    list(run_trials(plan(tmp_path, name="second", space=narrower, start={}, trials=1), fixed))
    assert len(open_study(plan(tmp_path)).trials) == 1


def fixed(_: object):
    yield Score(1, 1, 0.25)


def test_a_database_by_url(tmp_path: Path) -> None:
    database = plan(tmp_path, storage=f"sqlite:///{tmp_path / 'study.db'}", trials=2)
    list(run_trials(database, Toy()))
    assert [trial["state"] for trial in study_record(database)["trials"]] == ["complete"] * 2


def test_the_record_and_the_best_values(tmp_path: Path) -> None:
    list(run_trials(plan(tmp_path, trials=12), Toy()))
    record = study_record(plan(tmp_path, trials=12))
    values = [trial["value"] for trial in record["trials"]]
    assert record["best"]["value"] == max(values)
    assert record["start"]["number"] == 0
    assert (record["benchmark"], record["method"], record["name"]) == ("toy", "parabola", "main")
    assert record["facts"] == {"data": "abc", "parameters": {"plan.epochs": 4}}
    found = record["best"]["params"]
    assert best_parameters(Study.model_validate(record)) == {
        "parabola": {
            "plan": {"rate": found["plan.rate"], "epochs": 4},
            "cluster": {"k": found["cluster.k"]},
            "fill": found["fill"],
        }
    }
    assert set(record["importances"]) == set(START)
    assert sum(record["importances"].values()) == pytest.approx(1)
    assert all(share >= 0 for share in record["importances"].values())


def test_nothing_found(tmp_path: Path) -> None:
    def never(_: object):
        raise Unusable("nothing works")
        yield

    list(run_trials(plan(tmp_path, trials=2), never))
    record = study_record(plan(tmp_path, trials=2))
    assert (record["best"], record["start"], record["importances"]) == (None, None, {})
    assert best_parameters(Study.model_validate(record)) == {}


def test_a_trial_in_words(tmp_path: Path) -> None:
    first, second = run_trials(plan(tmp_path, trials=2, start={**START, "plan.rate": 2.0}), Toy())
    study = open_study(plan(tmp_path))
    assert describe_trial(study, first).startswith("trial 0, mAP 86.0 % (plan.rate=2, cluster.k=4, fill=mean); best ")
    assert f"trial 1, mAP {100 * second.value:.1f} %" in describe_trial(study, second)
