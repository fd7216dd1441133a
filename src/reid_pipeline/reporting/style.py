"""One look for all figures: colours that colour-blind readers can tell apart, thin grids, nothing else."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import plotly.graph_objects as go
from plotly.subplots import make_subplots

# Okabe and Ito's palette, the darkest first; dashes and markers repeat what colour says.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "star")
_PATTERNS = ("", "/", ".", "\\", "x", "-")
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
_INK, _GRID = "#454c56", "#e3e6ea"

_AXIS = {
    "gridcolor": _GRID,
    "linecolor": _GRID,
    "zeroline": False,
    "ticks": "",
    "automargin": True,
    "title": {"standoff": 8, "font": {"size": 12}},
}
TEMPLATE = go.layout.Template(
    layout={
        "font": {"family": _FONT, "size": 12, "color": _INK},
        "colorway": list(COLOURS),
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "title": {
            "x": 0.01,
            "xanchor": "left",
            "y": 1,
            "yanchor": "top",
            "yref": "container",
            "pad": {"t": 14},
            "font": {"size": 15},
            "subtitle": {"font": {"size": 12}},
        },
        "xaxis": {**_AXIS, "showgrid": False, "showline": True},
        "yaxis": _AXIS,
        "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"},
        "hovermode": "x unified",
        "margin": {"l": 56, "r": 16, "t": 72, "b": 48},
    }
)


class Panel(NamedTuple):
    """One of several plots above one another.

    Attributes:
        traces: its lines.
        title: of its y axis.
        axis: further options of that axis.
        right: a line with an axis of its own at the right.
    """

    traces: Sequence[go.Scatter]
    title: str
    axis: Mapping[str, Any] = {}
    right: go.Scatter | None = None


def line(x: Sequence[float], y: Sequence[float | None], name: str, index: int) -> go.Scatter:
    """Return a line of colour, dash and marker number `index`; a None is a gap."""
    turn = index % len(COLOURS)
    return go.Scatter(
        x=list(x),
        y=list(y),
        name=name,
        mode="lines+markers" if len(x) <= 60 else "lines",
        line={"color": COLOURS[turn], "width": 2, "dash": DASHES[turn]},
        marker={"color": COLOURS[turn], "size": 6, "symbol": SYMBOLS[turn]},
    )


def panels(epochs: Sequence[float], parts: Sequence[Panel], **options: Any) -> go.Figure:
    """Return plots above one another over the same epochs; options are those of plotly's `make_subplots`."""
    figure = make_subplots(rows=len(parts), cols=1, shared_xaxes=True, **options)
    for row, panel in enumerate(parts, start=1):
        figure.add_traces(list(panel.traces), rows=row, cols=1)
        if panel.right is not None:
            figure.add_trace(panel.right, row=row, col=1, secondary_y=True)
        figure.update_yaxes(title_text=panel.title, **panel.axis, row=row, col=1)
    epoch_axis(figure, epochs, row=len(parts), col=1)
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
    return figure.update_layout(template=TEMPLATE, title=heading, height=height, showlegend=legend)


def epoch_axis(figure: go.Figure, epochs: Sequence[float], **where: int) -> None:
    """Title the x axis and, for few epochs, put its ticks on whole numbers."""
    ticks: dict[str, object] = {"dtick": 1} if 1 < len(epochs) <= 12 else {}
    if len(epochs) == 1:
        ticks = {"tickvals": list(epochs)}
    figure.update_xaxes(title_text="Epoch", **ticks, **where)
