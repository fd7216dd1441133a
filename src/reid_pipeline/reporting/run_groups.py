"""Which runs may be averaged over their seeds, and what sets the others apart."""

import json
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from reid_pipeline.reporting.records import Record, measured
from reid_pipeline.reporting.tables import METRICS

TEST_SET = "800"
"""The test set that is shown of a benchmark with several: VehicleID's small one."""

_PROTOCOL = ("splits", "camera_filter", "repeats", "test_set")
_SHORT_HASH = 8


@dataclass(frozen=True)
class RunGroup:
    """Runs of one method that differ in nothing but their seeds.

    Attributes:
        method: its name.
        facts: what they agree on: data, protocol and every parameter but the seed, by dotted name, each value
            as JSON.
        runs: by seed, each a mapping with `seed`, `metrics` and `run_card`; metrics are of one test set.
        apart: what sets them apart from the other groups, as "plan.epochs 12"; empty where nothing does.
    """

    method: str
    facts: Mapping[str, str]
    runs: Sequence[Record]
    apart: tuple[str, ...] = field(default=())

    @property
    def metrics(self) -> Record:
        """The metrics of the first seed; the protocol in them is everybody's."""
        metrics: Record = self.runs[0]["metrics"]
        return metrics

    @property
    def parameters(self) -> Record:
        """The method's own parameters."""
        own: Record = self.runs[0]["run_card"]["parameters"].get(self.method, {})
        return own


def group_runs(results: Sequence[Record]) -> list[RunGroup]:
    """Put the runs together that may be averaged, and say of the others what differs.

    Averaged are runs of one method whose data hash, protocol (splits, camera filter, repeats, test set),
    recipe and parameters agree in everything but the seed. What no method owns is compared with all other
    groups, a method's own parameters with the other groups of that method.

    Args:
        results: runs of one benchmark, each with `method`, `seed`, `metrics` and `run_card`.

    Returns:
        Groups in the order of their first run.
    """
    found: dict[tuple[str, str], list[Record]] = {}
    facts: dict[tuple[str, str], dict[str, str]] = {}
    for result in results:
        run = {**result, "metrics": of_one_test_set(result["metrics"])}
        own = run_facts(run)
        key = (str(result["method"]), json.dumps(own, sort_keys=True))
        facts[key] = own
        found.setdefault(key, []).append(run)
    groups = [RunGroup(key[0], facts[key], _by_seed(runs)) for key, runs in found.items()]
    return [RunGroup(group.method, group.facts, group.runs, _apart(group, groups)) for group in groups]


def of_one_test_set(metrics: Record) -> Record:
    """Return the figures of the test set that is compared, at the top level."""
    sets = metrics.get("test_sets")
    if isinstance(sets, Mapping) and TEST_SET in sets:
        return {**metrics, **sets[TEST_SET], "test_set": TEST_SET}
    return metrics


def run_facts(run: Record) -> dict[str, str]:
    """Return all that two runs must agree on to be averaged, by dotted name, each value as JSON."""
    metrics, card = run["metrics"], run["run_card"]
    parameters = {name: value for name, value in card["parameters"].items() if name != "seed"}
    protocol = {name: metrics.get(name) for name in _PROTOCOL}
    known = {"data_hash": card["data_hash"], "protocol": protocol}
    return {name: json.dumps(value, sort_keys=True) for name, value in _leaves({**known, **parameters})}


def over_seeds(group: RunGroup) -> dict[str, dict[str, float | None]]:
    """Return mean and standard deviation (N - 1) of each metric over the seeds of a group.

    A metric that one of the runs has not measured has no mean; one run alone has no deviation.
    """
    return {name: _spread([measured(run["metrics"], name) for run in group.runs]) for name in METRICS}


def card_numbers(group: RunGroup, *path: str) -> list[float]:
    """Return a number of the run cards, of those that have it."""
    found = [measured(run["run_card"], *path) for run in group.runs]
    return [value for value in found if value is not None]


def _spread(values: Sequence[float | None]) -> dict[str, float | None]:
    known = [float(value) for value in values if value is not None]
    if not known or len(known) < len(values):
        return {"mean": None, "std": None}
    deviation = statistics.stdev(known) if len(known) > 1 else None
    return {"mean": math.fsum(known) / len(known), "std": deviation}


def _by_seed(runs: Sequence[Record]) -> list[Record]:
    return sorted(runs, key=lambda run: int(run["seed"]))


def _apart(group: RunGroup, groups: Sequence[RunGroup]) -> tuple[str, ...]:
    """Return the facts that not all groups share; of a method's own parameters, not all groups of it."""
    prefix = f"{group.method}."
    kin = [each for each in groups if each.method == group.method]
    own = {name for each in kin for name in each.facts if name.startswith(prefix)}
    shared = {name for each in groups for name in each.facts if not name.startswith(f"{each.method}.")}
    differing = {name for name in own if not _agreed(kin, name)}
    differing |= {name for name in shared if not _agreed(groups, name)}
    if group.facts.get(f"{prefix}recipe", '"released"') != '"released"':
        differing.add(f"{prefix}recipe")
    told_twice = {
        name for name in differing if name.replace("protocol.", "evaluation.") in differing - {name}
    }
    names = sorted(differing - told_twice, key=lambda name: (_rank(name), name))
    return tuple(f"{name.removeprefix(prefix)} {_shown(name, group.facts.get(name))}" for name in names)


def _agreed(groups: Sequence[RunGroup], name: str) -> bool:
    return len({group.facts.get(name) for group in groups}) == 1


def _rank(name: str) -> int:
    """Return where a difference stands: the data first, where it was computed last."""
    if name == "data_hash" or name.endswith(".recipe"):
        return int(name != "data_hash")
    return 3 if name.startswith("compute.") else 2


def _shown(name: str, value: str | None) -> str:
    if value is None:
        return "absent"
    text = value.strip('"')
    return text[:_SHORT_HASH] if name == "data_hash" else text


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
