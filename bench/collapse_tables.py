"""What the cells of bench/collapse.py say: tables, spreads, the worst cell, and measures without labels against mAP.

A run is a finished cell: where it stands in the grid (`cell`), why it ended early (`stopped`), and the figures of the
model before training and after every epoch (`epochs`). Shares are fractions; tables have percent and points.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np
from scipy.stats import rankdata

Run = Mapping[str, Any]
Figures = Mapping[str, Any]
Measure = Callable[[Figures], float | None]
HEALTHY = 0.05  # mAP gained at the end by a run that the guard should leave alone
_SETTING = ("benchmark", "kind", "k1", "eps")


def _of(name: str) -> Measure:
    return lambda epoch: epoch[name]


def _rest(name: str) -> Measure:
    return lambda epoch: 1.0 - epoch[name]


def _product(*measures: Measure) -> Measure:
    def product(epoch: Figures) -> float | None:
        values = [measure(epoch) for measure in measures]
        return None if None in values else float(np.prod([value for value in values if value is not None]))

    return product


GUARD = "cluster quality"  # what `keep: best` goes by
# Larger is better; None where a measure says nothing: stability before training, balance with a single camera.
MEASURES: Mapping[str, Measure] = {
    GUARD: _of("cluster_quality"),
    "silhouette": _of("silhouette"),
    "stability": _of("stability"),
    "modularity": _of("modularity"),
    "1 - largest": _rest("largest_cluster"),
    "1 - noise": _rest("noise_share"),
    "camera balance": _of("camera_balance"),
    "clusters": _of("clusters"),
    "silhouette x stability": _product(_of("silhouette"), _of("stability")),
    "silhouette x balance": _product(_of("silhouette"), _of("camera_balance")),
    "silhouette x (1 - largest)": _product(_of("silhouette"), _rest("largest_cluster")),
    "silhouette x modularity": _product(_of("silhouette"), _of("modularity")),
}


def grouped(runs: Iterable[Run], *names: str) -> dict[tuple[Any, ...], list[Run]]:
    """Return the runs by those parts of their cell, in the order in which they come."""
    found: dict[tuple[Any, ...], list[Run]] = {}
    for run in runs:
        found.setdefault(tuple(run["cell"][name] for name in names), []).append(run)
    return found


def gain(run: Run, split: str, epoch: int = -1) -> float:
    """Return the mAP of the model after an epoch, by default the last, less that before training (zero_shot)."""
    return float(run["epochs"][epoch][f"{split}_mAP"] - run["epochs"][0][f"{split}_mAP"])


def spread(runs: Sequence[Run], split: str) -> float:
    """Return the greatest less the smallest mean over seeds of the final mAP, over the settings of the runs."""
    means = [fmean(run["epochs"][-1][f"{split}_mAP"] for run in found) for found in grouped(runs, *_SETTING).values()]
    return max(means) - min(means)


def rank_correlation(first: Sequence[float | None], second: Sequence[float | None]) -> float | None:
    """Return Spearman's coefficient of the pairs without None; None for fewer than 3, or where all of a side tie."""
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if a is not None and b is not None]
    if len(pairs) < 3:
        return None
    ranks = [rankdata(side) for side in zip(*pairs, strict=True)]
    if any(np.ptp(each) == 0 for each in ranks):
        return None
    return float(np.corrcoef(ranks)[0, 1])


def best_epoch(run: Run, measure: Measure, worth: float = 0.0) -> int:
    """Return the epoch whose model has the largest measure, the first of equals, 0 before training.

    That before training is taken where no other is better by the share `worth`. Where the measure says nothing of an
    epoch, that epoch is not taken; the last one where it says nothing of any.
    """
    values = [measure(epoch) for epoch in run["epochs"]]
    known = [epoch for epoch, value in enumerate(values) if value is not None]
    best = max(known, key=lambda epoch: (values[epoch], -epoch)) if known else len(values) - 1
    start, greatest = values[0], values[best]
    return 0 if start is not None and greatest is not None and greatest <= start + worth * abs(start) else best


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table whose first column is text and the others figures."""
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _percent(values: Iterable[float | None], digits: int = 1) -> str:
    return " / ".join("-" if value is None else f"{100 * value:.{digits}f}" for value in values)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _named(setting: Sequence[Any]) -> str:
    benchmark, kind, k1, eps = setting
    return f"{benchmark}, {kind}, k1 {k1}, eps {eps}"


def _early(runs: Sequence[Run]) -> str:
    stopped = sum(bool(run["stopped"]) for run in runs)
    return f" ({stopped} ended early)" if stopped else ""


def cells_table(runs: Sequence[Run], split: str) -> str:
    """Return a row for each setting: the figures of its seeds at the end."""
    rows = []
    for setting, found in grouped(runs, *_SETTING).items():
        ends = [run["epochs"][-1] for run in found]
        rows.append([
            _named(setting) + _early(found),
            _percent(end[f"{split}_mAP"] for end in ends),
            _percent(end[f"{split}_rank1"] for end in ends),
            " / ".join(str(end["clusters"]) for end in ends),
            _percent((end["noise_share"] for end in ends), 0),
            _percent((end["largest_cluster"] for end in ends), 0),
            " / ".join(_number(end["ari"]) for end in ends),
            " / ".join(_number(end["eps"]) for end in ends),
        ])  # fmt: skip
    return table(["at the end, by seed", "mAP", "Rank-1", "clusters", "noise %", "largest %", "ARI", "cut"], rows)


def epochs_table(runs: Sequence[Run], split: str) -> str:
    """Return the mean mAP over seeds before training and after every epoch, a row for each setting."""
    longest = max(len(run["epochs"]) for run in runs)
    rows = []
    for setting, found in grouped(runs, *_SETTING).items():
        by_epoch = [[run["epochs"][at] for run in found if at < len(run["epochs"])] for at in range(longest)]
        means = [fmean(each[f"{split}_mAP"] for each in epochs) if epochs else None for epochs in by_epoch]
        rows.append([_named(setting), *(_percent([mean]) for mean in means)])
    return table(["mAP after epoch, mean over seeds", *map(str, range(longest))], rows)


def kinds_table(runs: Sequence[Run], split: str) -> str:
    """Return a row for each benchmark and kind: zero_shot, the worst cell, those below zero_shot, and the spread."""
    rows = []
    for (benchmark, kind), found in grouped(runs, "benchmark", "kind").items():
        worst = min(found, key=lambda run: gain(run, split))
        cell, below = worst["cell"], sum(gain(run, split) < 0 for run in found)
        rows.append([
            f"{benchmark}, {kind}", _percent([worst["epochs"][0][f"{split}_mAP"]]),
            _percent([worst["epochs"][-1][f"{split}_mAP"]]) + " ({k1}, {eps}, {seed})".format(**cell),
            _percent([gain(worst, split)]), f"{below} of {len(found)}", _percent([spread(found, split)]),
        ])  # fmt: skip
    header = [
        "",
        "zero_shot",
        "worst cell (k1, eps, seed), mAP",
        "its gain",
        "cells below zero_shot",
        "spread over k1 and eps",
    ]
    return table(header, rows)


def ranked_settings(runs: Sequence[Run], split: str = "dev") -> list[tuple[tuple[Any, ...], float, float]]:
    """Return (kind, k1, eps), the gain of its worst cell on any benchmark, and its mean gain; the best worst first."""
    found = grouped(runs, "kind", "k1", "eps")
    gains = {setting: [gain(run, split) for run in each] for setting, each in found.items()}
    return sorted(((key, min(each), fmean(each)) for key, each in gains.items()), key=lambda row: row[1:], reverse=True)


def measures_table(runs: Sequence[Run], split: str) -> str:
    """Return a row for each measure: its rank correlation with mAP, and what its best epoch costs and saves.

    Within runs: over the epochs of a run, the mean of the runs and the lowest. Over ends: over the last models of all
    runs. `best` is the model with the largest measure: mean gain over zero_shot, the smallest gain, how many end below
    zero_shot, and what is lost against the last model by the healthy run that loses most. That before training is left
    for one that is better by an eighth of the cluster quality, as by `keep: best`, or at all by other measures.
    """
    from reid_pipeline.engine.best_model import WORTH_TRAINING

    rows = []
    healthy = [run for run in runs if gain(run, split) >= HEALTHY]
    for name, measure in MEASURES.items():
        within = [_within(run, measure, split) for run in runs]
        known = [value for value in within if value is not None]
        ends = [run["epochs"][-1] for run in runs]
        over = rank_correlation([measure(end) for end in ends], [end[f"{split}_mAP"] for end in ends])
        worth = WORTH_TRAINING if name == GUARD else 0.0
        gains = [gain(run, split, best_epoch(run, measure, worth)) for run in runs]
        lost = [gain(run, split) - gain(run, split, best_epoch(run, measure, worth)) for run in healthy]
        rows.append([
            name, _number(fmean(known) if known else None), _number(min(known, default=None)), _number(over),
            _percent([fmean(gains)]), _percent([min(gains)]), str(sum(each < 0 for each in gains)),
            _percent([max(lost, default=None)]),
        ])  # fmt: skip
    last = [gain(run, split) for run in runs]
    rows.append(
        ["(last)", "", "", "", _percent([fmean(last)]), _percent([min(last)]), str(sum(e < 0 for e in last)), ""]
    )
    header = ["", "within runs", "lowest", "over ends", "best: gain", "least gain", "below zero_shot", "healthy: lost"]
    return table(header, rows)


def _within(run: Run, measure: Measure, split: str) -> float | None:
    return rank_correlation([measure(each) for each in run["epochs"]], [each[f"{split}_mAP"] for each in run["epochs"]])


def report(runs: Sequence[Run], split: str) -> Iterator[str]:
    """Yield the tables of a split, `dev` or `test`; settings are ranked on dev alone."""
    yield from (kinds_table(runs, split), cells_table(runs, split), epochs_table(runs, split))
    if split == "dev":
        ranked = [
            [f"{kind}, k1 {k1}, eps {eps}", _percent([w]), _percent([m])]
            for (kind, k1, eps), w, m in ranked_settings(runs)
        ]
        yield table(["settings by their worst cell", "gain of the worst cell", "mean gain"], ranked)
    for (benchmark,), of_benchmark in grouped(runs, "benchmark").items():
        by_kind = {f"{benchmark}, {kind}": found for (kind,), found in grouped(of_benchmark, "kind").items()}
        for name, found in {**by_kind, f"{benchmark}, all kinds": of_benchmark}.items():
            healthy = sum(gain(run, split) >= HEALTHY for run in found)
            yield f"{name}: {len(found)} runs, {healthy} of them healthy (gain {100 * HEALTHY:.0f} points)"
            yield measures_table(found, split)
