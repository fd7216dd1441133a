"""Running trials, in this process or in several: sample values, train epoch by epoch, report, prune."""

import multiprocessing
import signal
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from contextlib import closing, contextmanager
from typing import Any, NamedTuple

import optuna
from optuna.trial import FrozenTrial, TrialState

from reid_drawings.processes import end_with_parent, unseen_ctrl_c
from reid_pipeline.tuning import study as studies
from reid_pipeline.tuning.space import distributions
from reid_pipeline.tuning.study import StudyPlan

_POLL_SECONDS = 1.0
_PATIENCE_SECONDS = 3.0


class Score(NamedTuple):
    """The score of a trial after an epoch, larger is better; `epochs` is the number of its last epoch."""

    epoch: int
    epochs: int
    value: float


class Unusable(Exception):  # noqa: N818 - describes the values; nothing went wrong in the program
    """The sampled values cannot be trained with: the trial ends there and counts as pruned."""


Objective = Callable[[Mapping[str, Any]], Generator[Score, None, None]]
"""From values by dotted name to the scores of one training; the caller may stop at any epoch."""


def run_trials(plan: StudyPlan, objective: Objective, *, worker: int = 0) -> Iterator[FrozenTrial]:
    """Run trials until the study has as many finished ones as planned; yield each as it ends.

    Several processes may do so at once; together they finish `plan.trials`, and at most one more for each
    further process where two begin within milliseconds. A trial of a dead process does not count.

    Raises:
        UserError: the study was begun with other facts.
    """
    study = _ready_study(plan)
    while len(studies.live_trials(study)) < plan.trials:
        studies.prepare_sampler(study, plan, worker=worker)
        yield _run_trial(study, plan, objective)


def run_in_processes(
    plan: StudyPlan, objective: Objective, *, workers: int, prepare: Callable[[], None] | None = None
) -> Iterator[FrozenTrial]:
    """Run trials in `workers` processes, to which the objective is pickled; yield each finished one, by number.

    Each process calls `prepare` before its first trial. An error of a worker is raised when the others have ended
    their trials.
    """
    study = _ready_study(plan)
    seen = {trial.number for trial in studies.finished_trials(study)}
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=spawn) as pool, _ended_at_an_interruption(pool):
        with unseen_ctrl_c():
            jobs = {pool.submit(_work, plan, objective, worker, prepare) for worker in range(workers)}
        while jobs:
            done, jobs = wait(jobs, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
            for trial in studies.finished_trials(study):
                if trial.number not in seen:
                    seen.add(trial.number)
                    yield trial
            for job in done:
                job.result()


def _ready_study(plan: StudyPlan) -> optuna.Study:
    study = studies.open_study(plan)
    studies.fail_dead_trials(study, stale_seconds=plan.stale_seconds)
    studies.begin_as_configured(study, plan)
    return study


def _run_trial(study: optuna.Study, plan: StudyPlan, objective: Objective) -> FrozenTrial:
    trial = study.ask(distributions(plan.space))
    state = TrialState.FAIL  # unless it comes to an end below: an error, Ctrl-C
    value = None
    try:
        trial.set_user_attr(studies.WORKER, studies.process_name())
        value = _last_value(trial, objective)
        state = TrialState.PRUNED if value is None else TrialState.COMPLETE
    except Unusable as error:
        trial.set_user_attr(studies.STOPPED, str(error))
        state = TrialState.PRUNED
    finally:
        study.tell(trial, value, state=state)
    return study.trials[trial.number]


def _last_value(trial: optuna.Trial, objective: Objective) -> float | None:
    """Train, and return the last epoch's score; None if the trial was pruned before."""
    value = None
    with closing(objective(trial.params)) as scores:
        for score in scores:
            trial.report(score.value, score.epoch)
            trial.set_user_attr(studies.SEEN, time.time())
            if score.epoch < score.epochs and trial.should_prune():
                return None
            value = score.value
    return value


@contextmanager
def _ended_at_an_interruption(pool: ProcessPoolExecutor) -> Iterator[None]:
    """Interrupt the trials of this process's workers where the block is interrupted; else they would be waited for."""
    try:
        yield
    except (KeyboardInterrupt, GeneratorExit):
        workers = multiprocessing.active_children()
        for worker in workers:
            worker.terminate()
        pool.shutdown(wait=False, cancel_futures=True)
        # A worker may be where an interruption is swallowed, or too early for it: its trial counts as failed later.
        deadline = time.monotonic() + _PATIENCE_SECONDS
        for worker in workers:
            worker.join(max(deadline - time.monotonic(), 0))
            worker.kill()
        raise


def _work(plan: StudyPlan, objective: Objective, worker: int, prepare: Callable[[], None] | None) -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the trial is marked as failed
    end_with_parent()  # its trial is then marked as failed
    if prepare is not None:
        prepare()
    return sum(1 for _ in run_trials(plan, objective, worker=worker))
