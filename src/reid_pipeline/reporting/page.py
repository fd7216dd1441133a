"""What all pages share: tables, charts, templates. A page loads nothing but plotly.js, which lies beside the pages."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import groupby
from typing import Any, NamedTuple

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from reid_pipeline.reporting.formats import METRICS, UNMEASURED, exact_duration
from reid_pipeline.schema.errors import printable
from reid_pipeline.schema.nested import leaves

ROOT = "folder-of-all-pages:/"
"""In links of a rendered page: the folder that all pages lie below. The dataset that saves it puts the path there."""
_BY_WEBGL = re.compile(r".+gl|.+3d|.+mapbox|(scatter|density|choropleth)map|parcoords|splom|surface|volume|isosurface")
"""Kinds of plotly's traces of which nothing is drawn where a browser has no WebGL."""
_UNITS = {"measured": "measured, %", "published": "published, %", "difference": "difference, points"}


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        kind: measured, published or difference; empty for others.
        words: whether it is text, which is set to the left; the first column always is.
        always: whether it is shown even where it is empty.
        marks: CSS class of each cell; none at all where no cell has one.
    """

    title: str
    cells: Sequence[str]
    kind: str = ""
    words: bool = False
    always: bool = False
    marks: Sequence[str] = ()


@dataclass(frozen=True)
class Table:
    """A table described once, for text, Markdown and HTML; `marks` are CSS classes of its rows."""

    title: str
    columns: Sequence[Column]
    caption: str = ""
    marks: Sequence[str] = ()

    @property
    def rows(self) -> list[list[str]]:
        """The cells, row by row."""
        return [[*row] for row in zip(*(column.cells for column in self.columns), strict=True)]

    @property
    def units(self) -> list[tuple[str, int]]:
        """Units above the columns, and how many columns each is above; empty where there are none."""
        units = [_UNITS.get(column.kind, "") for column in self.columns]
        return [(unit, len([*alike])) for unit, alike in groupby(units)] if any(units) else []

    def grid(self) -> list[list[str]]:
        """Return a header, in which the kind of a figure stands before its name, and the rows."""
        figures = METRICS.values()
        header = [
            f"{each.kind} {each.title}" if each.kind and each.title in figures else each.title for each in self.columns
        ]
        return [header, *self.rows]

    def without_empty_columns(self, absent: str = "") -> "Table":
        """Return the table without columns whose cells are all `absent`."""
        shown = [column for column in self.columns if column.always or {*column.cells} - {absent}]
        return replace(self, columns=shown)

    def text(self) -> list[str]:
        """Return the lines for a terminal."""
        return aligned(self.grid())

    def markdown(self) -> str:
        """Return it as Markdown; pipes are escaped."""
        rule = "|".join(" --- " if each.words or not place else " ---: " for place, each in enumerate(self.columns))
        header, *lines = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in self.grid()]
        return "\n".join([header, f"|{rule}|", *lines])

    def markdown_section(self, level: int) -> str:
        """Return it as Markdown below its title, a heading of that level."""
        return f"{'#' * level} {self.title}\n\n{self.markdown()}"


def aligned(grid: Sequence[Sequence[str]]) -> list[str]:
    """Return a header, a rule and the other rows of `grid`: the first column to the left, others right.

    What would break a line or steer a terminal, in the name of a file for one, is shown as Python writes it.
    """
    grid = [[printable(cell) for cell in row] for row in grid]
    widths = [max(map(len, column)) for column in zip(*grid, strict=True)]
    header, *rows = (
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in grid
    )
    return [header, "  ".join("─" * width for width in widths), *rows]


def csv_text(names: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return CSV with a header; what is None is empty."""
    return str(pd.DataFrame(list(rows), columns=list(names), dtype=object).to_csv(index=False, lineterminator="\n"))


class Headline(NamedTuple):
    """A figure at the top of a page: its name, its value, and a note after its gain over before."""

    name: str
    value: str
    note: str = ""
    gain: str = ""
    uncertain: bool = False


def plotly_file() -> str:
    """Return the name of the file of plotly.js that the figures of this version's pages are drawn by."""
    from plotly.offline import get_plotlyjs_version

    return f"plotly-{get_plotlyjs_version()}.min.js"


def rendered(template: str, **values: Any) -> str:
    """Return a page of this package from its template, links to other pages beginning with `ROOT`; values are escaped.

    Its figures are drawn by `plotly_file()`, which whoever saves the page puts into the folder of all pages.
    """
    return _environment().get_template(template).render(root=ROOT, plotly_file=plotly_file, **values)


@cache
def _environment() -> Environment:
    """Return the templates of this package; pages share those that are compiled."""
    loader = PackageLoader("reid_pipeline.reporting")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def flattened(card: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return every leaf of a nested mapping as (dotted key, readable value), in the mapping's order."""
    return [(name, _readable(name.rpartition(".")[2], value)) for name, value in leaves(card)]


def _readable(key: str, value: object) -> str:
    if value is None or isinstance(value, bool):
        return {None: UNMEASURED, True: "yes", False: "no"}[value]
    if isinstance(value, int | float) and key.endswith("_bytes"):
        return f"{value:,} ({value / 2**30:.2f} GiB)"
    if isinstance(value, int | float) and key.endswith("seconds"):
        return exact_duration(value)
    if isinstance(value, list | tuple | Mapping):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def charts(figures: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what `chart.html.j2` shows of figures: their JSON without headings, which the page sets as text.

    Raises:
        ValueError: a figure needs WebGL, which many browsers lack: remote desktops, strict settings, old machines.
    """
    shown = []
    for name, figure in figures.items():
        if by_webgl := sorted({trace.type for trace in figure.data if _BY_WEBGL.fullmatch(trace.type)}):
            raise ValueError(f"figure {name} is drawn by WebGL, which many browsers lack: {', '.join(by_webgl)}")
        layout, drawn = figure.layout, json.loads(figure.to_json())
        drawn["layout"].pop("title")
        drawn["layout"]["margin"] = {"t": 12 if layout.showlegend is False else 40}
        title = {"title": layout.title.text, "subtitle": layout.title.subtitle.text or ""}
        shown.append({"id": name.replace("_", "-"), **title, "height": layout.height, "figure": drawn})
    return shown
