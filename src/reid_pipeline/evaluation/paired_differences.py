"""Whether two methods differ on a benchmark: differences paired over queries, with their intervals."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from reid_pipeline.reporting.run_groups import RunGroup, group_runs, over_seeds
from reid_pipeline.retrieval.bootstrap import PairedDifference as BootstrapDifference
from reid_pipeline.retrieval.bootstrap import paired_bootstrap, paired_bootstraps
from reid_pipeline.schema.comparison import DifferenceToBest
from reid_pipeline.schema.errors import first_few
from reid_pipeline.schema.figures import PairedDifference
from reid_pipeline.schema.records import Breakdown, Differences, Metrics, Run

_HITS = {"rank1": 1, "rank5": 5, "rank10": 10}
_ALIKE = {
    name: name.replace("_", " ") for name in ("benchmark", "splits", "camera_filter", "test_set", "tracklets")
} | {"num_queries": "number of queries", "num_gallery": "size of the gallery"}


def difference_to_zero_shot(
    metrics: Metrics,
    breakdown: Breakdown,
    zero_shot_metrics: Metrics,
    zero_shot_breakdown: Breakdown,
    *,
    other: str,
    resamples: int = 1000,
) -> Differences:
    """Return the differences of a run to zero_shot, over the same queries, with 95 % intervals.

    mAP, mINP and Rank-1, 5, 10 are resampled together; mAP alone where the ranks of the first matches are not
    stored, as in files of the first version. Of repeated galleries the first counts. `other` is the cell of zero_shot,
    as "<benchmark>/<folder>/seed_<n>"; `resamples`, at least 1, are those of the paired bootstrap over queries.
    """
    why_not = _obstacle((metrics, breakdown), (zero_shot_metrics, zero_shot_breakdown))
    compared, figures = (0, {}) if why_not else _figures(breakdown, zero_shot_breakdown, resamples)
    if not why_not and not compared:
        why_not = f"none of the {metrics.num_queries:,} queries is valid for both"
    return Differences(
        **metrics.model_dump(include={"benchmark", "method", "variant", "seed", "test_set"}),
        other=other,
        num_queries=compared,
        figures=figures,
        note=_note(metrics),
        why_not=why_not,
    )


def _figures(breakdown: Breakdown, zero_shot: Breakdown, resamples: int) -> tuple[int, dict[str, PairedDifference]]:
    """Return how many queries both have, and by metric the difference over them."""
    own, theirs = _per_query(breakdown), _per_query(zero_shot)
    names = [name for name in own if name in theirs]
    known = ~np.isnan([each[name] for each in (own, theirs) for name in names]).any(axis=0)
    if not known.any():
        return 0, {}
    first, second = ({name: each[name] for name in names} for each in (theirs, own))
    compared = paired_bootstraps(first, second, resamples=resamples)
    return int(known.sum()), {name: PairedDifference(**_interval(found)) for name, found in compared.items()}


def _interval(found: BootstrapDifference) -> dict[str, float]:
    return {name: getattr(found, name) for name in ("difference", "low", "high", "p_value")}


def _obstacle(own: tuple[Metrics, Breakdown], theirs: tuple[Metrics, Breakdown]) -> str | None:
    """Return why two runs cannot be compared query by query; None where they can."""
    for metrics, _ in (own, theirs):
        if metrics.mAP is None:
            return f"nothing was tested: {metrics.not_evaluated}"
    if lacking := _lacking_precisions([own, theirs]):
        return lacking
    differing = [word for name, word in _ALIKE.items() if getattr(own[0], name) != getattr(theirs[0], name)]
    origins = own[0].origin, theirs[0].origin
    if origins[0] and origins[1]:
        pairs = [(name, *(getattr(each, name) for each in origins)) for name in ("data", "galleries")]
        differing += [name for name, one, two in pairs if one and two and one != two]
    lengths = [len(breakdown.average_precision) for _, breakdown in (own, theirs)]
    if lengths[0] != lengths[1] or own[1].draw != theirs[1].draw:
        differing.append("queries drawn")
    return f"the queries are not the same: {first_few(differing)}" if differing else None


def _note(metrics: Metrics) -> str:
    return f"of the first of {metrics.repeats} galleries" if metrics.repeats else ""


def _per_query(breakdown: Breakdown) -> dict[str, NDArray[np.float64]]:
    """Return by metric a figure of every query, float64 [Q]; NaN where it is not valid."""
    found = {"mAP": np.array(breakdown.average_precision, dtype=np.float64)}  # None becomes NaN
    queries = len(found["mAP"])
    if len(breakdown.inverse_negative_penalty) == queries:
        found["mINP"] = np.array(breakdown.inverse_negative_penalty, dtype=np.float64)
    if len(breakdown.first_match_rank) == queries:
        ranks = np.array(breakdown.first_match_rank, dtype=np.float64)  # valid: neither NaN nor 0
        found |= {name: np.where(ranks > 0, (ranks <= most) * 1.0, np.nan) for name, most in _HITS.items()}
    return found


def differences_to_best(results: Sequence[Run]) -> list[DifferenceToBest]:
    """Compare the best method of a benchmark with each other one, query by query: a record for each of the others.

    `results` are finished runs of one benchmark, with a breakdown each. The AP of a query is its mean over the seeds.
    Only runs that were scored on the same data by the same protocol are compared; each such set of runs has a best
    method of its own.
    """
    kinds: dict[str, list[RunGroup]] = {}
    for group in group_runs(results):
        if _mean_ap(group) is not None:
            kinds.setdefault(_protocol(group), []).append(group)
    differences = []
    for alike in kinds.values():
        best = max(alike, key=lambda group: _mean_ap(group) or 0.0)
        differences += [_difference(best, other) for other in alike if other is not best]
        if len(alike) == 1 < len(kinds):
            alone = "nothing else was scored on the same data by the same protocol"
            differences.append(DifferenceToBest(best=None, other=best.named, why_not=alone))
    return differences


def _protocol(group: RunGroup) -> str:
    """Return the facts that two groups must share for their queries to be the same and scored alike."""
    own = (f"{group.method}.", "compute.", "evaluation.precision")
    return str(sorted(fact for fact in group.facts.items() if not fact[0].startswith(own)))


def _mean_ap(group: RunGroup) -> float | None:
    return over_seeds(group)["mAP"].mean


def _difference(best: RunGroup, other: RunGroup) -> DifferenceToBest:
    if lacking := _lacking_precisions([(run.metrics, run.breakdown) for group in (best, other) for run in group.runs]):
        why_not = f"{lacking}: run it again, or fetch breakdown.json"
        return DifferenceToBest(best=best.named, other=other.named, why_not=why_not)
    found = paired_bootstrap(_over_seeds(other), _over_seeds(best))
    return DifferenceToBest(
        best=best.named, other=other.named, **_interval(found), num_queries=found.num_queries, note=_note(best.metrics)
    )


def _lacking_precisions(runs: Sequence[tuple[Metrics, Breakdown | None]]) -> str | None:
    """Return which runs have no AP query by query, or None."""
    lacking = [f"{metrics.method} seed {metrics.seed}" for metrics, found in runs if not _precisions(metrics, found)]
    return f"no AP of each query of the test set shown is stored of {first_few(lacking)}" if lacking else None


def _precisions(metrics: Metrics, breakdown: Breakdown | None) -> Sequence[float | None]:
    """Return the AP of every query of the metrics' test set; empty where it is not stored."""
    if breakdown is None:
        return ()
    test_set = breakdown.draw.test_set if breakdown.draw else None
    return () if metrics.test_set and test_set != metrics.test_set else breakdown.average_precision


def _over_seeds(group: RunGroup) -> NDArray[np.float64]:
    """Return the mean AP of every query, float64 [Q]; NaN where it is not valid."""
    precisions = [_precisions(run.metrics, run.breakdown) for run in group.runs]
    mean: NDArray[np.float64] = np.mean(np.array(precisions, dtype=np.float64), axis=0)  # None becomes NaN
    return mean
