"""Counting a block of values in memory, on all cores.

Shape suffixes: Q queries of a block, G gallery rows of a block, P positives of all queries of a block in a
row, U unsure entries.
"""

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from reid_pipeline.geometry.compiled import worker_count
from reid_pipeline.geometry.distances import Floats, Indices
from reid_pipeline.retrieval.bins import Block, Exact
from reid_pipeline.retrieval.inputs import Matches

# A thread lists unsure entries for two rows of the block: owner, column, gallery row and value, and copies.
_LISTED_BYTES = 2 * 48

Limits = tuple[Floats, Floats]
"""Thresholds of positives, `[P]` each: what is below the first is surely before, above the second after."""


def thread_count(width: int, memory_limit: int) -> int:
    """Return how many threads to use: one for each core, fewer where their lists exceed half the limit."""
    return max(1, min(worker_count(), memory_limit // (2 * _LISTED_BYTES * width)))


def settle(block: Block, owners_U: Indices, rows_U: Indices, exact: Exact) -> None:
    """Put pairs (place of the query in the block, gallery row) into the bins that their exact values tell."""
    from reid_pipeline.retrieval.counting import settle as settle_listed

    exact_U = exact(block.query_rows[owners_U], rows_U)
    settle_listed(exact_U, rows_U, owners_U, (block.exact, block.rows, block.starts), block.bins)


@dataclass(frozen=True)
class Sweep:
    """Counts blocks of values; every thread takes a share of the queries."""

    pool: ThreadPoolExecutor
    threads: int
    matches: Matches

    def in_shares(self, block: Block, work: Callable[[slice], None]) -> None:
        """Call `work` for each thread's share of the block's queries, side by side."""
        count = len(block.query_rows)
        edges = [count * share // self.threads for share in range(self.threads + 1)]
        shares = [slice(start, stop) for start, stop in itertools.pairwise(edges) if start < stop]
        list(self.pool.map(work, shares))

    def count(
        self,
        block: Block,
        share: slice,
        values_SG: Floats,
        offsets_G: Floats,
        first_column: int,
        limits: Limits,
        exact: Exact,
    ) -> None:
        """Count `values_SG + offsets_G`, whose first column is gallery row `first_column`, in one thread.

        The rows are a share of the block's queries. Overwrites in `values_SG` what has the query's pid. An
        infinite offset leaves a row out.
        """
        from reid_pipeline.retrieval.counting import count_block

        matches = self.matches
        query_rows = block.query_rows[share]
        same = matches.gallery_rows, matches.starts[query_rows], matches.ends[query_rows]
        thresholds = (*limits, block.starts[share.start : share.stop + 1])
        listed: Any = np.empty((2, 2 * values_SG.shape[1]), dtype=np.int64)
        row = 0
        while row < len(query_rows):
            row, found = count_block(
                values_SG,
                offsets_G,
                thresholds,
                same,
                block.bins[share.start :],
                (row, len(query_rows), first_column),
                tuple(listed),
            )
            if found:
                owners_U, rows_U = listed[0, :found] + share.start, listed[1, :found] + first_column
                settle(block, owners_U, rows_U, exact)
