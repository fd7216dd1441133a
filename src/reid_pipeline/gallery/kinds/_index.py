"""What searches one segment: the interface that all kinds of index have, and the exact scan they fall back on."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

import numpy as np

from reid_pipeline.gallery.manifest import IndexKind
from reid_pipeline.gallery.rows import Float32s, Ids, Mask

Candidates = tuple[Float32s, Ids]
"""Scores by a float32 product and rows of a segment, `[q, c]` each, in no order; -inf and -1 where there is none."""
_ENTRIES = 1 << 21  # scores at once: 8 MB
_FEW = 4  # rows are copied out before the product where fewer than one in so many passes


class Index(ABC):
    """Finds candidates for the nearest rows of a segment."""

    kind: ClassVar[IndexKind]

    @abstractmethod
    def save(self, stem: Path) -> None:
        """Write the index to files `<stem>.*`, for good."""

    @property
    def centres(self) -> Float32s | None:
        """Centres of its lists, `[L, d]`; None: it has no lists."""
        return None

    @abstractmethod
    def candidates(
        self, vectors: Float32s, probes: Float32s, count: int, passing: Mask | None, wanted: Mask | None
    ) -> Candidates:
        """Return rows with the greatest inner products among those that pass, `count` of them where there are so many.

        Args:
            vectors: of the segment, `[n, d]`.
            probes: `[q, d]`.
            count: how many.
            passing: which rows may be found, `[n]`; None: all.
            wanted: which of its lists each probe is compared with, `[q, L]`; None where it has none.
        """

    @abstractmethod
    def without(self, vectors: Float32s, stays: Mask) -> "Index | None":
        """Return the index of what is left after rows were removed, or None where it has to be built anew.

        Args:
            vectors: those left, in their old order.
            stays: which of the old rows they are, `[n]`.
        """


class Exact(Index):
    """No index: all rows are compared."""

    kind = "exact"

    def save(self, stem: Path) -> None:
        """There is nothing to write."""

    def candidates(
        self, vectors: Float32s, probes: Float32s, count: int, passing: Mask | None, wanted: Mask | None
    ) -> Candidates:
        """Return the `count` greatest of all rows that pass."""
        del wanted
        return scan(vectors, probes, count, passing)

    def without(self, vectors: Float32s, stays: Mask) -> Index:
        """Return another one."""
        del vectors, stays
        return Exact()


def scan(vectors: Float32s, probes: Float32s, count: int, passing: Mask | None) -> Candidates:
    """Return candidates by comparing all rows that pass, in blocks of probes."""
    rows = None if passing is None else np.flatnonzero(passing)
    if rows is not None and len(rows) * _FEW < len(vectors):
        scores, found = scan(vectors[rows], probes, count, None)
        return scores, np.where(found < 0, -1, rows[found] if len(rows) else -1)
    step = max(1, _ENTRIES // max(1, len(vectors)))
    parts = []
    for start in range(0, len(probes), step):
        scores = _products(vectors, probes[start : start + step])
        if passing is not None:
            scores[:, ~passing] = -np.inf
        parts.append(greatest(scores, count))
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def _products(vectors: Float32s, probes: Float32s) -> Float32s:
    if len(probes) == 1:
        return np.asarray((vectors @ probes[0])[None])
    return np.asarray(probes @ vectors.T)


def greatest(scores: Float32s, count: int, rows: Ids | None = None) -> Candidates:
    """Return the `count` greatest scores of each line, `[q, min(count, n)]`, and their columns, or `rows` of them."""
    if count < scores.shape[1]:
        columns = np.argpartition(scores, scores.shape[1] - count, axis=1)[:, -count:].astype(np.int64, copy=False)
        found = np.take_along_axis(scores, columns, axis=1)
    else:
        found = scores
        columns = np.broadcast_to(np.arange(scores.shape[1], dtype=np.int64), scores.shape)
    names = columns if rows is None else rows[columns]
    return found, np.where(np.isneginf(found), -1, names)
