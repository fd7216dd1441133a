"""The rank of every positive, by counting: exact, streaming, never a sort of the gallery.

A row surely nearer than a positive is counted; a row whose distance a matrix product cannot separate from a
positive's is computed again, pair by pair.

Shape suffixes: Q queries of a block, S queries of a share, G gallery rows of a block, D width, P positives of
all queries of a block in a row, R the most positives of a query of the block.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reid_pipeline.geometry.compiled import worker_count
from reid_pipeline.geometry.distances import Floats, Indices, expansion_tolerance, pair_squared_distances, squared_norms
from reid_pipeline.retrieval.blocks import Block, Columns, Counter, Limits, thread_count
from reid_pipeline.retrieval.inputs import Matches, check_memory_limit
from reid_pipeline.schema.errors import UserError, first_few

DEFAULT_MEMORY_LIMIT = 256 << 20
# Of each thread. Larger blocks are multiplied no faster, and these stay in the caches while they are counted.
_USEFUL_BLOCK_BYTES = 8 << 20
_QUERY_ROWS = 512
_POSITIVE_BYTES = 128
# On a device an entry is a value, two places among the thresholds and what compares them.
_DEVICE_ENTRY_BYTES = 32

CountFeatures = Callable[[Block, Floats, Limits], None]


def feature_ranks(
    matches: Matches, query_QD: Floats, gallery_GD: Floats, *, memory_limit: int, device: str = "cpu"
) -> Iterator[tuple[Block, Indices]]:
    """Yield blocks that cover the queries with positives, and the ranks of these, 1-based, ascending within a query.

    The gallery is ranked by (squared Euclidean distance, gallery row), the distance being the float64 sum of
    squared differences of the features as given, of one dtype; copies of a gallery row tie exactly.
    """
    check_memory_limit(memory_limit, DEFAULT_MEMORY_LIMIT)
    offsets_G = squared_norms(gallery_GD)
    greatest = float(offsets_G.max())
    # Junk is infinitely far away: it is never counted, and costs nothing.
    offsets_G[~matches.gallery.usable] = np.inf
    height, width = _block_shape(len(gallery_GD), gallery_GD.dtype.itemsize, memory_limit, worker_count())
    threads = thread_count(width, memory_limit)
    exact = partial(pair_squared_distances, query_QD, gallery_GD)
    within_thread = partial(exact, in_one_thread=device == "cpu")
    with ThreadPoolExecutor(threads) as pool:
        if device == "cpu":
            count = _on_cpu(Counter(matches, pool, threads), gallery_GD, offsets_G, width)
        else:
            count = _on_device(matches, gallery_GD, offsets_G, memory_limit, device)
        for query_rows in _groups(matches, height, memory_limit // (2 * _POSITIVE_BYTES)):
            block = Block.of(matches, query_rows, exact, within_thread=within_thread)
            if len(block.query_rows):
                features_QD = query_QD[block.query_rows]
                count(block, features_QD, _limits(block, features_QD, greatest))
                yield block, block.ranks()


def distance_ranks(matches: Matches, blocks: Iterable[tuple[int, ArrayLike]]) -> Iterator[tuple[Block, Indices]]:
    """Yield the same of given distances; see `evaluate_distances`."""
    queries, gallery = len(matches.query.pids), len(matches.gallery.pids)
    threads = thread_count(gallery, 1 << 40)
    expected = 0
    with ThreadPoolExecutor(threads) as pool:
        counter = Counter(matches, pool, threads)
        for start, given in blocks:
            values_QG = _checked_distances(given, start, (expected, queries, gallery))
            expected += len(values_QG)
            rows = np.arange(start, expected)
            exact = partial(_given_distances, values_QG, start)
            block = Block.of(matches, rows[(matches.ends > matches.starts)[rows]], exact)
            if len(block.query_rows):
                _count_given(counter, block, values_QG[block.query_rows - start])
                yield block, block.ranks()
    if expected != queries:
        raise UserError(f"the blocks of distances end at query {expected} of {queries}; each must be there once.")


def _given_distances(values_QG: Floats, start: int, query_rows: Indices, gallery_rows: Indices) -> NDArray[np.float64]:
    return values_QG[query_rows - start, gallery_rows].astype(np.float64)


def _count_given(counter: Counter, block: Block, values_QG: Floats) -> None:
    limit_P = block.values.astype(values_QG.dtype)
    columns = Columns(0, np.where(counter.matches.gallery.usable, 0, np.inf).astype(values_QG.dtype))

    def count(share: slice) -> None:
        counter.count(block, share, values_QG[share], columns, (limit_P, limit_P))

    counter.in_shares(block, count)


def _checked_distances(given: ArrayLike, start: int, expected: tuple[int, int, int]) -> Floats:
    """Return one block as a float32 or float64 matrix, or raise UserError."""
    row, queries, gallery = expected
    values = np.asarray(given)
    if values.ndim != 2 or values.shape[1] != gallery or start != row or row + len(values) > queries:
        raise UserError(
            f"a block of distances starts at query {start} and has shape {list(values.shape)}; the next must "
            f"start at {row}, with up to {queries - row} rows of {gallery} gallery distances."
        )
    if values.dtype.kind not in "fiu":
        raise UserError(f"distances have dtype {values.dtype}; real numbers are needed.")
    single = values.dtype.kind == "f" and values.dtype.itemsize <= 4
    values_QG: Floats = values.astype(np.float32 if single else np.float64, copy=False)
    bad = np.flatnonzero(~np.isfinite(values_QG).all(axis=1)) + start
    if bad.size:
        raise UserError(
            f"distances have NaN or infinite values in {bad.size} of {len(values)} rows (rows "
            f"{first_few(bad.tolist())}); every distance must be finite."
        )
    return values_QG


def _block_shape(gallery_rows: int, itemsize: int, memory_limit: int, cores: int) -> tuple[int, int]:
    """Return the rows and columns of a block of distances, whose rows are distributed to `cores`.

    Half of the limit is for the distances and the queries' copies, half for positives and working arrays.
    """
    entries, rows = min(memory_limit // 2, cores * _USEFUL_BLOCK_BYTES) // itemsize, cores * _QUERY_ROWS
    width = min(gallery_rows, max(1, entries // min(rows, max(1, entries // 1024))))
    return max(1, min(entries // width, 4 * rows)), width


def _groups(matches: Matches, height: int, most_positives: int) -> Iterator[Indices]:
    """Part the queries whose pid is in the gallery; many positives make a group smaller.

    Queries of one pid follow each other: their positives are the same rows, which then lie in the caches.
    """
    rows = np.flatnonzero((matches.ends > matches.starts) & matches.query.usable)
    rows = rows[np.argsort(matches.query.pids[rows], kind="stable")]
    running = np.cumsum((matches.ends - matches.starts)[rows])
    start = 0
    while start < len(rows):
        before = running[start - 1] if start else 0
        fits = int(np.searchsorted(running, before + most_positives, side="right"))
        stop = min(start + height, max(start + 1, fits))
        yield rows[start:stop]
        start = stop


def _limits(block: Block, features_QD: Floats, greatest: float) -> Limits:
    """Return what a product may yield for each positive, without the query's own norm."""
    norms_Q = squared_norms(features_QD).astype(np.float64)
    tolerance_Q = expansion_tolerance(norms_Q, greatest, width=features_QD.shape[1], dtype=features_QD.dtype)
    middle_P, tolerance_P = block.values - block.per_positive(norms_Q), block.per_positive(tolerance_Q)
    kind = features_QD.dtype
    return (middle_P - tolerance_P).astype(kind), (middle_P + tolerance_P).astype(kind)


def _on_cpu(counter: Counter, gallery_GD: Floats, offsets_G: Floats, width: int) -> CountFeatures:
    """Return the function that streams the gallery past a block of queries on the CPU."""
    from threadpoolctl import threadpool_limits

    def count(block: Block, features_QD: Floats, limits: Limits) -> None:
        doubled_QD = features_QD * features_QD.dtype.type(-2)

        def stream(share: slice) -> None:
            rows_SD = doubled_QD[share]
            buffer = np.empty(len(rows_SD) * width, dtype=rows_SD.dtype)
            for start in range(0, len(gallery_GD), width):
                part = gallery_GD[start : start + width]
                # Contiguous however narrow the last part is: rows are then swept in vector registers.
                products_SG = buffer[: len(rows_SD) * len(part)].reshape(len(rows_SD), len(part))
                np.matmul(rows_SD, part.T, out=products_SG)
                counter.count(block, share, products_SG, Columns(start, offsets_G[start : start + width]), limits)

        # A product for each core, instead of every core on each product: no core waits for another.
        with threadpool_limits(1, user_api="blas"):
            counter.in_shares(block, stream)

    return count


def _on_device(
    matches: Matches, gallery_GD: Floats, offsets_G: Floats, memory_limit: int, device: str
) -> CountFeatures:
    """Return the function that streams the gallery past a block of queries on a torch device."""
    from reid_pipeline.geometry.candidates import TorchCounter

    counter = TorchCounter(gallery_GD, offsets_G, device=device)

    def count(block: Block, features_QD: Floats, limits: Limits) -> None:
        lengths_Q = np.diff(block.starts)
        places_P = np.arange(len(block.rows)) - block.per_positive(block.starts[:-1])
        owners_P = block.per_positive(np.arange(len(lengths_Q)))
        # What is left out is infinite, and must lie past the padding too.
        padding = np.finfo(features_QD.dtype).max
        limits_2QR = np.full((2, len(lengths_Q), lengths_Q.max()), padding, dtype=features_QD.dtype)
        limits_2QR[:, owners_P, places_P] = limits
        width = max(1, memory_limit // (_DEVICE_ENTRY_BYTES * len(lengths_Q)))
        found_QB, owners_U, rows_U = counter.count(features_QD, limits_2QR, matches.same(block.query_rows), width=width)
        block.bins[...] = found_QB[np.arange(found_QB.shape[1]) <= lengths_Q[:, None]]
        block.place(owners_U, rows_U)

    return count
