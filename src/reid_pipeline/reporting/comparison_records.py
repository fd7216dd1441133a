"""The comparison in the shapes that `dvc metrics` and `dvc plots` read."""

import math
from collections.abc import Sequence

from reid_pipeline.reporting.run_groups import RunGroup, group_runs, over_seeds
from reid_pipeline.reporting.words import run_name
from reid_pipeline.schema.records import Metrics, Run


def method_metrics(results: Sequence[Run]) -> dict[str, dict[str, float]]:
    """Return few figures of every method: means over its seeds, and the standard deviation (N - 1) of mAP.

    Args:
        results: finished runs of one benchmark.

    Returns:
        by method, or method and variant ("pcl+small"), `mAP`, `mAP_std`, `rank1`, `mINP`, fractions; what was
        not measured is left out. Where its runs cannot be averaged, the largest group stands under its name,
        the others under what sets them apart, too.
    """
    found = {}
    for name, group in _named(results).items():
        spread = over_seeds(group)
        figures = {
            "mAP": spread["mAP"].mean,
            "mAP_std": spread["mAP"].std,
            **{each: spread[each].mean for each in ("rank1", "mINP")},
        }
        found[name] = {key: value for key, value in figures.items() if value is not None}
    return found


def method_cmc(results: Sequence[Run]) -> list[dict[str, float]]:
    """Return a record for each rank: `rank`, from 1, and by method the CMC's mean over its seeds.

    Args:
        results: as for `method_metrics`, whose names are used.
    """
    groups = _named(results)
    curves = {name: _mean_cmc([run.metrics for run in group.runs]) for name, group in groups.items()}
    ranks = max(map(len, curves.values()), default=0)
    return [
        {"rank": place + 1, **{name: curve[place] for name, curve in curves.items() if place < len(curve)}}
        for place in range(ranks)
    ]


def _named(results: Sequence[Run]) -> dict[str, RunGroup]:
    groups = group_runs(results)
    found = {}
    for group in groups:
        kin = [each for each in groups if (each.method, each.variant) == (group.method, group.variant)]
        largest = max(kin, key=lambda each: len(each.runs))
        name = run_name(group.method, group.variant)
        found[name if group is largest else f"{name} ({'; '.join(group.apart)})"] = group
    return found


def _mean_cmc(metrics: Sequence[Metrics]) -> list[float]:
    """Return the mean curve, as long as the shortest; none where a run has none."""
    curves = zip(*(each.cmc for each in metrics), strict=False)
    return [math.fsum(values) / len(values) for values in curves]
