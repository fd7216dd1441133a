"""A study as figures: its course, what mattered, which values went together, and a map of two parameters."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from reid_pipeline.reporting.records import Record
from reid_pipeline.reporting.style import COLOURS, SYMBOLS, dress

SENSITIVE = ("clustering.eps", "clustering.k1")
"""The two settings of clustering that a result hangs on most."""
_SCORE = "dev mAP (%)"
_MAX_BINS = 6


def study_figures(record: Record) -> dict[str, go.Figure]:
    """Return every figure of a study that has something to show, by name, in reading order.

    Args:
        record: as `tuning.results.study_record` returns it.

    Returns:
        some of `history`, `importances`, `parallel`, `sensitivity`.
    """
    complete = [trial for trial in record["trials"] if trial["state"] == "complete"]
    figures: dict[str, go.Figure] = {}
    if any(trial["scores"] for trial in record["trials"]):
        figures["history"] = history_figure(record["trials"])
    if record["importances"]:
        figures["importances"] = importance_bars(record["importances"])
    if complete:
        figures["parallel"] = parallel_coordinates(complete, record["space"])
    if complete and all(name in record["space"] for name in SENSITIVE):
        figures["sensitivity"] = sensitivity_map(record["trials"], *SENSITIVE)
    return figures


def history_figure(trials: Sequence[Record]) -> go.Figure:
    """Return each trial's last score by number, and the best so far of those that were trained to the end."""
    figure = go.Figure()
    kinds = {"complete": "trained to the end", "pruned": "given up, last score"}
    for place, (state, name) in enumerate(kinds.items()):
        shown = [trial for trial in trials if trial["state"] == state and trial["scores"]]
        figure.add_scatter(
            x=[trial["number"] for trial in shown],
            y=[trial["scores"][-1][1] for trial in shown],
            name=name,
            mode="markers",
            marker={"color": COLOURS[place], "size": 9, "symbol": SYMBOLS[place]},
        )
    best: list[tuple[int, float]] = []
    for trial in trials:
        if trial["value"] is not None:
            best.append((trial["number"], max([trial["value"], *(value for _, value in best[-1:])])))
    figure.add_scatter(
        x=[number for number, _ in best],
        y=[value for _, value in best],
        name="best so far",
        mode="lines",
        line={"color": COLOURS[2], "width": 2, "shape": "hv"},
    )
    figure.update_xaxes(title_text="Trial")
    figure.update_yaxes(title_text=_SCORE, tickformat=".1%")
    return dress(figure, "Course of the study").update_layout(showlegend=True)


def importance_bars(importances: Mapping[str, float]) -> go.Figure:
    """Return the share of the score's variance that each parameter explains, largest on top."""
    ordered = sorted(importances.items(), key=lambda item: item[1])
    figure = go.Figure(
        go.Bar(
            x=[share for _, share in ordered],
            y=[name for name, _ in ordered],
            orientation="h",
            marker={"color": COLOURS[0]},
        )
    )
    figure.update_xaxes(title_text="Share of the variance of the dev mAP (fANOVA)", tickformat=".0%")
    return dress(figure, "What mattered", height=max(240, 44 * len(ordered) + 120)).update_layout(showlegend=False)


def parallel_coordinates(complete: Sequence[Record], space: Mapping[str, Record]) -> go.Figure:
    """Return a line per trial trained to the end, through its values, coloured by its score."""
    scores = [trial["value"] for trial in complete]
    axes = [_axis(name, [trial["params"][name] for trial in complete], kind) for name, kind in space.items()]
    score = {"label": "dev mAP", "values": scores, "tickformat": ".1%"}
    line = {"color": scores, "colorscale": "Viridis", "showscale": False}
    figure = go.Figure(go.Parcoords(line=line, dimensions=[*axes, score], labelangle=-12, labelside="bottom"))
    return dress(figure, "Values that went together", height=440).update_layout(showlegend=False)


def _axis(name: str, values: Sequence[Any], kind: Record) -> dict[str, Any]:
    if kind["type"] == "categorical":
        named = sorted({str(value) for value in values})
        places = [named.index(str(value)) for value in values]
        return {"label": name, "values": places, "tickvals": list(range(len(named))), "ticktext": named}
    if not kind["log"]:
        return {"label": name, "values": list(values)}
    logs = [math.log10(value) for value in values]
    ticks = [min(logs) + step * (max(logs) - min(logs)) / 4 for step in range(5)]
    ticks = ticks if max(logs) > min(logs) else ticks[:1]
    return {"label": name, "values": logs, "tickvals": ticks, "ticktext": [f"{10**tick:.3g}" for tick in ticks]}


def sensitivity_map(trials: Sequence[Record], x_name: str, y_name: str) -> go.Figure:
    """Return the mean score of the trials at each pair of values, or of ranges of them where there are many.

    Only trials that were trained to the end enter a mean; those given up are counted in the cell, since a
    setting at which many are given up is not a good one, however well the others did.
    """
    tried = [trial for trial in trials if trial["state"] in {"complete", "pruned"} and trial["params"]]
    x_values, y_values = _values(tried, x_name), _values(tried, y_name)
    x_edges, x_labels = _bins(x_values)
    y_edges, y_labels = _bins(y_values)
    cells: dict[tuple[int, int], list[float | None]] = {}
    for trial, x, y in zip(tried, x_values, y_values, strict=True):
        place = _place(y, y_edges), _place(x, x_edges)
        cells.setdefault(place, []).append(trial["value"])
    rows = range(len(y_labels))
    columns = range(len(x_labels))
    figure = go.Figure(
        go.Heatmap(
            z=[[_mean(cells.get((row, column), [])) for column in columns] for row in rows],
            text=[[_cell_text(cells.get((row, column), [])) for column in columns] for row in rows],
            x=x_labels,
            y=y_labels,
            texttemplate="%{text}",
            colorscale="Viridis",
            hoverongaps=False,
            colorbar={"title": {"text": "dev mAP"}, "tickformat": ".0%"},
        )
    )
    figure.update_xaxes(title_text=x_name, type="category")
    figure.update_yaxes(title_text=y_name, type="category")
    return dress(figure, f"Sensitivity to {x_name} and {y_name}", height=420).update_layout(showlegend=False)


def _values(trials: Sequence[Record], name: str) -> list[float]:
    """Return a parameter's values; steps of a grid are added up in binary, so that 0.6 comes in two forms."""
    return [round(trial["params"][name], 9) for trial in trials]


def _bins(values: Sequence[float]) -> tuple[list[float], list[str]]:
    """Return lower edges, rising, and labels: one bin per distinct value, or a few of equal width."""
    distinct = sorted(set(values))
    if len(distinct) <= _MAX_BINS:
        return distinct, [f"{value:g}" for value in distinct]
    low, high = distinct[0], distinct[-1]
    width = (high - low) / _MAX_BINS
    edges = [low + step * width for step in range(_MAX_BINS)]
    return edges, [f"{edge:.3g} to {edge + width:.3g}" for edge in edges]


def _place(value: float, edges: Sequence[float]) -> int:
    return max(place for place, edge in enumerate(edges) if edge <= value)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _cell_text(values: Sequence[float | None]) -> str:
    """Return "61.2 (3)", the mean in % and its trials, with those given up: "61.2 (3), 1 given up"."""
    mean = _mean(values)
    known = sum(value is not None for value in values)
    given_up = len(values) - known
    parts = [f"{100 * mean:.1f} ({known})"] if mean is not None else []
    return ", ".join([*parts, *([f"{given_up} given up"] if given_up else [])])
