"""Which runs may be averaged over their seeds, what sets the others apart, and their means for `dvc`."""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from reid_pipeline.reporting.formats import METRICS, run_name
from reid_pipeline.schema.comparison import RunsNamed, Spread
from reid_pipeline.schema.figures import Figures
from reid_pipeline.schema.nested import leaves
from reid_pipeline.schema.origin import LabelUse
from reid_pipeline.schema.records import Metrics, Run, RunCard

TEST_SET = "800"  # that is shown of a benchmark with several: VehicleID's small one
_STARTING = ("launcher", "stall_seconds")
_NONE = "ingestion."
"""Parameters of which null says what their absence says, in a run card from before there were all of them."""
_PROTOCOL = ("splits", "camera_filter", "repeats", "test_set")
_SHORT_HASH = 8
_IMPORTED = "imported: trained by its authors, not here"


@dataclass(frozen=True)
class RunGroup:
    """Runs of one method and variant that differ in nothing but their seeds.

    Attributes:
        variant: empty for the parameters of conf/.
        facts: data, protocol and every parameter but the seed, by dotted name, each value as JSON.
        runs: by seed; metrics are of one test set.
        apart: what sets them apart from the other groups, as "plan.epochs 12"; empty where nothing does.
    """

    method: str
    variant: str
    facts: Mapping[str, str]
    runs: Sequence[Run]
    apart: tuple[str, ...] = ()

    @property
    def metrics(self) -> Metrics:
        """The metrics of the first seed; the protocol in them is that of all seeds."""
        return self.runs[0].metrics

    @property
    def label_use(self) -> LabelUse | None:
        """Whose identity labels were used; None where no run noted it."""
        return next(filter(None, map(_label_use, self.runs)), None)

    @property
    def imported(self) -> bool:
        """Whether a run is of a published model."""
        return any(run.run_card.imported for run in self.runs)

    @property
    def provenance(self) -> list[str]:
        """Remarks where a run is of a published model, or started from a trained one."""
        imported = [_IMPORTED] if self.imported else []
        started = dict.fromkeys(run.run_card.init_from for run in self.runs if run.run_card.init_from)
        return [*imported, *(f"started from {name}" for name in started)]

    @property
    def named(self) -> RunsNamed:
        """Which runs they are."""
        seeds = tuple(run.seed for run in self.runs)
        return RunsNamed(method=self.method, variant=self.variant, apart=self.apart, seeds=seeds)


def group_runs(results: Sequence[Run]) -> list[RunGroup]:
    """Put the runs together that may be averaged, and say of the others what differs.

    Averaged are runs of one method and variant whose data hash, protocol, recipe and parameters agree in all but the
    seed, and whose label use and weights do not differ where they were noted. What no method owns is compared with
    all other groups, a method's own parameters with the other groups of that method, its variants among them.

    The runs are of one benchmark; groups are in the order of their methods' first runs, without a variant first.
    """
    found: dict[tuple[str, str, str], list[Run]] = {}
    for result in results:
        run = replace(result, metrics=of_one_test_set(result.metrics))
        found.setdefault((run.method, run.variant, json.dumps(run_facts(run), sort_keys=True)), []).append(run)
    groups = [
        RunGroup(method, variant, run_facts(runs[0]) | noted, sorted(runs, key=lambda run: run.seed))
        for (method, variant, _), alike in found.items()
        for noted, runs in _unmixed(method, alike)
    ]
    methods = list(dict.fromkeys(group.method for group in groups))
    groups.sort(key=lambda group: (methods.index(group.method), group.variant != ""))
    return [replace(group, apart=_apart(group, groups)) for group in groups]


def _unmixed(method: str, runs: Sequence[Run]) -> list[tuple[dict[str, str], list[Run]]]:
    """Return the runs by label use and weights, if these differ between runs that noted them."""
    notes = [
        {
            f"{method}.{name}": json.dumps(value)
            for name, value in (("label_use", _label_use(run)), ("weights", run.run_card.weights))
            if value is not None
        }
        for run in runs
    ]
    together = {name: {note[name] for note in notes if name in note} for note in notes for name in note}
    if all(len(values) == 1 for values in together.values()):
        return [({}, list(runs))]
    alike: dict[str, tuple[dict[str, str], list[Run]]] = {}
    for note, run in zip(notes, runs, strict=True):
        alike.setdefault(str(note), (note, []))[1].append(run)
    return list(alike.values())


def _label_use(run: Run) -> LabelUse | None:
    return run.metrics.label_use or run.run_card.label_use


def of_test_set(metrics: Metrics, name: str) -> Metrics:
    """Return metrics whose figures are those of one of their test sets."""
    figures = {each: getattr(metrics.test_sets[name], each) for each in Figures.model_fields}
    return metrics.model_copy(update={**figures, "test_set": name, "test_sets": {}})


def of_one_test_set(metrics: Metrics) -> Metrics:
    """Return the figures of the test set that is compared, at the top level."""
    return of_test_set(metrics, TEST_SET) if TEST_SET in metrics.test_sets else metrics


def run_facts(run: Run) -> dict[str, str]:
    """Return all that two runs must agree on to be averaged, by dotted name, each value as JSON."""
    card = run.run_card
    parameters = {name: value for name, value in card.parameters.items() if name != "seed"}
    protocol = {name: getattr(run.metrics, name) for name in _PROTOCOL}
    own = {"evaluation": _evaluation(card), "compute": _compute(card)}
    facts = {"data_hash": card.data_hash, "protocol": protocol, **parameters, **own}
    return {
        name: json.dumps(value, sort_keys=True)
        for name, value in leaves(facts)
        if value is not None or not name.startswith(_NONE)
    }


def _compute(card: RunCard) -> dict[str, Any]:
    """Return where it was computed, with what cards of earlier versions lack; how processes were started is no fact."""
    given = card.parameters.get("compute") or {}
    return {"processes": 1, **{name: value for name, value in given.items() if name not in _STARTING}}


def _evaluation(card: RunCard) -> dict[str, Any]:
    """Return what decides the figures compared, with what cards of earlier versions lack.

    Test images were then embedded at the precision of training. Open-set figures are not among those compared.
    """
    given = card.parameters.get("evaluation") or {}
    evaluation = {"tracklets": "none", **{name: value for name, value in given.items() if name != "open_set"}}
    precision = evaluation.get("precision", "auto")
    return {**evaluation, "precision": card.precision if precision == "auto" else precision}


def over_seeds(group: RunGroup) -> dict[str, Spread]:
    """Return mean and standard deviation (N - 1) of each metric over the seeds of a group.

    A metric that one of the runs has not measured has no mean; one run alone has no deviation.
    """
    spreads = {name: Spread(mean=None, std=None) for name in METRICS}
    for name in METRICS:
        values = [value for run in group.runs if (value := run.metrics.value(name)) is not None]
        if len(values) == len(group.runs):
            deviation = statistics.stdev(values) if len(values) > 1 else None
            spreads[name] = Spread(mean=min(1.0, statistics.fmean(values)), std=deviation)
    return spreads


def _apart(group: RunGroup, groups: Sequence[RunGroup]) -> tuple[str, ...]:
    """Return the facts that not all groups share; of a method's own parameters, not all groups of it."""
    prefix = f"{group.method}."
    kin = [each for each in groups if each.method == group.method]
    own = {name for each in kin for name in each.facts if name.startswith(prefix)}
    shared = {name for each in groups for name in each.facts if not name.startswith(f"{each.method}.")}
    differing = {name for name in own if _differs(kin, name)} | {name for name in shared if _differs(groups, name)}
    if group.facts.get(f"{prefix}recipe", '"released"') != '"released"':
        differing.add(f"{prefix}recipe")
    repeated = {name for name in differing if name.replace("protocol.", "evaluation.") in differing - {name}}
    names = sorted(differing - repeated, key=lambda name: (_rank(name), name))
    return tuple(f"{name.removeprefix(prefix)} {_value(name, group.facts.get(name))}" for name in names)


def _differs(groups: Sequence[RunGroup], name: str) -> bool:
    return len({group.facts.get(name) for group in groups}) > 1


def _rank(name: str) -> int:
    """Return where a difference stands: the data first, the recipe second, where it was computed last."""
    if name == "data_hash":
        return 0
    return 1 if name.endswith(".recipe") else 3 if name.startswith("compute.") else 2


def _value(name: str, value: str | None) -> str:
    if value is None:
        return "absent"
    text = value.strip('"')
    return text[:_SHORT_HASH] if name == "data_hash" or name.endswith(".weights") else text


def method_metrics(results: Sequence[Run]) -> dict[str, dict[str, float]]:
    """Return few figures of every method of one benchmark for `dvc metrics`.

    By name ("pcl+small"): the means of `mAP`, `rank1`, `mINP` over its seeds and `mAP_std` (N - 1), fractions; what
    was not measured is left out. Where its runs cannot be averaged, the largest group stands under its name, the
    others under what sets them apart, too.
    """
    found = {}
    for name, group in _by_name(results).items():
        spread = over_seeds(group)
        figures = {"mAP": spread["mAP"].mean, "mAP_std": spread["mAP"].std}
        figures |= {each: spread[each].mean for each in ("rank1", "mINP")}
        found[name] = {key: value for key, value in figures.items() if value is not None}
    return found


def method_cmc(results: Sequence[Run]) -> list[dict[str, float]]:
    """Return a record for each rank for `dvc plots`: `rank`, from 1, and by method the CMC's mean over its seeds."""
    curves = {
        name: [statistics.fmean(values) for values in zip(*(run.metrics.cmc for run in group.runs), strict=False)]
        for name, group in _by_name(results).items()
    }
    ranks = max(map(len, curves.values()), default=0)
    return [
        {"rank": place + 1, **{name: curve[place] for name, curve in curves.items() if place < len(curve)}}
        for place in range(ranks)
    ]


def _by_name(results: Sequence[Run]) -> dict[str, RunGroup]:
    groups = group_runs(results)
    found = {}
    for group in groups:
        kin = [each for each in groups if (each.method, each.variant) == (group.method, group.variant)]
        largest = max(kin, key=lambda each: len(each.runs))
        name = run_name(group.method, group.variant)
        found[name if group is largest else f"{name} ({'; '.join(group.apart)})"] = group
    return found
