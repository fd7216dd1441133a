"""Several processes on one study."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait

from optuna.trial import FrozenTrial

from reid_pipeline.tuning.study import StudyPlan, begin_as_configured, fail_dead_trials, finished_trials, open_study
from reid_pipeline.tuning.trials import Objective, run_trials

_POLL_SECONDS = 1.0


def run_in_processes(
    plan: StudyPlan, objective: Objective, *, workers: int, prepare: Callable[[], None] | None = None
) -> Iterator[FrozenTrial]:
    """Run trials in `workers` processes; yield each finished one, by number.

    Args:
        plan: the study. Its storage must serve several processes: a journal file does, a database does.
        objective: what a trial does; it is sent to the processes, so it must be picklable.
        workers: processes.
        prepare: called in each process before its first trial, such as to set its number of threads.

    Raises:
        UserError: what a worker raised; the others end their trials first.
    """
    study = open_study(plan)
    fail_dead_trials(study, stale_seconds=plan.stale_seconds)
    begin_as_configured(study, plan)
    seen = {trial.number for trial in finished_trials(study)}
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=spawn) as pool:
        jobs = {pool.submit(_work, plan, objective, worker, prepare) for worker in range(workers)}
        while jobs:
            done, jobs = wait(jobs, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
            for trial in finished_trials(study):
                if trial.number not in seen:
                    seen.add(trial.number)
                    yield trial
            for job in done:
                job.result()


def _work(plan: StudyPlan, objective: Objective, worker: int, prepare: Callable[[], None] | None) -> int:
    _end_with_parent()
    if prepare is not None:
        prepare()
    return sum(1 for _ in run_trials(plan, objective, worker=worker))


def _end_with_parent() -> None:
    """Let this process end when the one that started it is gone: its trial is then marked as failed."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
