"""One look for all figures: colours that colour-blind readers can tell apart, thin grids, nothing else."""

import plotly.graph_objects as go

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


def line(x: list[float], y: list[float | None], name: str, index: int) -> go.Scatter:
    """Return a line of the house's colour, dash and marker number `index`; a None is a gap."""
    turn = index % len(COLOURS)
    return go.Scatter(
        x=x,
        y=y,
        name=name,
        mode="lines+markers" if len(x) <= 60 else "lines",
        line={"color": COLOURS[turn], "width": 2, "dash": DASHES[turn]},
        marker={"color": COLOURS[turn], "size": 6, "symbol": SYMBOLS[turn]},
    )


def pattern(index: int) -> dict[str, object]:
    """Return the hatching of bars of colour number `index`; the first is plain."""
    shape = _PATTERNS[index % len(_PATTERNS)]
    return {"shape": shape, "size": 7, "solidity": 0.2, "fillmode": "overlay", "fgcolor": "#ffffff"}


def dress(figure: go.Figure, title: str, *, subtitle: str = "", height: int = 360) -> go.Figure:
    """Give a figure the house style, a title and a height in pixels; return it."""
    heading: dict[str, object] = {"text": title}
    if subtitle:
        heading["subtitle"] = {"text": subtitle}
        figure.update_layout(margin={"t": 108})  # the legend's line is below the subtitle
    return figure.update_layout(template=TEMPLATE, title=heading, height=height)


def epoch_axis(figure: go.Figure, epochs: list[float], **where: int) -> None:
    """Title the x axis and, for few epochs, put its ticks on whole numbers."""
    ticks: dict[str, object] = {"dtick": 1} if 1 < len(epochs) <= 12 else {}
    if len(epochs) == 1:
        ticks = {"tickvals": epochs}
    figure.update_xaxes(title_text="Epoch", **ticks, **where)
