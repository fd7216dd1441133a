"""What all pages share: templates, charts, nested values as text. A page loads nothing from anywhere."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from reid_pipeline.reporting.formats import UNMEASURED, exact_duration
from reid_pipeline.schema.nested import leaves


class Headline(NamedTuple):
    """A figure at the top of a page: its name, its value, and a note after its gain over before."""

    name: str
    value: str
    note: str = ""
    gain: str = ""
    uncertain: bool = False


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


def charts(figures: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what `chart.html.j2` shows of figures: their JSON with the headings taken out.

    The page sets headings as text, which wraps.
    """
    return [_chart(name, figure) for name, figure in figures.items()]


def _chart(name: str, figure: Any) -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(figure.to_json())
    layout = figure.layout
    shown["layout"].pop("title")
    shown["layout"]["margin"] = {"t": 12 if layout.showlegend is False else 40}
    return {
        "id": name.replace("_", "-"),
        "title": layout.title.text,
        "subtitle": layout.title.subtitle.text or "",
        "height": layout.height,
        "figure": shown,
    }
