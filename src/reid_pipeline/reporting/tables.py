"""A table described once, by its columns and rows, for text, Markdown and, by `tables.html.j2`, HTML; and CSV."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Generic, TypeVar

import pandas as pd

from reid_pipeline.reporting.formats import METRICS

Row = TypeVar("Row")

_UNITS = {"measured": "measured, %", "published": "published, %", "difference": "difference, points"}


@dataclass(frozen=True)
class Column(Generic[Row]):
    """A column of a table.

    Attributes:
        title: what stands above it, below the name of its kind.
        cell: what it shows of a row.
        kind: measured, published or difference; empty for others.
        words: text, which is set to the left; the first column always is.
        main: of a comparison, shown beside the published figures.
        always: shown even where no row has anything to show.
        mark: CSS class of a cell of numbers.
    """

    title: str
    cell: Callable[[Row], str]
    kind: str = ""
    words: bool = False
    main: bool = True
    always: bool = False
    mark: Callable[[Row], str] | None = None

    @property
    def unit(self) -> str:
        """The kind and what its numbers are."""
        return _UNITS.get(self.kind, "")

    @property
    def full_title(self) -> str:
        """The title where units are not shown: what is above a figure says its kind."""
        return f"{self.kind} {self.title}" if self.kind and self.title in METRICS.values() else self.title


@dataclass(frozen=True)
class Table(Generic[Row]):
    """A table to be shown.

    Attributes:
        title: what is in it.
        columns: from left to right.
        rows: what they show.
        caption: a sentence above it.
        mark: CSS class of a row.
    """

    title: str
    columns: Sequence[Column[Row]]
    rows: Sequence[Row]
    caption: str = ""
    mark: Callable[[Row], str] | None = None

    @property
    def units(self) -> list[tuple[str, int]]:
        """Units above the columns, and how many columns each is above; empty where there are none."""
        spans = [(unit, len([*members])) for unit, members in groupby(self.columns, key=lambda column: column.unit)]
        return spans if any(unit for unit, _ in spans) else []

    def grid(self) -> list[list[str]]:
        """Return a header and the rows as text."""
        cells = [[column.cell(row) for column in self.columns] for row in self.rows]
        return [[column.full_title for column in self.columns], *cells]

    def without_empty_columns(self, absent: str = "") -> "Table[Row]":
        """Return the table without columns whose cells are all `absent`."""
        shown = [
            column for column in self.columns if column.always or any(column.cell(row) != absent for row in self.rows)
        ]
        return replace(self, columns=shown)

    def text(self) -> list[str]:
        """Return the lines for a terminal."""
        return aligned(self.grid())

    def markdown(self) -> str:
        """Return it as Markdown; pipes are escaped."""
        left = [column.words or not place for place, column in enumerate(self.columns)]
        rule = "|".join(" --- " if words else " ---: " for words in left)
        header, *lines = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in self.grid()]
        return "\n".join([header, f"|{rule}|", *lines])

    def markdown_section(self, level: int) -> str:
        """Return it as Markdown below its title, a heading of that level."""
        return f"{'#' * level} {self.title}\n\n{self.markdown()}"


def aligned(grid: Sequence[Sequence[str]]) -> list[str]:
    """Return a header, a rule and the other rows of `grid`: the first column to the left, others right."""
    widths = [max(map(len, column)) for column in zip(*grid, strict=True)]
    header, *rows = (
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in grid
    )
    return [header, "  ".join("─" * width for width in widths), *rows]


def csv_text(names: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return CSV with a header; what is None is empty."""
    return str(pd.DataFrame(list(rows), columns=list(names), dtype=object).to_csv(index=False, lineterminator="\n"))
