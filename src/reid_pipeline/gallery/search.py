"""The nearest entries of probes, over all segments: candidates by each segment's index, compared again in float64.

So an entry's score depends on the two vectors alone, not on segments, threads, or how many probes there are.
"""

from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from reid_pipeline.gallery.filters import Filters, passing
from reid_pipeline.gallery.kinds import Exact, Index
from reid_pipeline.gallery.kinds.ivf import Lists, lists_for, wanted_lists
from reid_pipeline.gallery.manifest import Manifest
from reid_pipeline.gallery.rows import Float32s, Ids, Mask
from reid_pipeline.gallery.segments import Segment
from reid_pipeline.gallery.state import State
from reid_pipeline.geometry.compiled import in_threads, worker_count
from reid_pipeline.geometry.distances import check_count
from reid_pipeline.schema.errors import UserError

_MARGIN = 8  # candidates beyond k: rounding of the float32 product does not decide who is among the k
_MOST = 1_000  # k in a gallery that is smaller, so that one answer fits galleries of any size
_PROBES = 256  # at once
_SAMPLED, _NEIGHBOURS = 64, 10  # entries, and neighbours of each, that decide how many lists are looked at


class Hits(NamedTuple):
    """The nearest entries of each probe, the nearest first, equal ones by id; `[q, k]`."""

    ids: Ids  # -1: there is no further entry that meets the filters
    scores: Float32s  # cosine similarity; NaN where there is none


def search(state: State, probes: Float32s, k: int, filters: Filters, *, exact: bool = False) -> Hits:
    """Return the `k` entries most similar to each probe among those that meet the filters.

    Args:
        state: of the gallery.
        probes: checked unit vectors, `[q, d]`.
        k: how many, at least 1; up to 1,000, or as many as there are entries.
        filters: conditions.
        exact: compare all rows, whatever index there is.

    Raises:
        UserError: `k`, or the filters.
    """
    check_count("k", k)
    if k > (most := max(_MOST, len(state.ids))):
        raise UserError(
            f"k is {k:,}, and gallery {state.folder.name} has {len(state.ids):,} entries; at most {most:,}."
        )
    if not isinstance(filters, Filters):
        raise UserError(f"The filters are {filters!r}; give reid_pipeline.gallery.Filters(cameras=[...]) or the like.")
    cameras = filters.not_camera
    hits = Hits(np.full((len(probes), k), -1, dtype=np.int64), np.full((len(probes), k), np.nan, dtype=np.float32))
    if cameras is not None and len(cameras) != len(probes):
        raise UserError(f"The filter not_camera has {len(cameras)} cameras for {len(probes)} probes; each needs one.")
    own = np.array(["" if camera is None else camera for camera in cameras or [""] * len(probes)], dtype=object)
    for camera in sorted(set(own)):
        masks, those = passing(state, filters, camera), np.flatnonzero(own == camera)
        for start in range(0, len(those), _PROBES):
            part = those[start : start + _PROBES]
            found = _nearest(state, masks, probes[part], k, exact=exact)
            hits.ids[part, : found.ids.shape[1]], hits.scores[part, : found.ids.shape[1]] = found
    return hits


def _nearest(state: State, masks: Sequence[Mask | None], probes: Float32s, k: int, *, exact: bool) -> Hits:
    wanted = None if exact else _wanted(state, masks, probes)

    def look(numbers: Sequence[int]) -> list[tuple[Float32s, Ids, Ids]]:
        found = []
        for number in numbers:
            segment, lists = state.segments[number], None if wanted is None else wanted[number]
            index: Index = Exact() if exact or (lists is None and segment.index.centres is not None) else segment.index
            scores, rows = index.candidates(segment.vectors, probes, k + _MARGIN, masks[number], lists)
            found.append((scores, rows, np.full(rows.shape, number)))
        return found

    asked = [number for number, mask in enumerate(masks) if mask is None or mask.any()]
    if wanted is not None:
        asked = [number for number in asked if (lists := wanted[number]) is None or lists.any()]
    workers = worker_count()
    # Segments for each core, instead of every core on each segment.
    with _blas().limit(limits=1, user_api="blas"):
        groups = in_threads(look, [asked[start::workers] for start in range(workers)])
    parts = [part for group in groups for part in group]
    if not parts:
        return Hits(np.empty((len(probes), 0), dtype=np.int64), np.empty((len(probes), 0), dtype=np.float32))
    scores, rows, numbers = (np.concatenate([part[each] for part in parts], axis=1) for each in range(3))
    if scores.shape[1] > k + _MARGIN:
        best = np.argpartition(scores, -(k + _MARGIN), axis=1)[:, -(k + _MARGIN) :]
        scores, rows, numbers = (np.take_along_axis(each, best, axis=1) for each in (scores, rows, numbers))
    hits = _compared_again(state.segments, probes, np.where(np.isneginf(scores), -1, rows), numbers, k)
    if wanted is not None and (hits.ids >= 0).sum(axis=1).min() < min(k, _count(state, masks)):
        return _nearest(state, masks, probes, k, exact=True)
    return hits


def _count(state: State, masks: Sequence[Mask | None]) -> int:
    """Return how many entries may be found."""
    pairs = zip(state.segments, masks, strict=True)
    return sum(len(segment.ids) if mask is None else int(mask.sum()) for segment, mask in pairs)


def _wanted(state: State, masks: Sequence[Mask | None], probes: Float32s) -> list[Mask | None] | None:
    """Return, for each segment that has lists, which of them each probe is compared with, `[q, L]`.

    Where a filter lets few entries pass, more lists are needed to meet as many; None: so many that it is quicker to
    compare with all entries that pass.
    """
    centres, starts = state.centres
    passing = _count(state, masks)
    if not len(centres) or not state.manifest.lists or not passing:
        return None
    count = -(-state.manifest.lists * state.manifest.rows // passing)
    if 2 * count > len(centres):
        return None
    wanted = wanted_lists(centres, probes, count)
    return [wanted[:, start:end] if end > start else None for start, end in pairwise(starts)]


def with_lists(state: State) -> Manifest | None:
    """Return the gallery with the number of lists that finds the neighbours of its own entries, taken evenly.

    It is found out again when there are twice as many entries; None: there is no need.
    """
    centres, starts = state.centres
    manifest = state.manifest
    if not len(centres) or manifest.rows < 2 * manifest.lists_rows:
        return None
    own = state.ids[np.linspace(0, len(state.ids) - 1, min(_SAMPLED, len(state.ids))).astype(np.int64)]
    probes, found = state.vectors(own), []
    hits = search(state, probes, _NEIGHBOURS + 1, Filters(), exact=True)
    for line, entry in zip(hits.ids, own, strict=True):
        places = state.places(line[(line >= 0) & (line != entry)])
        lists = [
            starts[number] + np.searchsorted(index.bounds, row, side="right") - 1
            for number, row in zip(*places, strict=True)
            if isinstance(index := state.segments[number].index, Lists)
        ]
        found.append(np.array(lists, dtype=np.int64))
    count = lists_for(centres, probes, found)
    return manifest.model_copy(update={"lists": count, "lists_rows": manifest.rows})


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
