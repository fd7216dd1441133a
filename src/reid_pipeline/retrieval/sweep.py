"""Counting a block of values in memory, on all cores.

Shape suffixes: Q queries of a block, G gallery rows of a block, P positives of all queries of a block in a
row, U unsure entries.
"""

import itertools
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from reid_pipeline.geometry.distances import Floats, Indices
from reid_pipeline.retrieval.bins import Block, Exact
from reid_pipeline.retrieval.inputs import Matches

# A thread lists unsure entries for two rows of the block: owner, column, gallery row and value, and copies.
_LISTED_BYTES = 2 * 48

Limits = tuple[Floats, Floats]
"""Thresholds of positives, ``[P]`` each: what is below the first is surely before, above the second after."""


def thread_count(width: int, memory_limit: int) -> int:
    """Return how many threads to use: one for each core, fewer where their lists exceed half the limit."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, memory_limit // (2 * _LISTED_BYTES * width)))


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

    def shares(self, count: int) -> list[tuple[int, int]]:
        """Return the bounds of each thread's share of ``count`` things."""
        edges = [count * share // self.threads for share in range(self.threads + 1)]
        return [(start, stop) for start, stop in itertools.pairwise(edges) if start < stop]

    def count(
        self,
        block: Block,
        values_QG: Floats,
        offsets_G: Floats,
        first_column: int,
        limits: Limits,
        exact: Exact,
    ) -> None:
        """Count ``values_QG + offsets_G``, whose first column is gallery row ``first_column``.

        Overwrites in ``values_QG`` what has the query's pid. An infinite offset leaves a row out.
        """
        from reid_pipeline.retrieval.counting import count_block

        matches = self.matches
        same = matches.gallery_rows, matches.starts[block.query_rows], matches.ends[block.query_rows]
        thresholds = (*limits, block.starts)

        def work(share: tuple[int, int]) -> None:
            row, stop = share
            listed: Any = np.empty((2, 2 * values_QG.shape[1]), dtype=np.int64)
            while row < stop:
                row, found = count_block(
                    values_QG,
                    offsets_G,
                    thresholds,
                    same,
                    block.bins,
                    (row, stop, first_column),
                    tuple(listed),
                )
                if found:
                    settle(block, listed[0, :found], listed[1, :found] + first_column, exact)

        list(self.pool.map(work, self.shares(len(block.query_rows))))
