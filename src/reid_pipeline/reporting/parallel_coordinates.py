"""Parallel coordinates of a study's trials, drawn as lines: plotly's own kind needs WebGL, and is empty without it."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from reid_pipeline.reporting.figures import COLOURS, dress
from reid_pipeline.reporting.formats import percent
from reid_pipeline.schema.tuning import SearchedRange, StudyTrial

MOST = 200
"""Lines that are drawn, those of the best trials: each is a part of the page."""
_BEST = 5  # drawn strongly
_FAINTEST = 0.15


def parallel_coordinates(complete: Sequence[StudyTrial], space: Mapping[str, SearchedRange]) -> go.Figure:
    """Return a line per trial trained to the end, through its values to its score; the better, the stronger.

    Each axis goes from the lowest to the highest value that was tried; its ends are written beside it.
    """
    ranked = sorted(complete, key=lambda trial: (-(trial.value or 0.0), trial.number))[:MOST]
    axes = {name: _axis([trial.params[name] for trial in ranked], kind) for name, kind in space.items()}
    axes["dev mAP"] = _scaled([trial.value or 0.0 for trial in ranked], percent)
    figure = go.Figure()
    for place, trial in reversed([*enumerate(ranked)]):  # the best are drawn last, over the others
        heights = [positions[place] for positions, _ in axes.values()]
        figure.add_trace(_line(trial, heights, place, len(ranked)))
    marks = [
        {"x": x, "y": y, "text": _plain(text), "xanchor": "left", "xshift": 4, "showarrow": False, "font": {"size": 10}}
        for x, (_, ends) in enumerate(axes.values())
        for y, text in ends.items()
    ]
    rules = [
        {"type": "line", "name": "rule", "x0": x, "x1": x, "y0": 0, "y1": 1, "line": {"width": 1, "color": "#d8dde3"}}
        for x in range(len(axes))
    ]
    figure.update_layout(annotations=marks, shapes=rules, hovermode="closest")
    names = {"tickvals": [*range(len(axes))], "ticktext": [_plain(name) for name in axes]}
    figure.update_xaxes(**names, range=[-0.1, len(axes) - 0.4], showline=False, tickangle=-90)
    figure.update_yaxes(visible=False, range=[-0.06, 1.06])
    left_out = f"the best {MOST} of {len(complete)} trials" if len(complete) > MOST else ""
    return dress(figure, "Values that went together", subtitle=left_out, height=440, legend=False)


def _line(trial: StudyTrial, heights: Sequence[float], place: int, number: int) -> go.Scatter:
    """Return the line of the trial that is number `place` among so many, the best being 0."""
    is_best, share = place < min(_BEST, number), 1 - place / number
    stroke = {"color": COLOURS[1 if not place else 0], "width": 3 if not place else 2 if is_best else 1}
    values = "<br>".join(f"{_plain(name)}: {_plain(_shown(value))}" for name, value in trial.params.items())
    return go.Scatter(
        x=[*range(len(heights))],
        y=heights,
        mode="lines+markers" if not place else "lines",
        line=stroke,
        opacity=1 if is_best else _FAINTEST + (1 - _FAINTEST) * share**2,
        name=f"trial {trial.number}",
        hovertemplate=f"trial {trial.number}: {percent(trial.value)} %<br>{values}<extra></extra>",
    )


def _axis(values: Sequence[Any], kind: SearchedRange) -> tuple[list[float], dict[float, str]]:
    """Return where in 0..1 each value stands, and what is written where."""
    if kind.type == "categorical":
        named = sorted(set(map(str, values)))
        places = {name: place / max(1, len(named) - 1) for place, name in enumerate(named)}
        return [places[str(value)] for value in values], {place: name for name, place in places.items()}
    if kind.log:
        return _scaled([math.log10(value) for value in values], lambda exponent: _shown(10**exponent))
    return _scaled(list(values), _shown)


def _scaled(values: Sequence[float], shown: Any) -> tuple[list[float], dict[float, str]]:
    low, high = min(values), max(values)
    if low == high:
        return [0.5] * len(values), {0.5: shown(low)}
    return [(value - low) / (high - low) for value in values], {0.0: shown(low), 1.0: shown(high)}


def _shown(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _plain(text: str) -> str:
    """Return a text that plotly writes as it is: it would read tags."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
