"""What a study found, as plain records."""

from collections.abc import Mapping
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from reid_pipeline.schema.nested import merged, nested
from reid_pipeline.tuning.study import FACTS, STOPPED, WORKER, StudyPlan, open_study

Record = dict[str, Any]

_MIN_FOR_IMPORTANCE = 4


def study_record(plan: StudyPlan) -> Record:
    """Return all trials, the best one and how much each parameter mattered: plain JSON values.

    A trial's `value` is its score after its last epoch, None unless it got there; `scores` are (epoch, score)
    pairs. `best` is None where no trial was trained to the end; `start` is the trial of the parameters as
    configured, where the space holds them.
    """
    study = open_study(plan)
    trials = [_trial_record(trial) for trial in study.get_trials()]
    complete = [trial for trial in trials if trial["state"] == "complete"]
    best = max(complete, key=lambda trial: (trial["value"], -trial["number"]), default=None)
    start = next((trial for trial in complete if trial["params"] == dict(plan.start)), None)
    return {
        "benchmark": plan.benchmark,
        "method": plan.method,
        "name": plan.name,
        "wanted": plan.trials,
        "space": study.user_attrs[FACTS]["space"],
        "facts": {name: value for name, value in study.user_attrs[FACTS].items() if name != "space"},
        "start_values": dict(plan.start),
        "trials": trials,
        "best": best,
        "start": start,
        "importances": _importances(study),
    }


def best_parameters(record: Mapping[str, Any]) -> Record:
    """Return the parameters of the best trial as a parameter file; empty where there is none.

    These are all of the method's: what was searched, and what was in force beside it.
    """
    best = record["best"]
    if best is None:
        return {}
    return {record["method"]: merged(nested(record["facts"]["parameters"]), nested(best["params"]))}


def _trial_record(trial: FrozenTrial) -> Record:
    duration = trial.duration
    return {
        "number": trial.number,
        "state": trial.state.name.lower(),
        "value": trial.value if trial.state == TrialState.COMPLETE else None,
        "params": dict(trial.params),
        "scores": [[epoch, score] for epoch, score in sorted(trial.intermediate_values.items())],
        "seconds": None if duration is None else round(duration.total_seconds(), 1),
        "worker": trial.user_attrs.get(WORKER),
        "stopped": trial.user_attrs.get(STOPPED),
    }


def _importances(study: optuna.Study) -> dict[str, float]:
    """Return shares of the score's variance (fANOVA, Hutter et al., ICML 2014); empty for too few trials."""
    values = [trial.value for trial in study.get_trials(states=(TrialState.COMPLETE,))]
    if len(values) < _MIN_FOR_IMPORTANCE or len(set(values)) == 1:
        return {}
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {name: float(share) for name, share in found.items()}
