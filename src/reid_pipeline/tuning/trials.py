"""Running trials, in this process or in several: sample values, train epoch by epoch, report, prune."""

import logging
import multiprocessing
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from contextlib import closing, contextmanager, suppress
from typing import Any, NamedTuple

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from reid_drawings.processes import end_with_parent, unseen_ctrl_c
from reid_pipeline.tuning import study as studies
from reid_pipeline.tuning.space import distributions
from reid_pipeline.tuning.storage import answering
from reid_pipeline.tuning.study import StudyPlan

_POLL_SECONDS = 1.0
_PATIENCE_SECONDS = 3.0
_BEAT_SECONDS = 60.0
_BEATS = 5
"""Signs of life within the silence after which a trial counts as dead, at least."""
_log = logging.getLogger(__name__)


class Score(NamedTuple):
    """The score of a trial after an epoch, larger is better; `epochs` is the number of its last epoch."""

    epoch: int
    epochs: int
    value: float


class Unusable(Exception):  # noqa: N818 - describes the values; nothing went wrong in the program
    """The sampled values cannot be trained with: the trial ends there and counts as pruned."""


Objective = Callable[[Mapping[str, Any]], Generator[Score, None, None]]
"""From values by dotted name to the scores of one training; the caller may stop at any epoch."""


def run_trials(plan: StudyPlan, objective: Objective) -> Iterator[FrozenTrial]:
    """Run trials until the study has `plan.trials` finished ones; yield each of this process as it ends.

    Several processes may do so at once, on machines that share the storage; together they finish `plan.trials`. The
    trial of a process that died does not count: another process, which waits for that, runs one in its place.

    Raises:
        UserError: the study was begun with other facts, its storage cannot be opened, or is gone later.
    """
    with answering(plan.storage):
        yield from _trials(_ready_study(plan), plan, objective)


def _trials(study: optuna.Study, plan: StudyPlan, objective: Objective) -> Iterator[FrozenTrial]:
    waits = False
    while len(studies.finished_trials(study)) < plan.trials:
        if len(studies.live_trials(study)) < plan.trials:
            trial = _run_trial(study, plan, objective)
            if trial is not None:
                yield trial
        else:
            if not waits:
                _log.info("The last trials of %s are in other processes: waiting for them to end.", plan.title)
            waits = True
            time.sleep(_POLL_SECONDS)
        _take_up(study, plan)


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
            jobs = {pool.submit(_work, plan, objective, prepare) for _ in range(workers)}
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
    _take_up(study, plan)
    return study


def _take_up(study: optuna.Study, plan: StudyPlan) -> None:
    """Mark trials of dead processes as failed; if that was the one as configured, another one is."""
    studies.fail_dead_trials(study, stale_seconds=plan.stale_seconds)
    studies.begin_as_configured(study, plan)


def _run_trial(study: optuna.Study, plan: StudyPlan, objective: Objective) -> FrozenTrial | None:
    """Run a trial; return None if it does not count: not needed, or taken for dead by another process."""
    trial = study.ask()
    state = TrialState.FAIL  # unless it comes to an end below: an error, Ctrl-C
    value = None
    try:
        with _signs_of_life(trial, min(_BEAT_SECONDS, plan.stale_seconds / _BEATS)):
            if _is_needed(study, plan, trial):
                value = _last_value(trial, objective)
                state = TrialState.PRUNED if value is None else TrialState.COMPLETE
    except Unusable as error:
        trial.set_user_attr(studies.STOPPED, str(error))
        state = TrialState.PRUNED
    except UpdateFinishedTrialError:
        _log.warning(
            "Trial %s of %s was silent for so long, as if this machine had been asleep, that it counts as failed.",
            trial.number,
            plan.title,
        )
    finally:
        study.tell(trial, value, state=state, skip_if_finished=True)
    ended = study.trials[trial.number]
    return ended if ended.state in studies.FINISHED else None


def _is_needed(study: optuna.Study, plan: StudyPlan, trial: optuna.Trial) -> bool:
    """Write whose the trial is, and sample its values; of one that is not needed only the reason is written."""
    trial.set_user_attr(studies.WORKER, studies.process_name())
    if reason := studies.surplus(study, plan, trial.number):
        trial.set_user_attr(studies.STOPPED, reason)
        return False
    position = studies.free_position(study, trial.number)
    trial.set_user_attr(studies.POSITION, position)
    studies.prepare_sampler(study, plan, position=position)
    for name, spread in distributions(plan.space).items():
        _sample(trial, name, spread)
    return True


def _sample(trial: optuna.Trial, name: str, spread: BaseDistribution) -> None:
    if isinstance(spread, FloatDistribution):
        trial.suggest_float(name, spread.low, spread.high, step=spread.step, log=spread.log)
    elif isinstance(spread, IntDistribution):
        trial.suggest_int(name, spread.low, spread.high, step=spread.step, log=spread.log)
    else:
        trial.suggest_categorical(name, getattr(spread, "choices", ()))


@contextmanager
def _signs_of_life(trial: optuna.Trial, seconds: float) -> Iterator[None]:
    """Write that the trial's process lives, every `seconds`: an epoch may last longer than others' patience."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(seconds):
            with suppress(Exception):  # a storage that is gone is the trial's own error, at its next score
                trial.set_user_attr(studies.SEEN, time.time())

    beating = threading.Thread(target=beat, daemon=True)
    beating.start()
    try:
        yield
    finally:
        ended.set()
        beating.join(_PATIENCE_SECONDS)


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


def _work(plan: StudyPlan, objective: Objective, prepare: Callable[[], None] | None) -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the trial is marked as failed
    end_with_parent()  # its trial is then marked as failed
    if prepare is not None:
        prepare()
    return sum(1 for _ in run_trials(plan, objective))
