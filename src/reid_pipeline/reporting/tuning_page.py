"""The page of a study, its trials as CSV, and its summary for the terminal."""

from typing import Any

from reid_pipeline.reporting.formats import UNMEASURED, count, percent, points
from reid_pipeline.reporting.page import Headline, charts, rendered
from reid_pipeline.reporting.tables import Column, Table, csv_text
from reid_pipeline.reporting.tuning_figures import study_figures
from reid_pipeline.schema.tuning import Study, StudyTrial

_STATES = {
    "complete": "trained to the end",
    "pruned": "given up",
    "fail": "failed, not counted",
    "running": "running",
    "waiting": "waiting",
}


def render_tuning_page(study: Study) -> str:
    """Return the page's HTML source: plotly.js and figures are inside, about 5 MB.

    Every value is escaped, nothing is loaded from anywhere, and the same study gives the same page.
    """
    return rendered(
        "tuning.html.j2",
        study=study,
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
    rows = [
        (
            *(trial.number, trial.state, trial.value, trial.seconds, _last_score(trial)[0], trial.stopped),
            *(trial.params.get(name) for name in study.space),
        )
        for trial in study.trials
    ]
    return csv_text(["number", "state", "dev_mAP", "seconds", "last_epoch", "stopped", *study.space], rows)


def tuning_text(study: Study) -> str:
    """Return the study in short, for a terminal."""
    title = f"{study.method} on {study.benchmark}, study {study.name}: {len(study.trials)} trials: {_states(study)}."
    if study.best is None:
        reasons = [trial.stopped for trial in study.trials if trial.stopped]
        return f"{title}\nNo trial was trained to the end" + (f"; the last one: {reasons[-1]}" if reasons else ".")
    best = f"Best dev mAP {percent(study.best.value)} % (trial {study.best.number})"
    if study.start is None:
        best += "; the parameters as configured were not trained to the end."
    else:
        best += f", {_gain(study, ' %')} (trial {study.start.number})."
    return "\n".join([title, "", *_best_table(study).text(), "", best, f"Use it: {tuned_command(study)}"])


def tuned_command(study: Study) -> str:
    """Return the command that trains with what the study found."""
    own = study.collection  # one's own images are of the environment `custom`
    where = f"--env={'custom' if own else study.benchmark} --pipeline={study.method}"
    tuned = study.method if study.name == "main" else f"{study.method}/{study.name}"
    return f"kedro run {where} --params {f'collection={own},' if own else ''}tuned={tuned}"


def _gain(study: Study, unit: str = "") -> str:
    """Return how much better the best trial is than the parameters as configured; empty where it is not known."""
    if not study.best or not study.start or study.best.value is None or study.start.value is None:
        return ""
    gain = points(study.best.value - study.start.value)
    return f"{gain} points from {percent(study.start.value)}{unit} as configured"


def _states(study: Study) -> str:
    states = [trial.state for trial in study.trials]
    return ", ".join(f"{states.count(state)} {name}" for state, name in _STATES.items() if state in states)


def _best_table(study: Study) -> Table[str]:
    values = study.best.params if study.best else {}
    columns = [
        Column[str]("Parameter", lambda name: name),
        Column[str]("Configured", lambda name: _shown(study.start_values[name])),
        Column[str]("Best", lambda name: _shown(values.get(name))),
    ]
    caption = "As configured when the study was last run, and of the best trial."
    return Table("best values", columns, list(study.space), caption)


def _trials_table(study: Study) -> Table[StudyTrial]:
    column = Column[StudyTrial]
    columns = [
        column("Trial", lambda trial: str(trial.number)),
        column("State", lambda trial: _STATES[trial.state], words=True),
        column("dev mAP", lambda trial: percent(_last_score(trial)[1])),
        column("Epoch", lambda trial: count(_last_score(trial)[0])),
        column("Seconds", lambda trial: UNMEASURED if trial.seconds is None else f"{trial.seconds:.1f}"),
        *(_parameter_column(name) for name in study.space),
        column("Why it stopped", lambda trial: trial.stopped or "", words=True),
    ]
    return Table("trials", columns, study.trials, "Last score in %, and the epoch it was taken after.")


def _parameter_column(name: str) -> Column[StudyTrial]:
    return Column(name, lambda trial: _shown(trial.params.get(name)))


def _last_score(trial: StudyTrial) -> tuple[int, float] | tuple[None, None]:
    return trial.scores[-1] if trial.scores else (None, None)


def _shown(value: Any) -> str:
    if value is None:
        return UNMEASURED
    return f"{value:.4g}" if isinstance(value, float) else str(value)
