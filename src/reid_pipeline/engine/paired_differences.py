"""Whether two methods differ on a benchmark: the mAP difference, paired over queries, with its interval."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reid_pipeline.reporting.records import Record
from reid_pipeline.reporting.run_groups import RunGroup, group_runs, over_seeds
from reid_pipeline.retrieval import paired_bootstrap
from reid_pipeline.schema.errors import first_few


def differences_to_best(results: Sequence[Record]) -> list[dict[str, Any]]:
    """Compare the best method of a benchmark with each other one, query by query.

    The AP of a query is its mean over the seeds. Compared are only runs that were scored on the same data by
    the same protocol; where there are several such sets of runs, each has a best method of its own.

    Args:
        results: finished runs of one benchmark, each with `method`, `seed`, `metrics`, `run_card` and, to be
            compared, `breakdown`.

    Returns:
        A record for each group of runs but the best: `best` and `other` (each `method`, `apart`, `seeds`),
        and either `difference` (best less other, fraction), `low`, `high` (of the 95 % interval), `p_value`
        and `num_queries`, or `why_not`. `note` says what the figures are of, if not of the whole test.
        Groups that nothing can be compared with have no `best`.
    """
    scored = [group for group in group_runs(results) if _mean_ap(group) is not None]
    kinds: dict[str, list[RunGroup]] = {}
    for group in scored:
        kinds.setdefault(_kind(group), []).append(group)
    found = []
    for alike in kinds.values():
        best = max(alike, key=lambda group: _mean_ap(group) or 0.0)
        found += [_difference(best, other) for other in alike if other is not best]
        if len(alike) == 1 < len(kinds):
            alone = "nothing else was scored on the same data by the same protocol"
            found.append({"best": None, "other": _named(best), "why_not": alone})
    return found


def _kind(group: RunGroup) -> str:
    """Return what two runs must share so that their queries are the same and are scored alike."""
    own = (f"{group.method}.", "compute.")
    return str(sorted(fact for fact in group.facts.items() if not fact[0].startswith(own)))


def _mean_ap(group: RunGroup) -> float | None:
    return over_seeds(group)["mAP"]["mean"]


def _difference(best: RunGroup, other: RunGroup) -> dict[str, Any]:
    record: dict[str, Any] = {"best": _named(best), "other": _named(other)}
    missing = [
        f"{group.method} seed {run['seed']}"
        for group in (best, other)
        for run in group.runs
        if not _precisions(run)
    ]
    if missing:
        lacking = f"no AP of each query of the test set shown is stored of {first_few(missing)}"
        return record | {"why_not": f"{lacking}: run it again, or fetch breakdown.json"}
    found = paired_bootstrap(_over_seeds(other), _over_seeds(best))
    repeats = best.metrics.get("repeats")
    return record | {
        "difference": found.difference,
        "low": found.low,
        "high": found.high,
        "p_value": found.p_value,
        "num_queries": found.num_queries,
        "note": f"of the first of {repeats} galleries" if repeats else "",
    }


def _named(group: RunGroup) -> dict[str, Any]:
    seeds = [int(run["seed"]) for run in group.runs]
    return {"method": group.method, "apart": list(group.apart), "seeds": seeds}


def _precisions(run: Record) -> Sequence[float | None]:
    """Return the AP of every query, of the test set that the metrics are of; empty where it is not stored."""
    breakdown: Mapping[str, Any] = run.get("breakdown", {})
    shown = run["metrics"].get("test_set")
    if shown and breakdown.get("draw", {}).get("test_set") != shown:
        return []
    found: Sequence[float | None] = breakdown.get("average_precision", [])
    return found


def _over_seeds(group: RunGroup) -> NDArray[np.float64]:
    """Return the mean AP of every query, float64 [Q]; NaN where it is not valid."""
    stored = [np.array(_precisions(run), dtype=np.float64) for run in group.runs]  # None becomes NaN
    mean: NDArray[np.float64] = np.mean(stored, axis=0)
    return mean
