"""Curves of a training run and of retrieval, as plotly figures.

Values are drawn as they were recorded, in the records' own units; shares and rates are fractions in 0..1 that
the axes print as percentages. Nothing is smoothed. A value that was not measured is a gap.
"""

from collections.abc import Sequence
from itertools import pairwise

import plotly.graph_objects as go

from reid_pipeline.reporting.formats import span
from reid_pipeline.reporting.style import Panel, bars, dress, epoch_axis, line, panels
from reid_pipeline.reporting.words import run_name
from reid_pipeline.schema.records import EpochRecord, Metrics

DIAGNOSTICS_ONLY = "diagnostics only, never used in training"
_AGREEMENT = {
    "ari": "ARI",
    "nmi": "NMI",
    "pairwise_precision": "pairwise precision",
    "pairwise_recall": "pairwise recall",
    "bcubed_precision": "BCubed precision",
    "bcubed_recall": "BCubed recall",
}
_FROM_0 = {"rangemode": "tozero"}
_PERCENT = {"tickformat": ".0%", **_FROM_0}
_SCORE = {"range": [0, 1.02]}


def epochs(history: Sequence[EpochRecord]) -> list[float]:
    """Return the epochs as recorded; where they start anew in a later stage, 1 to n."""
    recorded = [float(record.epoch) for record in history]
    rising = all(before < after for before, after in pairwise(recorded))
    return recorded if rising else [float(place + 1) for place in range(len(history))]


def training_curves(history: Sequence[EpochRecord]) -> dict[str, go.Figure]:
    """Return the figures of a history that have something to show, by name, in reading order.

    A method that does not train has an empty history, and none.
    """
    makers = {
        "loss": loss_curves,
        "clusters": cluster_curves,
        "cluster_sizes": cluster_size_bars,
        "agreement": agreement_curves,
        "seconds": seconds_bars,
    }
    figures = {name: make(history) for name, make in makers.items()} if history else {}
    return {
        name: figure
        for name, figure in figures.items()
        if any(value is not None for trace in figure.data for value in trace.y or ())
    }


def loss_curves(history: Sequence[EpochRecord]) -> go.Figure:
    """Return the loss, and its terms where there are several, above the learning rate."""
    x = epochs(history)
    terms = list(dict.fromkeys(name for record in history for name in record.losses))
    traces = [line(x, [record.loss for record in history], "loss", 0)]
    for index, term in enumerate(terms if len(terms) > 1 else (), start=1):
        traces.append(line(x, [record.losses.get(term) for record in history], term, index))
    rate = line(x, [record.learning_rate for record in history], "learning rate", 0).update(showlegend=False)
    parts = [
        Panel(traces, "Loss (mean of the epoch)"),
        Panel([rate], "Learning rate", {"exponentformat": "power", **_FROM_0}),
    ]
    figure = panels(x, parts, vertical_spacing=0.1, row_heights=[0.62, 0.38])
    return dress(figure, "Loss and learning rate", height=460, legend=len(terms) > 1)


def cluster_curves(history: Sequence[EpochRecord]) -> go.Figure:
    """Return the number of clusters above the share of images that are noise (fractions, drawn in %)."""
    x = epochs(history)
    clusters = line(x, [record.clusters for record in history], "clusters", 0)
    noise = line(x, [record.noise_share for record in history], "noise share", 1)
    parts = [Panel([clusters], "Clusters (count)", _FROM_0), Panel([noise], "Noise (% of images)", _PERCENT)]
    return dress(panels(x, parts, vertical_spacing=0.1), "Clusters and noise", height=460, legend=False)


def cluster_size_bars(history: Sequence[EpochRecord]) -> go.Figure:
    """Return how many clusters have which size, in the first and the last epoch that recorded it."""
    filled = {
        f"epoch {epoch:g}": {(each.low, each.high): each.clusters for each in record.cluster_sizes.histogram}
        for epoch, record in zip(epochs(history), history, strict=True)
        if record.cluster_sizes and record.cluster_sizes.histogram
    }
    shown = {name: filled[name] for name in [*filled][:1] + [*filled][-1:]}
    spans = sorted({each for sizes in shown.values() for each in sizes})
    places = [place for place, each in enumerate(spans) if any(sizes.get(each) for sizes in shown.values())]
    spans = spans[places[0] : places[-1] + 1] if places else []
    groups = {name: [sizes.get(each, 0) for each in spans] for name, sizes in shown.items()}
    axes = ("Images in the cluster", "Clusters (count)")
    return bars("Cluster sizes", [span(*each) for each in spans], groups, axes=axes, colours=(1, 0))


def agreement_curves(history: Sequence[EpochRecord]) -> go.Figure:
    """Return how well clusters agree with the ground truth; no trace where there is none."""
    figure, x = go.Figure(), epochs(history)
    for index, (key, name) in enumerate(_AGREEMENT.items()):
        values = _agreement(history, key)
        if any(value is not None for value in values):
            figure.add_trace(line(x, values, name, index))
    figure.update_yaxes(title_text="Score (1 = perfect)", **_SCORE)
    epoch_axis(figure, x)
    return dress(figure, "Agreement with the ground truth", subtitle=DIAGNOSTICS_ONLY, height=400)


def _agreement(history: Sequence[EpochRecord], name: str) -> list[float | None]:
    return [getattr(record.ground_truth, name, None) for record in history]


def seconds_bars(history: Sequence[EpochRecord]) -> go.Figure:
    """Return the seconds of each part, stacked; what `epoch` has beyond its parts is "other"."""
    names = dict.fromkeys(name for record in history for name in record.seconds if name != "epoch")
    parts: dict[str, list[float | None]] = {name: [record.seconds.get(name) for record in history] for name in names}
    whole = [record.seconds.get("epoch") for record in history]
    rest = [
        None if total is None else max(0.0, total - sum(values[i] or 0.0 for values in parts.values()))
        for i, total in enumerate(whole)
    ]
    if sum(value or 0.0 for value in rest) > 0.005 * sum(value or 0.0 for value in whole):
        parts["other"] = rest
    x = epochs(history)
    figure = bars("Seconds per epoch", x, parts, axes=("Epoch", "Time (s)"), stacked=True)
    epoch_axis(figure.update_yaxes(**_FROM_0), x)
    return figure


def cmc_curves(metrics: Sequence[Metrics]) -> go.Figure:
    """Return the cumulative match curves of several results; one without `cmc` has no trace.

    The share of valid queries with a match among the first 1 to k gallery images.
    """
    figure = go.Figure()
    shown = [(place, result) for place, result in enumerate(metrics) if result.cmc]
    several = len({result.seed for _, result in shown}) > 1
    for place, result in shown:
        name = run_name(result.method, result.variant) + (f", seed {result.seed}" if several else "")
        turn = len(metrics) - 1 - place  # the last, "after", is the solid one
        trace = line([float(rank) for rank in range(1, len(result.cmc) + 1)], result.cmc, name, turn)
        figure.add_trace(trace.update(marker={"size": 4}, hovertemplate="%{y:.1%}"))
    figure.update_xaxes(title_text="Rank k (gallery images looked at)")
    figure.update_yaxes(title_text="Queries with a match (%)", tickformat=".0%")
    return dress(figure, "Cumulative match curve", height=400)


def curves_overview(history: Sequence[EpochRecord]) -> go.Figure:
    """Return loss, clusters with noise, and ARI above one another: the preview in Kedro-Viz."""
    if not history:
        note = {"text": "This method does not train.", "showarrow": False, "xref": "paper", "yref": "paper"}
        hidden = {"visible": False}
        return dress(go.Figure(), "Training").update_layout(annotations=[note], xaxis=hidden, yaxis=hidden)
    x, diagnosed = epochs(history), any(record.ground_truth for record in history)
    clusters = line(x, [record.clusters for record in history], "clusters", 2)
    noise = line(x, [record.noise_share for record in history], "noise share (right)", 1)
    ari = line(x, _agreement(history, "ari"), "ARI (diagnostic)", 3)
    parts = [
        Panel([line(x, [record.loss for record in history], "loss", 0)], "Loss"),
        Panel([clusters], "Clusters (count)", _FROM_0, noise),
        *([Panel([ari], "ARI (1 = perfect)", _SCORE)] if diagnosed else []),
    ]
    specs = [[{"secondary_y": part.right is not None}] for part in parts]
    figure = panels(x, parts, vertical_spacing=0.08, specs=specs)
    right = {"title_text": "Noise (%)", **_PERCENT, "showgrid": False, "tickmode": "auto"}
    figure.update_yaxes(**right, row=2, col=1, secondary_y=True)
    subtitle = f"ARI: {DIAGNOSTICS_ONLY}" if diagnosed else ""
    return dress(figure, "Training", subtitle=subtitle, height=200 * len(parts) + 80)
