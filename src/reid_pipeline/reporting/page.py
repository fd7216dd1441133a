"""The report: one HTML page that loads nothing from anywhere."""

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from reid_pipeline.reporting.breakdown import breakdown_tables
from reid_pipeline.reporting.figures import cmc_curves, training_curves
from reid_pipeline.reporting.rank_lists import RankedQuery, describe, rank_list_strip
from reid_pipeline.reporting.records import Record, any_measured, epochs, measured, series
from reid_pipeline.reporting.tables import (
    METRICS,
    UNMEASURED,
    ComparisonRow,
    comparison_rows,
    count,
    percent,
    points,
)

_EXPLANATIONS = {
    "loss": "Mean of each epoch's steps, and the rate it was made with.",
    "clusters": "Each epoch clusters all training images anew; noise are the images that joined no cluster.",
    "cluster_sizes": "How many clusters have which size.",
    "agreement": "Pseudo-labels compared with the true identities after the fact.",
    "seconds": "Where the time of an epoch went.",
    "cmc": "The share of valid queries that have a true match among the first k images of the gallery.",
}
_FACTS = {
    "device": "Device",
    "precision": "Precision",
    "wall_seconds": "Wall time",
    "peak_memory_bytes": "Peak memory",
    "git_commit": "Commit",
    "data_hash": "Data",
}


@dataclass(frozen=True)
class ReportContent:
    """What the page shows.

    Attributes:
        benchmark: name of the benchmark.
        method: name of the method this run is about.
        seed: of the run.
        metrics: results measured in this run, "before" first; keys as in metrics.json.
        history: one record per epoch; empty for a method that does not train.
        run_card: everything needed to make the run again, nested as it likes; every key is shown.
        bad_queries: ranked lists, worst first.
        good_queries: ranked lists, best first.
        published: figures from elsewhere, with `method`, `source` and fractions as in metrics.json; they are
            kept apart and marked "published".
        uses_labels: whether training read identity labels.
        description: one sentence on the method.
        breakdown: as in breakdown.json; empty shows no section.
    """

    benchmark: str
    method: str
    seed: int
    metrics: Sequence[Record]
    history: Sequence[Record] = ()
    run_card: Record = field(default_factory=dict)
    bad_queries: Sequence[RankedQuery] = ()
    good_queries: Sequence[RankedQuery] = ()
    published: Sequence[Record] = ()
    uses_labels: bool = False
    description: str = ""
    breakdown: Record = field(default_factory=dict)


def render_report(content: ReportContent) -> str:
    """Return the page's HTML source: plotly.js, figures and pictures are inside, about 5 MB.

    Every value is escaped. The page holds no address that a browser would load, and its content security
    policy forbids it to load one. The same content gives the same page.

    Raises:
        ValueError: no metrics.
    """
    if not content.metrics:
        raise ValueError("a report needs at least one result; got metrics=[]")
    curve = cmc_curves(content.metrics)
    return rendered(
        "report.html.j2",
        content=content,
        metric_names=list(METRICS.values()),
        rows=comparison_rows(content.metrics),
        published=_published_rows(content.published),
        headlines=_headlines(content),
        facts=_facts(content.run_card),
        cmc=chart("cmc", curve, _EXPLANATIONS["cmc"]) if curve.data else None,
        curves=[
            chart(name, figure, _EXPLANATIONS[name])
            for name, figure in training_curves(content.history).items()
        ],
        epoch_table=_epoch_table(content.history),
        breakdown=breakdown_tables(content.breakdown),
        rank_lists=_rank_lists(content),
        run_card=list(flattened(content.run_card)),
    )


def rendered(template: str, **values: Any) -> str:
    """Return a page of this package from its template, plotly.js inside; every value is escaped."""
    from plotly.offline import get_plotlyjs

    environment = Environment(
        loader=PackageLoader("reid_pipeline.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    plotly_js = Markup(get_plotlyjs())  # noqa: S704
    return environment.get_template(template).render(plotly_js=plotly_js, **values)


def flattened(card: Record, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield every leaf of a nested mapping as (dotted key, readable value), in the mapping's order."""
    for key, value in card.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            yield from flattened(value, f"{name}.")
        else:
            yield name, _readable(str(key), value)


def _readable(key: str, value: object) -> str:
    if value is None:
        return UNMEASURED
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float) and key.endswith("_bytes"):
        return f"{value:,} ({value / 2**30:.2f} GiB)"
    if isinstance(value, int | float) and key.endswith("seconds"):
        return _duration(value)
    if isinstance(value, list | tuple | Mapping):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    hours, rest = divmod(round(seconds), 3600)
    minutes, left = divmod(rest, 60)
    return f"{seconds:,.1f} s ({f'{hours} h ' if hours else ''}{minutes} min {left} s)"


def _headlines(content: ReportContent) -> list[dict[str, str]]:
    """Return mAP, Rank-1 and mINP of this run's method, each with what it was before (first test set)."""
    rows = comparison_rows([{**result, "test_sets": None} for result in content.metrics])
    results: list[ComparisonRow] = [row for row in rows if not row.is_difference]
    places = [i for i, result in enumerate(content.metrics) if result.get("method") == content.method]
    after, before = results[places[-1] if places else -1], results[0]
    cards = []
    for key in ("mAP", "rank1", "mINP"):
        new, old = after.values[key], before.values[key]
        gain = None if new is None or old is None else new - old
        note = f"{points(gain)} points from {percent(old)}" if after is not before else ""
        cards.append({"name": METRICS[key], "value": percent(new), "note": note})
    return cards


def _facts(card: Record) -> list[tuple[str, str]]:
    """Return the few facts of the run card that belong at the top."""
    found = []
    for key, name in _FACTS.items():
        if card.get(key) is None:
            continue
        value = _readable(key, card[key])
        if key == "peak_memory_bytes" and (size := measured(card, key)) is not None:
            value = f"{size / 2**30:.2f} GiB"
        if key in {"git_commit", "data_hash"}:
            value = value.removeprefix("sha256:")[:12]
        if key == "git_commit" and card.get("git_dirty"):
            value += " with uncommitted changes"
        found.append((name, value))
    return found


def _published_rows(published: Sequence[Record]) -> list[dict[str, Any]]:
    return [
        {
            "method": str(result.get("method", UNMEASURED)),
            "source": str(result.get("source", UNMEASURED)),
            "cells": [percent(measured(result, key)) for key in METRICS],
        }
        for result in published
    ]


def chart(name: str, figure: Any, explanation: str) -> dict[str, Any]:
    """Return what `chart.html.j2` shows of a figure: its JSON with the heading taken out.

    The page sets headings as text, which wraps.
    """
    drawn: dict[str, Any] = json.loads(figure.to_json())
    title = drawn["layout"].pop("title")
    margin = {"t": 40 if drawn["layout"].get("showlegend", True) else 12}
    drawn["layout"]["margin"] = margin
    subtitle = title.get("subtitle", {}).get("text", "")
    return {
        "id": name.replace("_", "-"),
        "title": title["text"],
        "subtitle": subtitle,
        "explanation": explanation,
        "height": drawn["layout"]["height"],
        "figure": drawn,
    }


def _epoch_table(history: Sequence[Record]) -> dict[str, list[Any]]:
    """Return the numbers behind the curves: a header and a row of text per epoch."""
    columns = {
        "Learning rate": [_text(v, ".3g") for v in series(history, "learning_rate")],
        "Loss": [_text(v, ".4f") for v in series(history, "loss")],
        "Clusters": [count(v) for v in series(history, "clusters")],
        "Noise, %": [percent(v) for v in series(history, "noise_share")],
        "ARI": [_text(v, ".3f") for v in series(history, "ground_truth", "ari")],
        "NMI": [_text(v, ".3f") for v in series(history, "ground_truth", "nmi")],
        "Seconds": [_text(v, ".1f") for v in series(history, "seconds", "epoch")],
    }
    shown = {name: cells for name, cells in columns.items() if any(cell != UNMEASURED for cell in cells)}
    header = ["Epoch", *shown]
    rows = [[f"{epoch:g}", *cells] for epoch, *cells in zip(epochs(history), *shown.values(), strict=True)]
    return {"header": header, "rows": rows}


def _text(value: float | None, form: str) -> str:
    return UNMEASURED if value is None else format(value, form)


def _rank_lists(content: ReportContent) -> list[dict[str, Any]]:
    groups = (
        ("bad", "Queries that went worst", content.bad_queries),
        ("good", "Queries that went best", content.good_queries),
    )
    return [
        {"id": name, "title": title, "strips": [_strip(ranked) for ranked in queries]}
        for name, title, queries in groups
        if queries
    ]


def _strip(ranked: RankedQuery) -> dict[str, str]:
    picture = base64.b64encode(rank_list_strip(ranked)).decode("ascii")
    ap = ranked.average_precision
    return {
        "source": f"data:image/jpeg;base64,{picture}",
        "alt": describe(ranked),
        "caption": " ".join(ranked.query_caption.split()),
        "average_precision": percent(ap if any_measured([measured({"ap": ap}, "ap")]) else None),
    }
