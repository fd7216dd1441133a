"""Inverted lists (IVF): rows lie in lists around centres, and a probe is compared with those of the nearest centres.

The lists are the segment's own vectors, in the order of the lists: they stand in one file only. Centres are means of
the rows that are there: after rows were removed they are computed anew, so that none tells of a row that is gone. The
lists of all segments are ranked together, and the gallery says how many of them a probe is compared with.
Jegou, Douze and Schmid, "Product quantization for nearest neighbor search", TPAMI 2011, section IV, without the
quantization of vectors.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from reid_pipeline.gallery.durable import new_file
from reid_pipeline.gallery.kinds._index import Candidates, Index, greatest
from reid_pipeline.gallery.rows import Float32s, Ids, Mask

_ROWS_PER_LIST = 128
_TRAINING_ROWS, _ROUNDS = 64, 6  # of k-means: rows for each centre, and rounds
_RECALL = 0.995  # share of the neighbours that `lists_for` has found
_SUFFIX = ".npz"


class Lists(Index):
    """Inverted lists over a segment whose vectors are in their order.

    Args:
        centres: unit means of the lists, `[L, d]`.
        bounds: where each list begins, and the end, `[L + 1]`.
    """

    kind = "ivf"

    def __init__(self, centres: Float32s, bounds: Ids) -> None:
        self._centres = centres
        self.bounds = bounds

    @property
    def centres(self) -> Float32s:
        """Centres of its lists, `[L, d]`."""
        return self._centres

    def save(self, stem: Path) -> None:
        """Write centres and bounds."""
        with new_file(stem.with_suffix(_SUFFIX)) as file:
            np.savez(file, centres=self._centres, bounds=self.bounds)

    def candidates(
        self, vectors: Float32s, probes: Float32s, count: int, passing: Mask | None, wanted: Mask | None
    ) -> Candidates:
        """Return candidates from the wanted lists; there may be fewer than `count`."""
        if wanted is None:
            wanted = np.ones((len(probes), len(self._centres)), dtype=bool)
        lists = np.flatnonzero(wanted.any(axis=0))
        starts, ends = self.bounds[lists], self.bounds[lists + 1]
        columns = np.concatenate([[0], np.cumsum(ends - starts)])
        scores = np.full((len(probes), columns[-1]), -np.inf, dtype=np.float32)
        for number, each in enumerate(lists):
            part, place = vectors[starts[number] : ends[number]], slice(*columns[number : number + 2])
            if len(probes) == 1:
                np.dot(part, probes[0], out=scores[0, place])
            else:
                those = wanted[:, each]
                scores[those, place] = probes[those] @ part.T
        rows = np.arange(columns[-1]) + np.repeat(starts - columns[:-1], ends - starts)
        if passing is not None:
            scores[:, ~passing[rows]] = -np.inf
        return greatest(scores, count, rows)

    def without(self, vectors: Float32s, stays: Mask) -> Index:
        """Return the same lists without the rows that are gone; their centres are means of what is left."""
        return _lists(vectors, np.concatenate([[0], np.cumsum(stays)])[self.bounds])


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
    return order, _lists(vectors[order], bounds)


def load(stem: Path) -> Lists:
    """Read an index that `save` wrote."""
    with np.load(stem.with_suffix(_SUFFIX)) as found:
        return Lists(found["centres"], found["bounds"])


def wanted_lists(centres: Float32s, probes: Float32s, count: int) -> Mask:
    """Return which of all lists each probe is compared with, the `count` whose centres are nearest: `[q, L]`."""
    wanted = np.zeros((len(probes), len(centres)), dtype=bool)
    np.put_along_axis(wanted, greatest(probes @ centres.T, count)[1], True, axis=1)
    return wanted


def lists_for(centres: Float32s, probes: Float32s, lists_of_neighbours: Sequence[Ids]) -> int:
    """Return how many lists a probe has to be compared with, so that 99.5 % of the neighbours are among their rows.

    Args:
        centres: of all lists, `[L, d]`.
        probes: `[q, d]`.
        lists_of_neighbours: for each probe, the list of each of its neighbours.
    """
    near = probes @ centres.T
    places = [
        place
        for line, lists in zip(near, lists_of_neighbours, strict=True)
        for place in (line[None] > line[lists][:, None]).sum(axis=1).tolist()
    ]
    return sorted(places)[int(np.ceil(_RECALL * len(places))) - 1] + 1 if places else 1


def _lists(vectors: Float32s, bounds: Ids) -> Lists:
    """Return lists with the centres of their rows; empty ones are left out."""
    starts = bounds[:-1][np.diff(bounds) > 0]
    sums = np.add.reduceat(vectors, starts, axis=0)
    norms = np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return Lists((sums / norms).astype(np.float32), np.append(starts, len(vectors)).astype(np.int64))
