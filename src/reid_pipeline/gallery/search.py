"""The nearest entries of probes, over all segments: candidates by each segment's index, compared again in float64.

So an entry's score depends on the two vectors alone, not on segments, threads, or how many probes there are.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from reid_pipeline.gallery.filters import Filters, passing
from reid_pipeline.gallery.kinds import Exact, Index
from reid_pipeline.gallery.rows import Float32s, Ids, Mask
from reid_pipeline.gallery.segments import Segment
from reid_pipeline.gallery.state import State
from reid_pipeline.geometry.compiled import in_threads
from reid_pipeline.geometry.distances import check_count
from reid_pipeline.schema.errors import UserError

_MARGIN = 8  # candidates beyond k: rounding of the float32 product does not decide who is among the k
_PROBES = 256  # at once


class Hits(NamedTuple):
    """The nearest entries of each probe, the nearest first, equal ones by id; `[q, k]`."""

    ids: Ids  # -1: there is no further entry that meets the filters
    scores: Float32s  # cosine similarity; NaN where there is none


def search(state: State, probes: Float32s, k: int, filters: Filters, *, exact: bool = False) -> Hits:
    """Return the `k` entries most similar to each probe among those that meet the filters.

    Args:
        state: of the gallery.
        probes: checked unit vectors, `[q, d]`.
        k: how many, at least 1.
        filters: conditions.
        exact: compare all rows, whatever index there is.

    Raises:
        UserError: `k`, or the filters.
    """
    check_count("k", k)
    cameras = filters.not_camera
    hits = Hits(np.full((len(probes), k), -1, dtype=np.int64), np.full((len(probes), k), np.nan, dtype=np.float32))
    if cameras is not None and len(cameras) != len(probes):
        raise UserError(f"The filter not_camera has {len(cameras)} cameras for {len(probes)} probes; each needs one.")
    own = np.array(["" if camera is None else camera for camera in cameras or [""] * len(probes)], dtype=object)
    for camera in sorted(set(own)):
        masks, those = passing(state, filters, camera), np.flatnonzero(own == camera)
        for start in range(0, len(those), _PROBES):
            part = those[start : start + _PROBES]
            found = _nearest(state.segments, masks, probes[part], k, exact=exact)
            hits.ids[part, : found.ids.shape[1]], hits.scores[part, : found.ids.shape[1]] = found
    return hits


def _nearest(
    segments: Sequence[Segment], masks: Sequence[Mask | None], probes: Float32s, k: int, *, exact: bool
) -> Hits:
    def look(number: int) -> tuple[Float32s, Ids]:
        segment = segments[number]
        index: Index = Exact() if exact else segment.index
        return index.candidates(segment.vectors, probes, k + _MARGIN, masks[number])

    asked = [number for number, mask in enumerate(masks) if mask is None or mask.any()]
    if not asked:
        return Hits(np.empty((len(probes), 0), dtype=np.int64), np.empty((len(probes), 0), dtype=np.float32))
    # A segment for each core, instead of every core on each segment.
    with _blas().limit(limits=1, user_api="blas"):
        parts = in_threads(look, asked) if len(asked) > 1 else [look(asked[0])]
    scores = np.concatenate([part[0] for part in parts], axis=1)
    rows = np.concatenate([part[1] for part in parts], axis=1)
    numbers = np.repeat(asked, [part[1].shape[1] for part in parts])
    if scores.shape[1] > k + _MARGIN:
        best = np.argpartition(scores, -(k + _MARGIN), axis=1)[:, -(k + _MARGIN) :]
        scores, rows, numbers = (
            np.take_along_axis(scores, best, axis=1),
            np.take_along_axis(rows, best, axis=1),
            numbers[best],
        )
    else:
        numbers = np.broadcast_to(numbers, rows.shape)
    return _compared_again(segments, probes, np.where(np.isneginf(scores), -1, rows), numbers, k)


def _compared_again(segments: Sequence[Segment], probes: Float32s, rows: Ids, numbers: Ids, k: int) -> Hits:
    """Return the `k` best of candidates `[q, c]`, rows of segments, by inner products in float64."""
    ids = np.full(rows.shape, np.iinfo(np.int64).max)
    scores = np.full(rows.shape, -np.inf, dtype=np.float32)
    for number in np.unique(numbers):
        lines, columns = np.nonzero((numbers == number) & (rows >= 0))
        those = rows[lines, columns]
        found = segments[number].vectors[those].astype(np.float64)
        scores[lines, columns] = np.einsum("nd,nd->n", found, probes[lines].astype(np.float64))
        ids[lines, columns] = segments[number].ids[those]
    order = np.lexsort((ids, -scores), axis=1)[:, :k]
    ids, scores = np.take_along_axis(ids, order, axis=1), np.take_along_axis(scores, order, axis=1)
    absent = np.isneginf(scores)
    return Hits(np.where(absent, -1, ids), np.where(absent, np.float32(np.nan), scores))


def measured_recall(state: State, k: int, probes: int) -> float:
    """Return the share of the true `k` nearest entries that `search` finds; entries, taken evenly, are the probes."""
    if not len(state.ids):
        raise UserError(f"Gallery {state.folder.name} is empty; there is nothing to measure.")
    own = state.ids[np.linspace(0, len(state.ids) - 1, min(probes, len(state.ids))).astype(np.int64)]
    vectors = state.vectors(own)
    found, true = (search(state, vectors, k + 1, Filters(), exact=exact).ids for exact in (False, True))
    wanted = shared = 0
    for line, true_line, entry in zip(found.tolist(), true.tolist(), own.tolist(), strict=True):
        others = {each for each in true_line if each not in (-1, entry)}
        wanted, shared = wanted + len(others), shared + len(others.intersection(line))
    return shared / wanted if wanted else 1.0


@cache
def _blas() -> Any:
    """Return what sets the threads of matrix products; finding their libraries takes milliseconds."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
