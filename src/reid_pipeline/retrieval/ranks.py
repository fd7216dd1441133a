"""The rank of every positive, by counting: exact, streaming, never a sort of the gallery.

Average precision, CMC and INP need only the ranks of the positives, and a rank is one more than the number of
gallery rows that come before. So each block of distances is looked at once: rows surely nearer than a
positive are counted, rows whose distance a matrix product cannot tell from the positive's are computed again,
pair by pair.

Shape suffixes: Q queries of a block, G gallery rows of a block, D width, P positives of one query, S rows
selected.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reid_pipeline.geometry.distances import (
    Floats,
    Indices,
    expansion_tolerance,
    pair_squared_distances,
    squared_norms,
)
from reid_pipeline.retrieval.inputs import Matches
from reid_pipeline.schema.errors import UserError

# Blocks beyond this gain no speed: the product is efficient already and a row of it still lies in the cache.
_USEFUL_BLOCK_BYTES = 32 << 20
_QUERY_ROWS = 256
_SMALLEST_LIMIT = 1 << 20


@dataclass
class _Query:
    """One query while its block streams by: positives, squared distances and rows before each, ``[P]``."""

    row: int
    positives: Indices
    removed: Indices
    squared: NDArray[np.float64]
    before: Indices


def positive_ranks(matches: Matches, *, memory_limit: int) -> Iterator[tuple[int, Indices]]:
    """Yield (query row, the ascending 1-based ranks of its positives) for every query that has positives.

    The order ranked is that of (squared Euclidean distance, gallery row), the distance being the float64 sum
    of squared differences of the features as given; copies of a gallery row tie exactly.

    Time: the matrix product, plus a sweep of about 2 ns per entry. Memory: one block, at most
    ``memory_limit`` bytes, and O(G).

    Args:
        matches: both sides and which rows match.
        memory_limit: bytes for a block of distances and its working arrays, at least 1 MiB.

    Raises:
        UserError: a ``memory_limit`` below 1 MiB.
    """
    if memory_limit < _SMALLEST_LIMIT:
        raise UserError(
            f"memory_limit is {memory_limit} bytes; at least {_SMALLEST_LIMIT} (1 MiB) is needed, "
            "256 MiB is usual."
        )
    gallery = matches.gallery
    norms_G = squared_norms(gallery.features)
    greatest = float(norms_G.max())
    # Junk is infinitely far away: it is never counted, and costs nothing.
    norms_G[~gallery.usable] = np.inf
    usable = np.flatnonzero((matches.ends > matches.starts) & matches.query.usable)
    height, width = _block_shape(len(norms_G), gallery.features.dtype.itemsize, memory_limit)
    for start in range(0, len(usable), height):
        rows = usable[start : start + height]
        block = [_begin(matches, int(row)) for row in rows]
        _count_block(matches, block, norms_G, greatest, width)
        for query in block:
            if len(query.positives):
                yield query.row, np.sort(query.before) + 1


def _block_shape(gallery_rows: int, itemsize: int, memory_limit: int) -> tuple[int, int]:
    """Return the rows and columns of a block of distances.

    Half of the limit is for the distances and the queries' copies, half for the working arrays of one row.
    """
    entries = min(memory_limit // 2, _USEFUL_BLOCK_BYTES) // itemsize
    width = min(gallery_rows, max(1, entries // min(_QUERY_ROWS, max(1, entries // 1024))))
    return max(1, min(entries // width, 4 * _QUERY_ROWS)), width


def _begin(matches: Matches, row: int) -> _Query:
    """Collect a query's positives and their exact distances."""
    positives, removed = matches.split(row)
    squared = pair_squared_distances(
        matches.query.features, matches.gallery.features, np.full(len(positives), row), positives
    )
    return _Query(row, positives, removed, squared, np.zeros(len(positives), dtype=np.int64))


def _count_block(matches: Matches, block: list[_Query], norms_G: Floats, greatest: float, width: int) -> None:
    """Stream the gallery past a block of queries and count what comes before each positive."""
    features_QD = matches.query.features[[query.row for query in block]]
    norms_Q = squared_norms(features_QD).astype(np.float64)
    tolerance_Q = expansion_tolerance(norms_Q, greatest, width=features_QD.shape[1], dtype=features_QD.dtype)
    features_QD *= -2
    gallery = matches.gallery.features
    buffer = np.empty((len(block), min(width, len(gallery))), dtype=gallery.dtype)
    for start in range(0, len(gallery), width):
        part = gallery[start : start + width]
        products_QG = np.matmul(features_QD, part.T, out=buffer[:, : len(part)])
        for place, query in enumerate(block):
            if len(query.positives):
                row_G = products_QG[place]
                row_G += norms_G[start : start + len(part)]
                _remove(row_G, query.removed, start)
                _count_row(matches, query, row_G, start, (norms_Q[place], tolerance_Q[place]))


def _remove(row_G: Floats, removed: Indices, start: int) -> None:
    """Put the rows that the camera filter removes infinitely far away."""
    inside = removed[(removed >= start) & (removed < start + len(row_G))] - start
    row_G[inside] = np.inf


def _count_row(
    matches: Matches, query: _Query, row_G: Floats, start: int, norm_and_tolerance: tuple[float, float]
) -> None:
    """Count the rows of one block of the gallery that come before each positive of ``query``."""
    norm, tolerance = norm_and_tolerance
    lower_P = (query.squared - norm - tolerance).astype(row_G.dtype)
    upper_P = (query.squared - norm + tolerance).astype(row_G.dtype)
    selected_S = np.flatnonzero(row_G <= upper_P.max())
    values_S = row_G[selected_S]
    ordered_S = np.sort(values_S)
    surely_P = np.searchsorted(ordered_S, lower_P, side="left")
    perhaps_P = np.searchsorted(ordered_S, upper_P, side="right")
    query.before += surely_P
    own_P = (query.positives >= start) & (query.positives < start + len(row_G))
    unsure = np.flatnonzero(perhaps_P - surely_P > own_P)
    if len(unsure):
        order_S = selected_S[np.argsort(values_S)]
        _count_exactly(matches, query, unsure, [order_S[surely_P[p] : perhaps_P[p]] + start for p in unsure])


def _count_exactly(matches: Matches, query: _Query, unsure: Indices, close: list[Indices]) -> None:
    """Decide by exact distances which of the ``close`` gallery rows come before each ``unsure`` positive."""
    lengths = [len(rows) for rows in close]
    rows, inverse = np.unique(np.concatenate(close), return_inverse=True)
    squared = pair_squared_distances(
        matches.query.features, matches.gallery.features, np.full(len(rows), query.row), rows
    )[inverse]
    rows = rows[inverse]
    positive = np.repeat(unsure, lengths)
    mine = query.squared[positive]
    earlier = (squared < mine) | ((squared == mine) & (rows < query.positives[positive]))
    np.add.at(query.before, positive[earlier], 1)
