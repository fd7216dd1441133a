"""What all pages share: templates, charts, nested values as text. A page loads nothing from anywhere."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from reid_pipeline.reporting.tables import UNMEASURED
from reid_pipeline.schema.nested import leaves


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


def flattened(card: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield every leaf of a nested mapping as (dotted key, readable value), in the mapping's order."""
    for name, value in leaves(card):
        yield name, _readable(name.rpartition(".")[2], value)


def _readable(key: str, value: object) -> str:
    if value is None:
        return UNMEASURED
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float) and key.endswith("_bytes"):
        return f"{value:,} ({value / 2**30:.2f} GiB)"
    if isinstance(value, int | float) and key.endswith("seconds"):
        return exact_duration(value)
    if isinstance(value, list | tuple | Mapping):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def exact_duration(seconds: float) -> str:
    """Return seconds, and from two minutes on also hours, minutes and seconds."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    hours, rest = divmod(round(seconds), 3600)
    minutes, left = divmod(rest, 60)
    return f"{seconds:,.1f} s ({f'{hours} h ' if hours else ''}{minutes} min {left} s)"


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
