"""Curves of a training run and of retrieval as plotly figures, and the one look of all figures.

Values are drawn as they were recorded, without smoothing; one that was not measured is a gap. Shares and rates are
fractions in 0..1 that the axes print as percentages.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from reid_pipeline.reporting.formats import run_name, span
from reid_pipeline.schema.records import EpochRecord, Metrics

History = Sequence[EpochRecord]

# After Okabe and Ito, their two lightest darkened: three to one against paper, white or dark. Dashes and markers
# repeat what colour says.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#B98000", "#3B97CF")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "star")
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
_PATTERNS = ("", "/", ".", "\\", "x", "-")
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
_INK, _GRID = "#454c56", "#e3e6ea"

_AXIS_TITLE = {"standoff": 8, "font": {"size": 12}}
_AXIS = {"gridcolor": _GRID, "linecolor": _GRID, "zeroline": False, "ticks": "", "automargin": True}
_TITLE_PLACE = {"x": 0.01, "xanchor": "left", "y": 1, "yanchor": "top", "yref": "container", "pad": {"t": 14}}
_TEMPLATE = go.layout.Template(
    layout={
        "font": {"family": _FONT, "size": 12, "color": _INK},
        "colorway": list(COLOURS),
        **dict.fromkeys(("paper_bgcolor", "plot_bgcolor"), "rgba(0,0,0,0)"),
        "title": {**_TITLE_PLACE, "font": {"size": 15}, "subtitle": {"font": {"size": 12}}},
        "xaxis": {**_AXIS, "title": _AXIS_TITLE, "showgrid": False, "showline": True},
        "yaxis": {**_AXIS, "title": _AXIS_TITLE},
        "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"},
        "hovermode": "x unified",
        "margin": {"l": 56, "r": 16, "t": 72, "b": 48},
    }
)
_DIAGNOSTICS = "diagnostics only, never used in training"
_AGREEMENT = {"ari": "ARI", "nmi": "NMI"} | {
    f"{kind.lower()}_{part}": f"{kind} {part}" for kind in ("pairwise", "BCubed") for part in ("precision", "recall")
}
_FROM_0 = {"rangemode": "tozero"}
_PERCENT = {"tickformat": ".2~%", **_FROM_0}
_SCORE = {"range": [0, 1.02]}


class Panel(NamedTuple):
    """One of several plots above one another: its lines, y axis, and a line with an axis of its own at the right."""

    traces: Sequence[go.Scatter]
    title: str
    axis: Mapping[str, Any] = {}
    right: go.Scatter | None = None


def epochs(history: History) -> list[float]:
    """Return the epochs as recorded; where they start anew in a later stage, 1 to n."""
    recorded = [float(record.epoch) for record in history]
    rising = all(before < after for before, after in pairwise(recorded))
    return recorded if rising else [float(place + 1) for place in range(len(history))]


def training_curves(history: History) -> dict[str, go.Figure]:
    """Return the figures of a history that have something to show, by name, in reading order."""
    makers = {
        "loss": loss_curves,
        "clusters_and_noise": cluster_curves,
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


def loss_curves(history: History) -> go.Figure:
    """Return the loss, and its terms where there are several, above the learning rate."""
    terms = list(dict.fromkeys(name for record in history for name in record.losses))
    shown = terms if len(terms) > 1 else []
    x = epochs(history)
    losses = [line(x, [each.losses.get(term) for each in history], term, index) for index, term in enumerate(shown, 1)]
    rate = _recorded(history, "learning_rate", "learning rate", 0).update(showlegend=False)
    parts = [
        Panel([_recorded(history, "loss", "loss", 0), *losses], "Loss (mean of the epoch)"),
        Panel([rate], "Learning rate", {"exponentformat": "power", **_FROM_0}),
    ]
    figure = _panels(x, parts, vertical_spacing=0.1, row_heights=[0.62, 0.38])
    return dress(figure, "Loss and learning rate", height=460, legend=len(terms) > 1)


def cluster_curves(history: History) -> go.Figure:
    """Return the number of clusters above the share of images that are noise (fractions, drawn in %)."""
    parts = [
        Panel([_recorded(history, "clusters", "clusters", 0)], "Clusters (count)", _FROM_0),
        Panel([_recorded(history, "noise_share", "noise share", 1)], "Noise (% of images)", _PERCENT),
    ]
    figure = _panels(epochs(history), parts, vertical_spacing=0.1)
    return dress(figure, "Clusters and noise", height=460, legend=False)


def label_free_curves(history: History) -> go.Figure:
    """Return the measures that need no labels, in the epochs that made clusters; no trace where there are none."""
    made = [record for record in history if record.clusters is not None]
    x = [epoch for epoch, record in zip(epochs(history), history, strict=True) if record.clusters is not None]
    scores = {
        "cluster_quality": "cluster quality",
        "silhouette": "silhouette",
        "stability": "stability",
        "camera_balance": "camera balance",
    }
    shares = {"largest_cluster": "largest cluster", "noise_share": "noise"}
    parts: tuple[list[go.Scatter], list[go.Scatter]] = ([], [])
    for part, names in zip(parts, (scores, shares), strict=True):
        for index, (field, name) in enumerate(names.items(), len(parts[0])):
            values = [getattr(record, field) for record in made]
            if any(value is not None for value in values):
                part.append(line(x, values, name, index))
    titles: tuple[tuple[str, dict[str, Any]], ...] = (("Score (1 = perfect)", {}), ("Images (%)", _PERCENT))
    panels = [Panel(traces, *title) for traces, title in zip(parts, titles, strict=True) if traces]
    if not panels:
        return go.Figure()
    return dress(_panels(x, panels, vertical_spacing=0.1), "Measures without labels", height=230 * len(panels))


def cluster_size_bars(history: History) -> go.Figure:
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


def agreement_curves(history: History) -> go.Figure:
    """Return how well clusters agree with the ground truth; no trace where there is none."""
    figure, x = go.Figure(), epochs(history)
    for index, (key, name) in enumerate(_AGREEMENT.items()):
        values = _agreement(history, key)
        if any(value is not None for value in values):
            figure.add_trace(line(x, values, name, index))
    figure.update_yaxes(title_text="Score (1 = perfect)", **_SCORE)
    _title_epochs(figure, x)
    return dress(figure, "Agreement with the ground truth", subtitle=_DIAGNOSTICS, height=400)


def seconds_bars(history: History) -> go.Figure:
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
    _title_epochs(figure.update_yaxes(**_FROM_0), x)
    return figure


def cmc_curves(metrics: Sequence[Metrics]) -> go.Figure:
    """Return the CMC curves of the results that have one: shares of valid queries with a match in the first k."""
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


def curves_overview(history: History) -> go.Figure:
    """Return loss, clusters with noise, and ARI above one another: the preview in Kedro-Viz."""
    if not history:
        note = {"text": "This method does not train.", "showarrow": False, "xref": "paper", "yref": "paper"}
        hidden = {"visible": False}
        return dress(go.Figure(), "Training").update_layout(annotations=[note], xaxis=hidden, yaxis=hidden)
    x, diagnosed = epochs(history), any(record.ground_truth for record in history)
    noise = _recorded(history, "noise_share", "noise share (right)", 1)
    ari = line(x, _agreement(history, "ari"), "ARI (diagnostic)", 3)
    parts = [
        Panel([_recorded(history, "loss", "loss", 0)], "Loss"),
        Panel([_recorded(history, "clusters", "clusters", 2)], "Clusters (count)", _FROM_0, noise),
        *([Panel([ari], "ARI (1 = perfect)", _SCORE)] if diagnosed else []),
    ]
    figure = _panels(
        x, parts, vertical_spacing=0.08, specs=[[{"secondary_y": part.right is not None}] for part in parts]
    )
    right = {"title_text": "Noise (%)", **_PERCENT, "showgrid": False, "tickmode": "auto"}
    figure.update_yaxes(**right, row=2, col=1, secondary_y=True)
    subtitle = f"ARI: {_DIAGNOSTICS}" if diagnosed else ""
    return dress(figure, "Training", subtitle=subtitle, height=200 * len(parts) + 80)


def _recorded(history: History, field: str, name: str, index: int) -> go.Scatter:
    """Return the line of a field of the records."""
    return line(epochs(history), [getattr(record, field) for record in history], name, index)


def _agreement(history: History, name: str) -> list[float | None]:
    return [getattr(record.ground_truth, name, None) for record in history]


def line(x: Sequence[float], y: Sequence[float | None], name: str, index: int) -> go.Scatter:
    """Return a line of colour, dash and marker number `index`; a None is a gap."""
    turn = index % len(COLOURS)
    stroke = {"color": COLOURS[turn], "width": 2, "dash": _DASHES[turn]}
    marker = {"color": COLOURS[turn], "size": 6, "symbol": SYMBOLS[turn]}
    mode = "lines+markers" if len(x) <= 60 else "lines"
    return go.Scatter(x=list(x), y=list(y), name=name, mode=mode, line=stroke, marker=marker)


def _panels(epochs: Sequence[float], parts: Sequence[Panel], **options: Any) -> go.Figure:
    """Return plots above one another over the same epochs; options are those of plotly's `make_subplots`."""
    figure = make_subplots(rows=len(parts), cols=1, shared_xaxes=True, **options)
    for row, panel in enumerate(parts, start=1):
        figure.add_traces(list(panel.traces), rows=row, cols=1)
        if panel.right is not None:
            figure.add_trace(panel.right, row=row, col=1, secondary_y=True)
        figure.update_yaxes(title_text=panel.title, **panel.axis, row=row, col=1)
    _title_epochs(figure, epochs, row=len(parts), col=1)
    return figure


def bars(
    title: str,
    x: Sequence[str] | Sequence[float],
    groups: Mapping[str, Sequence[float | None]],
    *,
    axes: tuple[str, str],
    colours: Sequence[int] = range(len(COLOURS)),
    stacked: bool = False,
) -> go.Figure:
    """Return bars of one colour and hatching a group, side by side over categories or stacked over numbers."""
    figure = go.Figure()
    for index, (name, values) in enumerate(groups.items()):
        turn = colours[index % len(colours)]
        pattern = {"shape": _PATTERNS[turn], "size": 7, "solidity": 0.2, "fillmode": "overlay", "fgcolor": "#ffffff"}
        figure.add_bar(x=list(x), y=list(values), name=name, marker={"color": COLOURS[turn], "pattern": pattern})
    figure.update_layout(barmode="stack" if stacked else "group", bargap=0.25, showlegend=True)
    figure.update_xaxes(title_text=axes[0], type=None if stacked else "category")
    figure.update_yaxes(title_text=axes[1])
    return dress(figure, title)


def dress(figure: go.Figure, title: str, *, subtitle: str = "", height: int = 360, legend: bool = True) -> go.Figure:
    """Give a figure the house style, a title and a height in pixels; return it."""
    heading: dict[str, object] = {"text": title}
    if subtitle:
        heading["subtitle"] = {"text": subtitle}
        figure.update_layout(margin={"t": 108})  # the legend's line is below the subtitle
    return figure.update_layout(template=_TEMPLATE, title=heading, height=height, showlegend=legend)


def _title_epochs(figure: go.Figure, epochs: Sequence[float], **where: int) -> None:
    """Title the x axis and, for few epochs, put its ticks on whole numbers."""
    one: dict[str, object] = {"tickvals": list(epochs)} if len(epochs) == 1 else {}
    few: dict[str, object] = {"dtick": 1} if 1 < len(epochs) <= 12 else {}
    figure.update_xaxes(title_text="Epoch", **one, **few, **where)
