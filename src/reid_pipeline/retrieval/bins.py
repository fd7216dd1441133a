"""The positives of a block of queries, and how many negatives lie between them: what a rank is made of.

Shape suffixes: Q queries of the block, P positives of all its queries in a row, B bins in a row (P + 1 for P
positives).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reid_pipeline.geometry.distances import Indices
from reid_pipeline.retrieval.inputs import Matches

Exact = Callable[[Indices, Indices], NDArray[np.float64]]
"""The exact values of pairs (query row, gallery row): what the ranking goes by."""


@dataclass(frozen=True)
class Ranked:
    """The ranks of the positives of some queries.

    Attributes:
        query_rows: `[Q]` int64; each has a positive.
        starts: `[Q + 1]` int64, where each query's ranks start.
        ranks: `[P]` int64, 1-based, ascending within a query.
    """

    query_rows: Indices
    starts: Indices
    ranks: Indices


@dataclass(frozen=True)
class Block:
    """Queries that have a positive while the gallery passes by.

    Positives are ordered by (query, exact value, gallery row), so that `bins` can say of every negative how
    many of its query's positives come before it. The last bin of a query need not be complete.

    Attributes:
        query_rows: `[Q]` int64.
        starts: `[Q + 1]` int64, where each query's positives start.
        rows: `[P]` int64, their gallery rows.
        exact: `[P]` float64, their exact values.
        bins: `[B]` int64, negatives found so far; a query's bins start at `starts[q] + q`.
    """

    query_rows: Indices
    starts: Indices
    rows: Indices
    exact: NDArray[np.float64]
    bins: Indices = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "bins", np.zeros(len(self.rows) + len(self.query_rows), dtype=np.int64))

    @classmethod
    def of(cls, matches: Matches, query_rows: Indices, exact: Exact) -> "Block":
        """Collect the positives of `query_rows`, leave out queries without one, and order them."""
        owners_P, rows_P = matches.positives(query_rows)
        lengths = np.bincount(owners_P, minlength=len(query_rows))
        exact_P = exact(query_rows[owners_P], rows_P)
        order_P = np.lexsort((rows_P, exact_P, owners_P))
        starts = np.concatenate([[0], np.cumsum(lengths[lengths > 0])])
        return cls(query_rows[lengths > 0], starts, rows_P[order_P], exact_P[order_P])

    def per_positive(self, values_Q: NDArray[Any]) -> NDArray[Any]:
        """Repeat a value of each query for each of its positives: `[Q]` to `[P]`."""
        return np.repeat(values_Q, np.diff(self.starts))

    def ranked(self) -> Ranked:
        """Return rank = 1 + negatives in the bins up to the positive's own + positives before it."""
        queries_Q = np.arange(len(self.query_rows))
        before_B = np.concatenate([[0], np.cumsum(self.bins)])
        places_P = np.arange(len(self.rows))
        first_P = self.per_positive(self.starts[:-1])
        query_P = self.per_positive(queries_Q)
        negatives_P = before_B[places_P + query_P + 1] - before_B[first_P + query_P]
        return Ranked(self.query_rows, self.starts, negatives_P + places_P - first_P + 1)
