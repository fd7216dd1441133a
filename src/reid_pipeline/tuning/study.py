"""A study in its storage, which is its whole state: opened again, it goes on; and its results as a record."""

import hashlib
import os
import socket
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import optuna
from optuna.pruners import BasePruner, MedianPruner, NopPruner
from optuna.trial import FrozenTrial, TrialState

from reid_pipeline.schema.errors import UserError, first_few
from reid_pipeline.schema.nested import leaves, merged, nested
from reid_pipeline.schema.tuning import PrunerParameters, SamplerParameters, Study, StudyTrial, without_password
from reid_pipeline.tuning.space import Space, distributions
from reid_pipeline.tuning.storage import open_storage

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
FACTS, WORKER, SEEN, STOPPED = "facts", "worker", "seen", "stopped"
CONFIGURED, POSITION = "configured", "position"
_MIN_FOR_IMPORTANCE = 4


@dataclass(frozen=True)
class StudyPlan:
    """The description of a study for its workers; plain values, so that it can be sent to another process.

    Attributes:
        storage: a file, or the URL of a journal or a database.
        method: the one that is tuned, on the images of `benchmark`.
        name: name of the study among this method's.
        facts: what makes its trials comparable, as plain JSON values: parameters, data, seed.
        space: what is searched; `sampler` is how values are sampled, `pruner` when a trial is given up.
        start: values of the first trial, by dotted name: the parameters as configured.
        trials: number of finished trials to reach.
        stale_seconds: silence after which another machine's trial counts as dead.
    """

    storage: str
    benchmark: str
    method: str
    name: str
    facts: Mapping[str, Any]
    space: Space
    start: Mapping[str, Any]
    trials: int
    sampler: SamplerParameters
    pruner: PrunerParameters
    stale_seconds: float = 86_400.0

    @property
    def title(self) -> str:
        """The study's name in its storage, where others may be."""
        return f"{self.benchmark}/{self.method}/{self.name}"


def open_study(plan: StudyPlan) -> optuna.Study:
    """Create the study, or go on with the one of that name.

    Raises:
        UserError: it was begun with other facts or another search space, and names each difference; or its storage
            cannot be opened.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    pruner: BasePruner = NopPruner()
    if plan.pruner.name == "median":
        pruner = MedianPruner(n_startup_trials=plan.pruner.startup_trials, n_warmup_steps=plan.pruner.warmup_epochs)
    study = optuna.create_study(
        storage=open_storage(plan.storage),
        study_name=plan.title,
        direction="maximize",
        pruner=pruner,
        load_if_exists=True,
    )
    facts = {**plan.facts, "space": {name: found.model_dump(mode="json") for name, found in plan.space.items()}}
    if FACTS in study.user_attrs:
        _require_same(plan, study.user_attrs[FACTS], facts)
    else:
        study.set_user_attr(FACTS, facts)
    return study


def fail_dead_trials(study: optuna.Study, *, stale_seconds: float) -> list[int]:
    """Mark trials of dead processes as failed, and return their numbers.

    A process of another machine counts as dead after `stale_seconds` without a sign.
    """
    dead = [trial for trial in study.get_trials(states=(TrialState.RUNNING,)) if _is_dead(trial, stale_seconds)]
    for trial in dead:
        study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
    return [trial.number for trial in dead]


def prepare_sampler(study: optuna.Study, plan: StudyPlan, *, position: int) -> None:
    """Give the study a sampler whose next values depend only on seed, position and the trials so far.

    Hence a study that was killed and opened again samples the same values as one that was never interrupted.
    """
    place = f"{plan.sampler.seed}/0/{position}"
    seed = int.from_bytes(hashlib.sha256(place.encode()).digest()[:4], "big")
    study.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=plan.sampler.startup_trials)


def free_position(study: optuna.Study, number: int) -> int:
    """Return where in the study's sampling a trial stands: the first place that no earlier live trial has.

    No two workers sample from one place, and that of a dead trial is taken up by the next one.
    """
    earlier = [trial for trial in live_trials(study) if trial.number < number]
    taken = {trial.user_attrs[POSITION] for trial in earlier if POSITION in trial.user_attrs}
    for _ in range(sum(POSITION not in trial.user_attrs for trial in earlier)):  # begun elsewhere at this moment
        taken.add(_first_free(taken))
    return _first_free(taken)


def surplus(study: optuna.Study, plan: StudyPlan, number: int) -> str:
    """Return why a trial that has just begun is not needed, since another process was faster; empty if it is."""
    live = live_trials(study)
    earlier = [trial for trial in live if trial.number < number]
    if len(earlier) >= plan.trials:
        return f"the study has its {plan.trials} trials: other processes began them first"
    own = next(trial for trial in live if trial.number == number)
    if CONFIGURED in own.user_attrs and any(CONFIGURED in trial.user_attrs for trial in earlier):
        return "another process has begun the parameters as configured"
    return ""


def live_trials(study: optuna.Study) -> list[FrozenTrial]:
    """Return the trials that are finished or running."""
    return study.get_trials(states=(*FINISHED, TrialState.RUNNING))


def finished_trials(study: optuna.Study) -> list[FrozenTrial]:
    """Return the trials that count: trained to the end, or pruned."""
    return study.get_trials(states=FINISHED)


def begin_as_configured(study: optuna.Study, plan: StudyPlan) -> None:
    """Let the parameters as configured be a study's next trial, unless they were one or the space excludes them."""
    begun = study.get_trials(states=(*FINISHED, TrialState.RUNNING, TrialState.WAITING))
    if any(CONFIGURED in trial.user_attrs or trial.params == dict(plan.start) for trial in begun):
        return
    spread = distributions(plan.space)
    if all(_holds(spread[name], value) for name, value in plan.start.items()):
        study.enqueue_trial(dict(plan.start), user_attrs={CONFIGURED: True})


def describe_trial(study: optuna.Study, trial: FrozenTrial) -> str:
    """Return the outcome of a trial in a line, with the best one so far."""
    value = f"mAP {100 * trial.value:.1f} %" if trial.value is not None else "no score"
    given_up = " when given up" if trial.state == TrialState.PRUNED else ""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    best = max(complete, key=lambda each: each.value or 0.0, default=None)
    best_so_far = f"; best {100 * (best.value or 0.0):.1f} %, trial {best.number}" if best else ""
    values = ", ".join(
        f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}" for name, value in trial.params.items()
    )
    return f"trial {trial.number}, {value}{given_up} ({values}){best_so_far}"


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


def process_name() -> str:
    """Return machine, process and its start: the same for no other process."""
    return f"{socket.gethostname()} {os.getpid()} {_started(os.getpid())}".strip()


def _first_free(taken: Collection[int]) -> int:
    return next(place for place in count() if place not in taken)


def _is_dead(trial: FrozenTrial, stale_seconds: float) -> bool:
    host, _, process = str(trial.user_attrs.get(WORKER, "")).partition(" ")
    if host == socket.gethostname():
        number, _, started = process.partition(" ")
        try:
            os.kill(int(number), 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            pass  # alive, and somebody else's
        return _started(int(number)) != started
    begun = trial.datetime_start.timestamp() if trial.datetime_start else 0.0
    return time.time() - float(trial.user_attrs.get(SEEN, begun)) > stale_seconds


def _started(process: int) -> str:
    """Return when a process started, empty where unknown: process numbers are used again."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[19]
    except OSError:
        return ""


def _holds(spread: optuna.distributions.BaseDistribution, value: Any) -> bool:
    try:
        return bool(spread._contains(spread.to_internal_repr(value)))
    except (TypeError, ValueError):
        return False


def _require_same(plan: StudyPlan, begun: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    old, new = dict(leaves(begun)), dict(leaves(facts))
    differing = [
        f"{name} was {old.get(name)!r} and is {new.get(name)!r}"
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    ]
    if differing:
        raise UserError(
            f"The study {plan.title!r} in {without_password(plan.storage)} was begun otherwise: {first_few(differing)}."
            " Its trials cannot be compared with new ones. Give the values it was begun with, or begin"
            " another study: --params study=<name>"
        )


def _described(trial: FrozenTrial) -> StudyTrial:
    return StudyTrial(
        number=trial.number,
        state=trial.state.name.lower(),
        value=trial.value if trial.state == TrialState.COMPLETE else None,
        params=dict(trial.params),
        scores=tuple(sorted(trial.intermediate_values.items())),
        seconds=None if trial.duration is None else round(trial.duration.total_seconds(), 1),
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
