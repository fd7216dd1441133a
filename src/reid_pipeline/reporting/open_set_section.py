"""What a report shows of an open set: is a probe known, or new? Figures, and the scores with their threshold."""

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from reid_pipeline.reporting.figures import bars
from reid_pipeline.reporting.formats import UNMEASURED, counted, decimals, percent, run_name
from reid_pipeline.reporting.page import Column, Table, charts
from reid_pipeline.schema.open_set import FALSE_ALARM_RATES, FalseAlarmFigures, OpenSetFigures, ScoreHistogram
from reid_pipeline.schema.records import Metrics

_CAPTION = (
    "In %, means ± standard deviations over the draws. DIR: probes that are known and of rank 1, at a threshold that"
    " the given share of the newcomers' probes exceeds. The promised threshold comes from the enrolled alone; false"
    " alarms are the new individuals of which any gallery image exceeds it."
)


def open_set_section(metrics: Sequence[Metrics], scores: ScoreHistogram | None) -> dict[str, Any] | None:
    """Return the values of the section; None where the last of `metrics`, this run's, has no such figures.

    `scores` are this run's, or None where they are not there.
    """
    figures = metrics[-1].open_set
    if figures is None:
        return None
    chart = {} if scores is None else {"open_set_scores": score_bars(scores)}
    words = [] if scores is None else [scores_in_words(scores)]
    return {
        "sentences": [*_sentences(metrics[-1], figures), *words],
        "table": figures_table(metrics),
        "charts": charts(chart),
    }


def figures_table(metrics: Sequence[Metrics]) -> Table:
    """Return a row for each result that has figures, and each false-alarm rate."""
    shown = [(each, each.open_set) for each in metrics if each.open_set is not None]
    rows = [_row(each, found, rate) for each, found in shown for rate in found.at]
    titles = (
        "Method",
        "AUROC",
        "EER",
        "False-alarm rate",
        "DIR",
        "Threshold",
        "DIR there",
        "False alarms",
        "of probes",
    )
    columns = [Column(title, [row[place] for row in rows]) for place, title in enumerate(titles)]
    return Table("known or new", columns, _CAPTION)


def _row(metrics: Metrics, figures: OpenSetFigures, rate: str) -> list[str]:
    at: FalseAlarmFigures = figures.at[rate]
    is_first = rate == next(iter(figures.at))
    name = run_name(metrics.method, metrics.variant)
    whole = [_with_spread(figures.AUROC, figures.AUROC_std), percent(figures.EER)] if is_first else ["", ""]
    return [
        name,
        *whole,
        rate,
        _with_spread(at.DIR, at.DIR_std),
        decimals(at.threshold),
        _with_spread(at.DIR_at_threshold, at.DIR_at_threshold_std),
        _with_spread(at.false_alarms, at.false_alarms_std),
        percent(at.probe_false_alarms),
    ]


def _with_spread(value: float | None, deviation: float | None) -> str:
    if value is None:
        return UNMEASURED
    return percent(value) if deviation is None else f"{percent(value)} ± {percent(deviation)}"


def _sentences(metrics: Metrics, figures: OpenSetFigures) -> list[str]:
    draws, total = counted(figures.draws, "seeded draw"), figures.enrolled + figures.newcomers
    drawn = (
        f"In {draws} {figures.newcomers:,} of {total:,} individuals were left out of the gallery. A probe's score is"
        " its greatest similarity to the gallery (cosine); above a threshold it is taken for a known one."
    )
    if metrics.camera_filter:
        drawn += " No image meets those of its own camera: neither a probe, nor those that thresholds are made of."
    unpromised = [name for name in FALSE_ALARM_RATES if name in figures.at and figures.at[name].threshold is None]
    few = [
        f"{figures.enrolled:,} enrolled individuals are too few to promise a false-alarm rate of"
        f" {' or '.join(unpromised)}."
    ]
    return [drawn, *(few if unpromised else [])]


def scores_in_words(scores: ScoreHistogram) -> str:
    """Return what the histogram of scores shows, for those who do not see it; within a bin scores count as even."""
    counted_kinds = {"genuine": scores.known, "impostor": scores.new}
    shares = {kind: _shares_below(counts) for kind, counts in counted_kinds.items() if sum(counts)}
    edges = np.linspace(scores.low, scores.high, len(scores.known) + 1)
    middles = " and ".join(f"{np.interp(0.5, below, edges):.2f} of the {kind} ones" for kind, below in shares.items())
    words = (
        f"Genuine scores are those of known probes, impostor scores those of new ones. Half lie above about {middles}."
    )
    for rate, threshold in scores.thresholds.items():
        above = {kind: percent(1 - float(np.interp(threshold, edges, below))) for kind, below in shares.items()}
        listed = " and ".join(f"{share} % of the {kind}" for kind, share in above.items())
        words += f" Above {threshold:.3f}, which promises {rate}, lie about {listed} scores."
    return words


def _shares_below(counts: Sequence[int]) -> NDArray[np.float64]:
    """Return the share of the counts below each edge of their bins."""
    shares: NDArray[np.float64] = np.cumsum([0, *counts]) / sum(counts)
    return shares


def score_bars(scores: ScoreHistogram) -> go.Figure:
    """Return which share of the known and of the new probes has which score, and the promised thresholds as lines."""
    width = (scores.high - scores.low) / len(scores.known)
    x = [scores.low + (place + 0.5) * width for place in range(len(scores.known))]
    kinds = {"genuine: known (enrolled)": scores.known, "impostor: new (left out)": scores.new}
    shares = {name: [count / max(1, sum(counts)) for count in counts] for name, counts in kinds.items()}
    axes = ("Score: greatest similarity to the gallery (cosine)", "Probes (%)")
    figure = bars("Scores of known and new probes", x, shares, axes=axes, stacked=True)
    figure.update_traces(opacity=0.6).update_layout(barmode="overlay", bargap=0)
    figure.update_yaxes(tickformat=".0%", range=[0, 1.15 * max(chain.from_iterable(shares.values()))])
    for name, threshold in scores.thresholds.items():
        figure.add_vline(threshold, line={"dash": "dash", "width": 2}, annotation={"text": f"{name} promised"})
    return figure
