"""The results of a study."""

from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from reid_pipeline.schema.nested import merged, nested
from reid_pipeline.schema.tuning import Study, StudyTrial
from reid_pipeline.tuning.study import FACTS, STOPPED, WORKER, StudyPlan, open_study

_MIN_FOR_IMPORTANCE = 4


def study_record(plan: StudyPlan) -> dict[str, Any]:
    """Return a study as `schema.tuning.Study` describes it, in plain JSON values; `space` with all of each range."""
    study = open_study(plan)
    trials = [_described(trial) for trial in study.get_trials()]
    complete = [trial for trial in trials if trial.state == "complete"]
    best = max(complete, key=lambda trial: (trial.value or 0.0, -trial.number), default=None)
    start = next((trial for trial in complete if trial.params == dict(plan.start)), None)
    facts = dict(study.user_attrs[FACTS])
    return {
        "benchmark": plan.benchmark,
        "method": plan.method,
        "name": plan.name,
        "wanted": plan.trials,
        "space": facts.pop("space"),
        "facts": facts,
        "start_values": dict(plan.start),
        "trials": [trial.content() for trial in trials],
        "best": best and best.content(),
        "start": start and start.content(),
        "importances": _importances(study),
    }


def best_parameters(study: Study) -> dict[str, Any]:
    """Return all of the method's parameters in the best trial as a parameter file; empty where there is none."""
    if study.best is None:
        return {}
    return {study.method: merged(nested(study.facts["parameters"]), nested(study.best.params))}


def _described(trial: FrozenTrial) -> StudyTrial:
    return StudyTrial(
        number=trial.number,
        state=trial.state.name.lower(),
        value=trial.value if trial.state == TrialState.COMPLETE else None,
        params=dict(trial.params),
        scores=tuple(sorted(trial.intermediate_values.items())),
        seconds=trial.duration and round(trial.duration.total_seconds(), 1),
        worker=trial.user_attrs.get(WORKER),
        stopped=trial.user_attrs.get(STOPPED),
    )


def _importances(study: optuna.Study) -> dict[str, float]:
    """Return shares of the score's variance (fANOVA, Hutter et al., ICML 2014); empty for too few trials."""
    values = [trial.value for trial in study.get_trials(states=(TrialState.COMPLETE,))]
    if len(values) < _MIN_FOR_IMPORTANCE or len(set(values)) == 1:
        return {}
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {name: float(share) for name, share in found.items()}
