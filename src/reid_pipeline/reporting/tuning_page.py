"""The page of a study, its trials as CSV, and its summary for the terminal."""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import plotly.graph_objects as go

from reid_pipeline.reporting.figures import COLOURS, SYMBOLS, dress
from reid_pipeline.reporting.formats import UNMEASURED, count, percent, points
from reid_pipeline.reporting.page import Column, Headline, Table, charts, csv_text, rendered
from reid_pipeline.reporting.parallel_coordinates import parallel_coordinates
from reid_pipeline.schema.place import as_typed_here
from reid_pipeline.schema.sample import in_words, whole_and_identities
from reid_pipeline.schema.tuning import Study, StudyTrial

_STATES = {
    "complete": "trained to the end",
    "pruned": "given up",
    "fail": "failed, not counted",
    "running": "running",
    "waiting": "waiting",
}
SENSITIVE = ("clustering.eps", "clustering.k1")  # a result depends on them most
_SCORE = "dev mAP (%)"
_MAX_BINS = 6


def render_tuning_page(study: Study) -> str:
    """Return the page's HTML source. The same study gives the same page."""
    return rendered(
        "tuning.html.j2",
        study=study,
        benchmark=in_words(study.benchmark),
        headlines=[
            Headline("Best dev mAP, %", percent(study.best.value if study.best else None), _gain(study)),
            Headline("Trials", count(len(study.trials)), _states(study)),
        ],
        best=_best_table(study),
        trials=_trials_table(study),
        charts=charts(study_figures(study)),
        command=tuned_command(study),
    )


def trials_csv(study: Study) -> str:
    """Return a line per trial: number, state, dev mAP, seconds, last epoch, reason, and every parameter."""
    names = ["number", "state", "dev_mAP", "seconds", "last_epoch", "stopped", *study.space]
    rows = []
    for trial in study.trials:
        facts = (trial.number, trial.state, trial.value, trial.seconds, _last_score(trial)[0], trial.stopped)
        rows.append((*facts, *map(trial.params.get, study.space)))
    return csv_text(names, rows)


def tuning_text(study: Study) -> str:
    """Return the study in short, for a terminal."""
    trials = f"{len(study.trials)} trials: {_states(study)}"
    title = f"{study.method} on {in_words(study.benchmark)}, study {study.name}: {trials}."
    if study.best is None:
        reasons = [trial.stopped for trial in study.trials if trial.stopped]
        return f"{title}\nNo trial was trained to the end" + (f"; the last one: {reasons[-1]}" if reasons else ".")
    best = f"Best dev mAP {percent(study.best.value)} % (trial {study.best.number})"
    gain = f", {_gain(study, ' %')} (trial {study.start.number})." if study.start else ""
    best += gain or "; the parameters as configured were not trained to the end."
    return "\n".join([title, "", *_best_table(study).text(), "", best, f"Use it: {tuned_command(study)}"])


def tuned_command(study: Study) -> str:
    """Return the command that trains with what the study found."""
    own = study.collection  # one's own images are of the environment `custom`
    benchmark, sample = whole_and_identities(study.benchmark)
    where = f"--env={'custom' if own else benchmark} --pipeline={study.method}"
    tuned = study.method if study.name == "main" else f"{study.method}/{study.name}"
    given = [*([f"collection={own}"] if own else []), *([f"sample={sample}"] if sample else []), f"tuned={tuned}"]
    return as_typed_here(f"kedro run {where} --params {','.join(given)}")


def _gain(study: Study, unit: str = "") -> str:
    """Return how much better the best trial is than the parameters as configured; empty where it is not known."""
    if not study.best or not study.start or study.best.value is None or study.start.value is None:
        return ""
    gain = points(study.best.value - study.start.value)
    return f"{gain} points from {percent(study.start.value)}{unit} as configured"


def _states(study: Study) -> str:
    states = [trial.state for trial in study.trials]
    return ", ".join(f"{states.count(state)} {name}" for state, name in _STATES.items() if state in states)


def _best_table(study: Study) -> Table:
    values = study.best.params if study.best else {}
    columns = [
        Column("Parameter", [*study.space]),
        Column("Configured", [_shown(study.start_values[name]) for name in study.space]),
        Column("Best", [_shown(values.get(name)) for name in study.space]),
    ]
    return Table("best values", columns, "As configured when the study was last run, and of the best trial.")


def _trials_table(study: Study) -> Table:
    trials = study.trials
    columns = [
        Column("Trial", [str(trial.number) for trial in trials]),
        Column("State", [_STATES[trial.state] for trial in trials], words=True),
        Column("dev mAP", [percent(_last_score(trial)[1]) for trial in trials]),
        Column("Epoch", [count(_last_score(trial)[0]) for trial in trials]),
        Column("Seconds", [UNMEASURED if trial.seconds is None else f"{trial.seconds:.1f}" for trial in trials]),
        *(Column(name, [_shown(trial.params.get(name)) for trial in trials]) for name in study.space),
        Column("Why it stopped", [trial.stopped or "" for trial in trials], words=True),
    ]
    return Table("trials", columns, "Last score in %, and the epoch it was taken after.")


def _last_score(trial: StudyTrial) -> tuple[int, float] | tuple[None, None]:
    return trial.scores[-1] if trial.scores else (None, None)


def _shown(value: Any) -> str:
    if value is None:
        return UNMEASURED
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def study_figures(study: Study) -> dict[str, go.Figure]:
    """Return the figures of a study that have something to show, by name, in reading order."""
    complete = [trial for trial in study.trials if trial.state == "complete"]
    figures: dict[str, go.Figure] = {}
    if any(trial.scores for trial in study.trials):
        figures["history"] = history_figure(study.trials)
    if study.importances:
        figures["importances"] = _importance_bars(study.importances)
    if complete:
        figures["parallel"] = parallel_coordinates(complete, study.space)
    if complete and all(name in study.space for name in SENSITIVE):
        figures["sensitivity"] = sensitivity_map(study.trials, *SENSITIVE)
    return figures


def history_figure(trials: Sequence[StudyTrial]) -> go.Figure:
    """Return each trial's last score by number, and the best so far of those that were trained to the end."""
    figure = go.Figure()
    kinds = {"complete": "trained to the end", "pruned": "given up, last score"}
    for place, (state, name) in enumerate(kinds.items()):
        shown = [trial for trial in trials if trial.state == state and trial.scores]
        numbers, scores = [trial.number for trial in shown], [trial.scores[-1][1] for trial in shown]
        marker = {"color": COLOURS[place], "size": 9, "symbol": SYMBOLS[place]}
        figure.add_scatter(x=numbers, y=scores, name=name, mode="markers", marker=marker)
    scored = {trial.number: trial.value for trial in trials if trial.value is not None}
    stroke = {"color": COLOURS[2], "width": 2, "shape": "hv"}
    best = [*accumulate(scored.values(), max)]
    figure.add_scatter(x=[*scored], y=best, name="best so far", mode="lines", line=stroke)
    figure.update_xaxes(title_text="Trial")
    figure.update_yaxes(title_text=_SCORE, tickformat=".1%", autorangeoptions={"clipmin": 0, "clipmax": 1})
    return dress(figure, "Course of the study")


def _importance_bars(importances: Mapping[str, float]) -> go.Figure:
    """Return the share of the score's variance that each parameter explains, largest on top."""
    ordered = dict(sorted(importances.items(), key=lambda item: item[1]))
    figure = go.Figure()
    figure.add_bar(x=list(ordered.values()), y=list(ordered), orientation="h", marker={"color": COLOURS[0]})
    figure.update_xaxes(title_text="Share of the variance of the dev mAP (fANOVA)", tickformat=".0%")
    return dress(figure, "What mattered", height=max(240, 44 * len(ordered) + 120), legend=False)


def sensitivity_map(trials: Sequence[StudyTrial], x_name: str, y_name: str) -> go.Figure:
    """Return the mean score of the trials at each pair of values, or of ranges of them where there are many.

    Only trials that were trained to the end enter a mean; those given up are counted in the cell.
    """
    tried = [trial for trial in trials if trial.state in {"complete", "pruned"} and trial.params]
    x_labels, columns = _binned([trial.params[x_name] for trial in tried])
    y_labels, rows = _binned([trial.params[y_name] for trial in tried])
    cells: list[list[list[float | None]]] = [[[] for _ in x_labels] for _ in y_labels]
    for trial, row, column in zip(tried, rows, columns, strict=True):
        cells[row][column].append(trial.value)
    figure = go.Figure()
    figure.add_heatmap(
        z=[[_mean(values) for values in row] for row in cells],
        text=[[_cell_text(values) for values in row] for row in cells],
        x=x_labels,
        y=y_labels,
        texttemplate="%{text}",
        colorscale="Viridis",
        hoverongaps=False,
        colorbar={"title": {"text": "dev mAP"}, "tickformat": ".0%"},
    )
    figure.update_xaxes(title_text=x_name, type="category")
    figure.update_yaxes(title_text=y_name, type="category")
    return dress(figure, f"Sensitivity to {x_name} and {y_name}", height=420, legend=False)


def _binned(values: Sequence[float]) -> tuple[list[str], list[int]]:
    """Return the labels of bins, one per distinct value or a few of equal width, and the bin of every value."""
    rounded = [round(value, 9) for value in values]  # steps of a grid are summed in binary: 0.6 comes in two forms
    edges = sorted(set(rounded))
    labels = [f"{value:g}" for value in edges]
    if len(edges) > _MAX_BINS:
        width = (edges[-1] - edges[0]) / _MAX_BINS
        edges = [edges[0] + step * width for step in range(_MAX_BINS)]
        labels = [f"{edge:.3g} to {edge + width:.3g}" for edge in edges]
    return labels, (np.searchsorted(edges, rounded, side="right") - 1).tolist()


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _cell_text(values: Sequence[float | None]) -> str:
    """Return "61.2 (3)", the mean in % and its trials, with those given up: "61.2 (3), 1 given up"."""
    mean, given_up = _mean(values), values.count(None)
    ended = "" if mean is None else f"{100 * mean:.1f} ({len(values) - given_up})"
    return ", ".join(filter(None, [ended, f"{given_up} given up" if given_up else ""]))
