"""Running trials: draw, train epoch by epoch, report, give up, tell."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from typing import Any, NamedTuple

import optuna
from optuna.trial import FrozenTrial, TrialState

from reid_pipeline.tuning.space import distributions
from reid_pipeline.tuning.study import (
    SEEN,
    STOPPED,
    WORKER,
    StudyPlan,
    begin_as_configured,
    fail_dead_trials,
    live_trials,
    open_study,
    prepare_sampler,
    process_name,
)


class Score(NamedTuple):
    """How good a trial is after an epoch: larger is better; `epochs` is its last one."""

    epoch: int
    epochs: int
    value: float


class Unusable(Exception):  # noqa: N818 - says what the values are, not what went wrong in the program
    """The drawn values cannot be trained with: the trial ends there and counts as given up."""


Objective = Callable[[Mapping[str, Any]], Iterator[Score]]
"""Values by dotted name to the scores of one training; whoever consumes it may stop at any epoch."""


def run_trials(plan: StudyPlan, objective: Objective, *, worker: int = 0) -> Iterator[FrozenTrial]:
    """Run trials until the study has as many finished ones as are wanted; yield each as it ends.

    Several processes may do so at once; together they finish `plan.trials`, and at most one more for each
    further process where two begin within milliseconds. A trial that a dead process left is marked as failed
    first and does not count.

    Raises:
        UserError: the study was begun with other facts.
    """
    study = open_study(plan)
    fail_dead_trials(study, stale_seconds=plan.stale_seconds)
    begin_as_configured(study, plan)
    while len(live_trials(study)) < plan.trials:
        prepare_sampler(study, plan, worker=worker)
        yield _run_trial(study, plan, objective)


def _run_trial(study: optuna.Study, plan: StudyPlan, objective: Objective) -> FrozenTrial:
    trial = study.ask(distributions(plan.space))
    trial.set_user_attr(WORKER, process_name())
    state = TrialState.FAIL  # unless it comes to an end below: an error, Ctrl-C
    value = None
    try:
        value = _last_value(trial, objective)
        state = TrialState.PRUNED if value is None else TrialState.COMPLETE
    except Unusable as error:
        trial.set_user_attr(STOPPED, str(error))
        state = TrialState.PRUNED
    finally:
        study.tell(trial, value, state=state)
    return study.trials[trial.number]


def _last_value(trial: optuna.Trial, objective: Objective) -> float | None:
    """Train, and return the last epoch's score; None if the trial was given up before."""
    value = None
    with closing(objective(trial.params)) as scores:  # type: ignore[type-var] # a generator, which closes
        for score in scores:
            trial.report(score.value, score.epoch)
            trial.set_user_attr(SEEN, time.time())
            if score.epoch < score.epochs and trial.should_prune():
                return None
            value = score.value
    return value
