"""Rows of text about images, and how messages name them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from reid_pipeline.schema.errors import first_few

_LONGEST_SHOWN = 80  # characters of a cell in a message


@dataclass(frozen=True)
class Rows:
    """What a table, or the folders, say about the images, before anything is concluded from it.

    Attributes:
        source: the table's file, or "the folders".
        table: columns of text, "" where nothing is said; the index is the number of the row as its user
            sees it, or the path itself where there is no table.
        unit: what the index counts: "line" of a CSV file, "row" of a Parquet file, "" for paths.
        names: column to the name that the source has for it, where it differs.
    """

    source: str
    table: pd.DataFrame
    unit: str
    names: Mapping[str, str] = field(default_factory=dict)

    def name(self, column: str) -> str:
        """Return the source's name of a column."""
        return self.names.get(column, column)

    def place(self, row: object) -> str:
        """Return how a row is named in messages: "line 7", or its path."""
        return f"{self.unit} {row}" if self.unit else str(row)

    def cases(self, column: str, chosen: "pd.Series[bool]") -> str:
        """Return the first chosen cells with their places, and how many more there are."""
        cells = self.table.loc[chosen, column]
        return first_few([f"{shown(cell)} ({self.place(row)})" for row, cell in cells.items()])

    def places(self, chosen: "pd.Series[bool]") -> str:
        """Return the first chosen rows' places, and how many more there are."""
        return first_few([self.place(row) for row in chosen.index[chosen]])


def shown(cell: str) -> str:
    """Return a cell quoted, cut where it is long."""
    return repr(cell if len(cell) <= _LONGEST_SHOWN else f"{cell[:_LONGEST_SHOWN]}...")
