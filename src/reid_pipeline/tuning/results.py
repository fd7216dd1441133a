"""The results of a study, as plain JSON values."""

from collections.abc import Mapping
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from reid_pipeline.schema.nested import merged, nested
from reid_pipeline.tuning.study import FACTS, STOPPED, WORKER, StudyPlan, open_study

_MIN_FOR_IMPORTANCE = 4


def study_record(plan: StudyPlan) -> dict[str, Any]:
    """Return all trials, the best one, and the importance of each parameter.

    A trial's `value` is its score after its last epoch, None unless it was trained to the end; `scores` are
    (epoch, score) pairs. `best` is None where no trial was trained to the end; `start` is the trial of the
    parameters as configured, where the space contains them.
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


def best_parameters(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return all of the method's parameters in the best trial as a parameter file; empty where there is none."""
    best = record["best"]
    if best is None:
        return {}
    return {record["method"]: merged(nested(record["facts"]["parameters"]), nested(best["params"]))}


def _trial_record(trial: FrozenTrial) -> dict[str, Any]:
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
