"""The comparison in the shapes that `dvc metrics` and `dvc plots` read."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from reid_pipeline.reporting.records import Record, number
from reid_pipeline.reporting.run_groups import RunGroup, group_runs, over_seeds

_FIGURES = ("mAP", "rank1", "mINP")


def method_metrics(results: Sequence[Record]) -> dict[str, dict[str, float]]:
    """Return few figures of every method: means over its seeds, and the standard deviation (N - 1) of mAP.

    Args:
        results: finished runs of one benchmark, each with `method`, `seed`, `metrics` and `run_card`.

    Returns:
        By method `mAP`, `mAP_std`, `rank1`, `mINP`, fractions; what was not measured is left out. Where runs
        of a method cannot be averaged, the largest group stands under its name, the others under what sets
        them apart, too.
    """
    found = {}
    for name, group in _named(results).items():
        spread = over_seeds(group)
        figures = {
            "mAP": spread["mAP"]["mean"],
            "mAP_std": spread["mAP"]["std"],
            **{each: spread[each]["mean"] for each in _FIGURES[1:]},
        }
        found[name] = {key: value for key, value in figures.items() if value is not None}
    return found


def method_cmc(results: Sequence[Record]) -> list[dict[str, float]]:
    """Return a record for each rank: `rank`, from 1, and by method the CMC's mean over its seeds.

    Args:
        results: as for `method_metrics`, whose names are used.
    """
    groups = _named(results)
    curves = {name: _mean_cmc([run["metrics"] for run in group.runs]) for name, group in groups.items()}
    ranks = max(map(len, curves.values()), default=0)
    return [
        {"rank": place + 1, **{name: curve[place] for name, curve in curves.items() if place < len(curve)}}
        for place in range(ranks)
    ]


def _named(results: Sequence[Record]) -> dict[str, RunGroup]:
    groups = group_runs(results)
    found = {}
    for group in groups:
        largest = max(
            (each for each in groups if each.method == group.method), key=lambda each: len(each.runs)
        )
        found[group.method if group is largest else f"{group.method} ({'; '.join(group.apart)})"] = group
    return found


def _mean_cmc(metrics: Sequence[Mapping[str, Any]]) -> list[float]:
    """Return the mean curve, as long as the shortest; none where a run has none."""
    curves = [[number(value) for value in each.get("cmc") or ()] for each in metrics]
    means = []
    for values in zip(*curves, strict=False):
        known = [value for value in values if value is not None]
        if len(known) < len(values):
            break
        means.append(math.fsum(known) / len(known))
    return means
