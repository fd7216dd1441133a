"""The page of a study, its trials as CSV, and what the terminal says of it."""

import csv
import io
from collections.abc import Mapping
from typing import Any

from reid_pipeline.reporting.page import chart, rendered
from reid_pipeline.reporting.records import Record
from reid_pipeline.reporting.tables import UNMEASURED, aligned, count, percent, points
from reid_pipeline.reporting.tuning_figures import study_figures

_EXPLANATIONS = {
    "history": "Every trial that was scored, in the order they began.",
    "importances": "How much of the differences between trials goes back to each parameter. Few trials say little.",
    "parallel": "One line per trial trained to the end, the brighter the better; drag along an axis to pick lines.",
    "sensitivity": "Mean over the trials of a cell that were trained to the end, their number in brackets,"
    " and how many were given up.",
}
_STATES = {
    "complete": "trained to the end",
    "pruned": "given up",
    "fail": "failed, not counted",
    "running": "running",
    "waiting": "waiting",
}


def render_tuning_page(record: Record) -> str:
    """Return the page's HTML source: plotly.js and figures are inside, about 5 MB.

    Every value is escaped, nothing is loaded from anywhere, and the same record gives the same page.

    Args:
        record: as `tuning.results.study_record` returns it.
    """
    names = list(record["space"])
    return rendered(
        "tuning.html.j2",
        record=record,
        headlines=_headlines(record),
        names=names,
        best=_best_rows(record),
        rows=[_row(trial, names) for trial in record["trials"]],
        charts=[chart(name, made, _EXPLANATIONS[name]) for name, made in study_figures(record).items()],
        command=tuned_command(record),
    )


def trials_csv(record: Record) -> str:
    """Return a line per trial: number, state, dev mAP, seconds, last epoch, reason, and every parameter."""
    names = list(record["space"])
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["number", "state", "dev_mAP", "seconds", "last_epoch", "stopped", *names])
    for trial in record["trials"]:
        last = trial["scores"][-1][0] if trial["scores"] else None
        told = [trial["number"], trial["state"], trial["value"], trial["seconds"], last, trial["stopped"]]
        writer.writerow([*told, *(trial["params"].get(name) for name in names)])
    return text.getvalue()


def tuning_text(record: Record) -> str:
    """Return the study in short, for a terminal."""
    best = record["best"]
    lines = [f"{record['method']} on {record['benchmark']}, study {record['name']}: {_counted(record)}."]
    if best is None:
        return "\n".join([*lines, _no_best(record)])
    table = [["Parameter", "Configured", "Best"], *_best_rows(record)]
    lines += ["", *aligned(table), "", _gain(record), f"Use it: {tuned_command(record)}"]
    return "\n".join(lines)


def tuned_command(record: Record) -> str:
    """Return the command that trains with what the study found."""
    method, name = record["method"], record["name"]
    study = method if name == "main" else f"{method}/{name}"
    own = record.get("collection")  # one's own images are of the environment `custom`
    where = f"--env={'custom' if own else record['benchmark']} --pipeline={method}"
    return f"kedro run {where} --params {f'collection={own},' if own else ''}tuned={study}"


def _gain(record: Record) -> str:
    best, start = record["best"], record["start"]
    said = f"Best dev mAP {percent(best['value'])} % (trial {best['number']})"
    if start is None:
        return f"{said}; the parameters as configured were not trained to the end."
    gain = points(best["value"] - start["value"])
    return f"{said}, {gain} points from {percent(start['value'])} % as configured (trial {start['number']})."


def _no_best(record: Record) -> str:
    reasons = [str(trial["stopped"]) for trial in record["trials"] if trial["stopped"]]
    return "No trial was trained to the end" + (f"; the last one: {reasons[-1]}" if reasons else ".")


def _counted(record: Record) -> str:
    states = [trial["state"] for trial in record["trials"]]
    told = [f"{states.count(state)} {name}" for state, name in _STATES.items() if state in states]
    return f"{len(states)} trials: " + ", ".join(told)


def _headlines(record: Record) -> list[tuple[str, str, str]]:
    best, start = record["best"], record["start"]
    note = ""
    if best is not None and start is not None:
        note = f"{points(best['value'] - start['value'])} points from {percent(start['value'])} as configured"
    return [
        ("Best dev mAP, %", percent(best["value"] if best else None), note),
        ("Trials", count(len(record["trials"])), _counted(record).partition(": ")[2]),
    ]


def _best_rows(record: Record) -> list[list[str]]:
    best = record["best"]
    configured = record["start_values"]
    found: Mapping[str, Any] = best["params"] if best else {}
    return [[name, _shown(configured[name]), _shown(found.get(name))] for name in record["space"]]


def _row(trial: Record, names: list[str]) -> list[str]:
    last = trial["scores"][-1] if trial["scores"] else (None, None)
    seconds = UNMEASURED if trial["seconds"] is None else f"{trial['seconds']:.1f}"
    return [
        str(trial["number"]),
        _STATES[trial["state"]],
        percent(last[1]),
        count(last[0]),
        seconds,
        *(_shown(trial["params"].get(name)) for name in names),
        trial["stopped"] or "",
    ]


def _shown(value: Any) -> str:
    if value is None:
        return UNMEASURED
    return f"{value:.4g}" if isinstance(value, float) else str(value)
