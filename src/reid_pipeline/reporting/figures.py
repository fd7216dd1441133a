"""Curves of a training run and of retrieval, as plotly figures.

Values are drawn as they were recorded, in the records' own units; shares and rates are fractions in 0..1 that
the axes print as percentages. Nothing is smoothed. A value that was not measured is a gap.
"""

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from reid_pipeline.reporting.records import any_measured, epochs, names_in
from reid_pipeline.reporting.style import COLOURS, dress, epoch_axis, line, pattern
from reid_pipeline.reporting.words import run_name
from reid_pipeline.schema.records import EpochRecord, Metrics, SizeBin

DIAGNOSTICS_ONLY = "diagnostics only, never used in training"
_AGREEMENT = {
    "ari": "ARI",
    "nmi": "NMI",
    "pairwise_precision": "pairwise precision",
    "pairwise_recall": "pairwise recall",
    "bcubed_precision": "BCubed precision",
    "bcubed_recall": "BCubed recall",
}


def loss_curves(history: Sequence[EpochRecord]) -> go.Figure:
    """Return the loss, and its terms where there are several, above the learning rate."""
    x = epochs(history)
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.1, row_heights=[0.62, 0.38])
    figure.add_trace(line(x, [record.loss for record in history], "loss", 0), row=1, col=1)
    terms = names_in(record.losses for record in history)
    for index, term in enumerate(terms if len(terms) > 1 else (), start=1):
        values = [record.losses.get(term) for record in history]
        figure.add_trace(line(x, values, term, index), row=1, col=1)
    rates: list[float | None] = [record.learning_rate for record in history]
    rate = line(x, rates, "learning rate", 0).update(showlegend=False)
    figure.add_trace(rate, row=2, col=1)
    figure.update_yaxes(title_text="Loss (mean of the epoch)", row=1, col=1)
    figure.update_yaxes(title_text="Learning rate", exponentformat="power", rangemode="tozero", row=2, col=1)
    epoch_axis(figure, x, row=2, col=1)
    return dress(figure, "Loss and learning rate", height=460).update_layout(showlegend=len(terms) > 1)


def cluster_curves(history: Sequence[EpochRecord]) -> go.Figure:
    """Return the number of clusters above the share of images that are noise (fractions, drawn in %)."""
    x = epochs(history)
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.1)
    figure.add_trace(line(x, [record.clusters for record in history], "clusters", 0), row=1, col=1)
    figure.add_trace(line(x, [record.noise_share for record in history], "noise share", 1), row=2, col=1)
    figure.update_yaxes(title_text="Clusters (count)", rangemode="tozero", row=1, col=1)
    figure.update_yaxes(title_text="Noise (% of images)", tickformat=".0%", rangemode="tozero", row=2, col=1)
    epoch_axis(figure, x, row=2, col=1)
    return dress(figure, "Clusters and noise", height=460).update_layout(showlegend=False)


def cluster_size_bars(history: Sequence[EpochRecord]) -> go.Figure:
    """Return how many clusters have which size, in the first and the last epoch that recorded it."""
    filled = [
        (epoch, record.cluster_sizes.histogram)
        for epoch, record in zip(epochs(history), history, strict=True)
        if record.cluster_sizes and record.cluster_sizes.histogram
    ]
    shown = [filled[0], filled[-1]] if len(filled) > 1 else filled
    spans = _filled_spans([bins for _, bins in shown])
    figure = go.Figure()
    for index, (epoch, bins) in enumerate(shown):
        counts = {(each.low, each.high): each.clusters for each in bins}
        turn = index if len(shown) > 1 else 0
        figure.add_bar(
            x=[str(low) if low == high else f"{low}–{high}" for low, high in spans],  # noqa: RUF001
            y=[counts.get(span, 0) for span in spans],
            name=f"epoch {epoch:g}",
            marker={"color": COLOURS[1 - turn], "pattern": pattern(1 - turn)},
        )
    figure.update_layout(barmode="group", bargap=0.25, showlegend=True)
    figure.update_xaxes(title_text="Images in the cluster", type="category")
    figure.update_yaxes(title_text="Clusters (count)")
    return dress(figure, "Cluster sizes")


def _filled_spans(histograms: Sequence[Sequence[SizeBin]]) -> list[tuple[int, int]]:
    """Return all (low, high), sorted, from the first to the last that holds a cluster anywhere."""
    spans = sorted({(each.low, each.high) for bins in histograms for each in bins})
    filled = {(each.low, each.high) for bins in histograms for each in bins if each.clusters}
    places = [place for place, span in enumerate(spans) if span in filled]
    return spans[places[0] : places[-1] + 1] if places else []


def agreement_curves(history: Sequence[EpochRecord]) -> go.Figure:
    """Return how well clusters agree with the ground truth; no trace where there is none."""
    figure, x = go.Figure(), epochs(history)
    for index, (key, name) in enumerate(_AGREEMENT.items()):
        values = _agreement(history, key)
        if any_measured(values):
            figure.add_trace(line(x, values, name, index))
    figure.update_yaxes(title_text="Score (1 = perfect)", range=[0, 1.02])
    epoch_axis(figure, x)
    return dress(figure, "Agreement with the ground truth", subtitle=DIAGNOSTICS_ONLY, height=400)


def _agreement(history: Sequence[EpochRecord], name: str) -> list[float | None]:
    return [getattr(record.ground_truth, name, None) for record in history]


def seconds_bars(history: Sequence[EpochRecord]) -> go.Figure:
    """Return the seconds of each part, stacked; what `epoch` has beyond its parts is "other"."""
    figure, x = go.Figure(), epochs(history)
    spent: Sequence[Mapping[str, float]] = [record.seconds for record in history]
    parts: dict[str, list[float | None]] = {
        name: [seconds.get(name) for seconds in spent] for name in names_in(spent) if name != "epoch"
    }
    whole = [seconds.get("epoch") for seconds in spent]
    rest = [
        None if total is None else max(0.0, total - sum(values[i] or 0.0 for values in parts.values()))
        for i, total in enumerate(whole)
    ]
    if sum(value or 0.0 for value in rest) > 0.005 * sum(value or 0.0 for value in whole):
        parts["other"] = rest
    for index, (name, values) in enumerate(parts.items()):
        turn = index % len(COLOURS)
        marker = {"color": COLOURS[turn], "pattern": pattern(turn)}
        figure.add_bar(x=x, y=values, name=name, marker=marker)
    figure.update_layout(barmode="stack", bargap=0.25, showlegend=True)
    figure.update_yaxes(title_text="Time (s)", rangemode="tozero")
    epoch_axis(figure, x)
    return dress(figure, "Seconds per epoch")


def cmc_curves(metrics: Sequence[Metrics]) -> go.Figure:
    """Return the cumulative match curves of several results; one without `cmc` has no trace.

    The share of valid queries with a match among the first 1 to k gallery images.
    """
    figure = go.Figure()
    shown = [(place, result) for place, result in enumerate(metrics) if result.cmc]
    seeds = {result.seed for _, result in shown}
    for place, result in shown:
        name = run_name(result.method, result.variant)
        name += f", seed {result.seed}" if len(seeds) > 1 else ""
        ranks = [float(rank) for rank in range(1, len(result.cmc) + 1)]
        turn = len(metrics) - 1 - place  # the last, "after", is the solid one
        trace = line(ranks, list(result.cmc), name, turn)
        figure.add_trace(trace.update(marker={"size": 4}, hovertemplate="%{y:.1%}"))
    figure.update_layout(showlegend=True)
    figure.update_xaxes(title_text="Rank k (gallery images looked at)")
    figure.update_yaxes(title_text="Queries with a match (%)", tickformat=".0%")
    return dress(figure, "Cumulative match curve", height=400)


def training_curves(history: Sequence[EpochRecord]) -> dict[str, go.Figure]:
    """Return every figure of a history that has something to show, by name, in reading order.

    Args:
        history: one record per epoch; empty for a method that does not train.

    Returns:
        some of `loss`, `clusters`, `cluster_sizes`, `agreement`, `seconds`.
    """
    makers = {
        "loss": loss_curves,
        "clusters": cluster_curves,
        "cluster_sizes": cluster_size_bars,
        "agreement": agreement_curves,
        "seconds": seconds_bars,
    }
    figures = {name: make(history) for name, make in makers.items()} if history else {}
    return {name: figure for name, figure in figures.items() if _shows_something(figure)}


def curves_overview(history: Sequence[EpochRecord]) -> go.Figure:
    """Return loss, clusters with noise, and ARI above one another: the preview in Kedro-Viz."""
    if not history:
        note = {"text": "This method does not train.", "showarrow": False, "xref": "paper", "yref": "paper"}
        hidden = {"visible": False}
        return dress(go.Figure(), "Training").update_layout(annotations=[note], xaxis=hidden, yaxis=hidden)
    x, rows = (epochs(history), 3 if any(record.ground_truth for record in history) else 2)
    figure = make_subplots(
        rows=rows,
        cols=1,
        shared_xaxes=True,
        vertical_spacing=0.08,
        specs=[[{"secondary_y": row == 2}] for row in range(1, rows + 1)],
    )
    figure.add_trace(line(x, [record.loss for record in history], "loss", 0), row=1, col=1)
    figure.add_trace(line(x, [record.clusters for record in history], "clusters", 2), row=2, col=1)
    noise = line(x, [record.noise_share for record in history], "noise share (right)", 1)
    figure.add_trace(noise, row=2, col=1, secondary_y=True)
    figure.update_yaxes(title_text="Loss", row=1, col=1)
    figure.update_yaxes(title_text="Clusters (count)", rangemode="tozero", row=2, col=1, secondary_y=False)
    right = {"title_text": "Noise (%)", "tickformat": ".0%", "showgrid": False, "rangemode": "tozero"}
    right["tickmode"] = "auto"
    figure.update_yaxes(**right, row=2, col=1, secondary_y=True)
    if rows == 3:
        figure.add_trace(line(x, _agreement(history, "ari"), "ARI (diagnostic)", 3), row=3, col=1)
        figure.update_yaxes(title_text="ARI (1 = perfect)", range=[0, 1.02], row=3, col=1)
    epoch_axis(figure, x, row=rows, col=1)
    subtitle = f"ARI: {DIAGNOSTICS_ONLY}" if rows == 3 else ""
    return dress(figure, "Training", subtitle=subtitle, height=200 * rows + 80).update_layout(showlegend=True)


def _shows_something(figure: go.Figure) -> bool:
    return any(any_measured(trace.y or ()) for trace in figure.data)
