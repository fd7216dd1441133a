"""Inverted lists (IVF): rows lie in lists around centres, and a probe is compared with those of the nearest centres.

The lists are the segment's own vectors, in the order of the lists: they stand in one file only. Centres are means of
the rows that are there: after rows were removed they are computed anew, so that none tells of a row that is gone.
Jegou, Douze and Schmid, "Product quantization for nearest neighbor search", TPAMI 2011, section IV, without the
quantization of vectors.
"""

from pathlib import Path

import numpy as np

from reid_pipeline.gallery.durable import new_file
from reid_pipeline.gallery.kinds._index import Candidates, Index, greatest, scan
from reid_pipeline.gallery.rows import Float32s, Ids, Mask

_ROWS_PER_LIST = 128
_TRAINING_ROWS, _ROUNDS = 64, 6  # of k-means: rows for each centre, and rounds
_SAMPLED = 128  # rows that decide how many lists a probe is compared with
_NEIGHBOURS, _RECALL = 10, 0.995  # of whose nearest so many are found


class Lists(Index):
    """Inverted lists over a segment whose vectors are in their order.

    Args:
        centres: unit means of the lists, `[L, d]`.
        bounds: where each list begins, and the end, `[L + 1]`.
        lists: how many of them a probe is compared with.
    """

    kind = "ivf"

    def __init__(self, centres: Float32s, bounds: Ids, lists: int) -> None:
        self.centres = centres
        self.bounds = bounds
        self.lists = lists

    def save(self, stem: Path) -> None:
        """Write centres and bounds."""
        for suffix, values in ((".centres.npy", self.centres), (".bounds.npy", self.bounds)):
            with new_file(stem.with_suffix(suffix)) as file:
                np.lib.format.write_array(file, np.ascontiguousarray(values), allow_pickle=False)

    def candidates(self, vectors: Float32s, probes: Float32s, count: int, passing: Mask | None) -> Candidates:
        """Return candidates from the lists nearest to each probe; where too few of them pass, from all rows."""
        if passing is not None and 2 * passing.sum() < len(passing):
            return scan(vectors, probes, count, passing)
        near = probes @ self.centres.T
        used = greatest(near, self.lists)[1]
        near[:] = -np.inf
        np.put_along_axis(near, used, 0, axis=1)
        wanted = near == 0  # [q, L]
        lists = np.flatnonzero(wanted.any(axis=0))
        sizes = (self.bounds[1:] - self.bounds[:-1])[lists]
        rows = np.concatenate([np.arange(*self.bounds[each : each + 2]) for each in lists])
        scores = np.full((len(probes), len(rows)), -np.inf, dtype=np.float32)
        for each, end, size in zip(lists, np.cumsum(sizes), sizes, strict=True):
            part = slice(*self.bounds[each : each + 2])
            if len(probes) == 1:
                np.dot(vectors[part], probes[0], out=scores[0, end - size : end])
            else:
                those = wanted[:, each]
                scores[those, end - size : end] = probes[those] @ vectors[part].T
        if passing is not None:
            scores[:, ~passing[rows]] = -np.inf
        if (np.count_nonzero(np.isfinite(scores), axis=1) < min(count, len(vectors))).any():
            return scan(vectors, probes, count, passing)
        return greatest(scores, count, rows)

    def without(self, vectors: Float32s, stays: Mask) -> Index:
        """Return the same lists without the rows that are gone; their centres are means of what is left."""
        left = np.concatenate([[0], np.cumsum(stays)])[self.bounds]
        return _lists(vectors, left, self.lists)


def build(vectors: Float32s) -> tuple[Ids, Lists]:
    """Return the order of the lists, and the index of the vectors in it."""
    import faiss

    count = max(1, len(vectors) // _ROWS_PER_LIST)
    means = faiss.Kmeans(
        vectors.shape[1],
        count,
        niter=_ROUNDS,
        spherical=True,
        seed=1,
        min_points_per_centroid=1,
        max_points_per_centroid=_TRAINING_ROWS,
    )
    means.train(vectors)
    assigned = means.assign(vectors)[1]
    order = np.argsort(assigned, kind="stable")
    bounds = np.concatenate([[0], np.cumsum(np.bincount(assigned, minlength=count))])
    ordered = vectors[order]
    index = _lists(ordered, bounds, count)
    index.lists = _lists_for_recall(ordered, index)
    return order, index


def load(stem: Path, lists: int) -> Lists:
    """Read an index that `save` wrote."""
    return Lists(np.load(stem.with_suffix(".centres.npy")), np.load(stem.with_suffix(".bounds.npy")), lists)


def _lists(vectors: Float32s, bounds: Ids, lists: int) -> Lists:
    """Return lists with the centres of their rows; empty ones are left out."""
    starts = bounds[:-1][np.diff(bounds) > 0]
    sums = np.add.reduceat(vectors, starts, axis=0)
    norms = np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    ends = np.append(starts, len(vectors)).astype(np.int64)
    return Lists((sums / norms).astype(np.float32), ends, min(lists, len(starts)))


def _lists_for_recall(vectors: Float32s, index: Lists) -> int:
    """Return how many lists hold `_RECALL` of the nearest neighbours of rows, taken evenly from the segment."""
    rows = np.linspace(0, len(vectors) - 1, min(_SAMPLED, len(vectors))).astype(np.int64)
    probes = vectors[rows]
    scores = probes @ vectors.T
    scores[np.arange(len(rows)), rows] = -np.inf  # a row finds itself in the first list
    neighbours = greatest(scores, _NEIGHBOURS)[1]
    list_of = np.searchsorted(index.bounds, neighbours, side="right") - 1
    near = probes @ index.centres.T
    places = np.argsort(np.argsort(-near, axis=1), axis=1)
    found = np.sort(np.take_along_axis(places, list_of, axis=1), axis=None)
    return int(found[int(np.ceil(_RECALL * len(found))) - 1]) + 1
