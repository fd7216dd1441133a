"""A block of queries while the gallery passes by: its positives, and the negatives counted between them.

Shape suffixes: Q queries of the block, S queries of a share, G gallery rows at hand, P positives of all
queries of the block in a row, B bins in a row (P + 1 for P positives), U unsure entries.
"""

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from reid_pipeline.geometry.compiled import worker_count
from reid_pipeline.geometry.distances import Floats, Indices
from reid_pipeline.retrieval.inputs import Matches

# A thread lists unsure entries for two rows of the block: owner, column, gallery row and value, and copies.
_LISTED_BYTES = 2 * 48

Exact = Callable[[Indices, Indices], NDArray[np.float64]]
"""The exact values of pairs (query row, gallery row), by which the gallery is ranked."""

Limits = tuple[Floats, Floats]
"""Thresholds of positives, `[P]` each: what is below the first is surely before, above the second after."""


@dataclass(frozen=True)
class Block:
    """Queries with a positive. Positives are ordered by (query, exact value, gallery row).

    `bins` hold per query, starting at `starts[q] + q`, the negatives found so far by the number of positives before
    them. The last bin of a query need not be complete.
    """

    query_rows: Indices  # `[Q]`
    starts: Indices  # `[Q + 1]`, where each query's positives start
    rows: Indices  # `[P]`, gallery rows of the positives
    exact: Exact
    values: NDArray[np.float64]  # `[P]`, exact values of the positives
    bins: Indices  # `[B]`

    @classmethod
    def of(cls, matches: Matches, query_rows: Indices, exact: Exact, *, within_thread: Exact | None = None) -> "Block":
        """Collect the positives of `query_rows`, leave out queries without one, and order them.

        `within_thread` gives the values of `exact` to one of several threads.
        """
        owners_P, rows_P = matches.positives(query_rows)
        lengths = np.bincount(owners_P, minlength=len(query_rows))
        values_P = exact(query_rows[owners_P], rows_P)
        order_P = np.lexsort((rows_P, values_P, owners_P))
        starts = np.concatenate([[0], np.cumsum(lengths[lengths > 0])])
        query_rows = query_rows[lengths > 0]
        bins = np.zeros(len(rows_P) + len(query_rows), dtype=np.int64)
        return cls(query_rows, starts, rows_P[order_P], within_thread or exact, values_P[order_P], bins)

    def per_positive(self, values_Q: NDArray[Any]) -> NDArray[Any]:
        """Repeat a value of each query for each of its positives: `[Q]` to `[P]`."""
        return np.repeat(values_Q, np.diff(self.starts))

    def place(self, owners_U: Indices, rows_U: Indices) -> None:
        """Count pairs (place of the query in the block, gallery row) by their exact values."""
        from reid_pipeline.retrieval.counting import count_exact

        values_U = self.exact(self.query_rows[owners_U], rows_U)
        count_exact(values_U, rows_U, owners_U, (self.values, self.rows, self.starts), self.bins)

    def ranks(self) -> Indices:
        """Return 1 + negatives in the bins up to the positive's own + positives before it, `[P]`."""
        before_B = np.concatenate([[0], np.cumsum(self.bins)])
        places_P = np.arange(len(self.rows))
        first_P = self.per_positive(self.starts[:-1])
        query_P = self.per_positive(np.arange(len(self.query_rows)))
        negatives_P = before_B[places_P + query_P + 1] - before_B[first_P + query_P]
        return np.asarray(negatives_P + places_P - first_P + 1)


class Columns(NamedTuple):
    """Gallery rows that stand side by side, the first of them and their offsets."""

    first: int
    offsets: Floats  # `[G]`, added to the values; an infinite one leaves a row out


@dataclass(frozen=True)
class Counter:
    """Counts the values of a block; every thread takes a share of the queries."""

    matches: Matches
    pool: ThreadPoolExecutor
    threads: int

    def in_shares(self, block: Block, work: Callable[[slice], None]) -> None:
        """Call `work` for each thread's share of the block's queries, side by side."""
        count = len(block.query_rows)
        edges = [count * share // self.threads for share in range(self.threads + 1)]
        shares = [slice(start, stop) for start, stop in itertools.pairwise(edges) if start < stop]
        list(self.pool.map(work, shares))

    def count(self, block: Block, share: slice, values_SG: Floats, columns: Columns, limits: Limits) -> None:
        """Count the values of a share plus their columns' offsets; overwrites those with the query's pid."""
        from reid_pipeline.retrieval.counting import count_block

        matches = self.matches
        query_rows = block.query_rows[share]
        same = matches.gallery_rows, matches.starts[query_rows], matches.ends[query_rows]
        thresholds = (*limits, block.starts[share.start : share.stop + 1], block.bins[share.start :])
        listed = np.empty((2, 2 * values_SG.shape[1]), dtype=np.int64)
        row = 0
        while row < len(query_rows):
            job = (row, len(query_rows), columns.first)
            row, found = count_block(values_SG, columns.offsets, thresholds, same, job, tuple(listed))
            if found:
                block.place(listed[0, :found] + share.start, listed[1, :found] + columns.first)


def thread_count(width: int, memory_limit: int) -> int:
    """Return how many threads to use: one for each core, fewer where their lists exceed half the limit."""
    return max(1, min(worker_count(), memory_limit // (2 * _LISTED_BYTES * width)))
