"""The two sides of an evaluation, checked, and which gallery rows each query meets.

Shape suffixes: Q queries, G gallery rows, D width, P pairs of a query and a gallery row with its pid.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reid_pipeline.geometry.distances import Floats, Indices, checked_features
from reid_pipeline.schema.errors import UserError

JUNK_PID = -1

Given = tuple[ArrayLike, ArrayLike, ArrayLike | None]


@dataclass(frozen=True)
class Side:
    """One side: features ``[N, D]``, pids ``[N]`` int64, camids ``[N]`` int64 or None."""

    features: Floats
    pids: Indices
    camids: Indices | None

    @property
    def usable(self) -> NDArray[np.bool_]:
        """Which rows are not junk, ``[N]``."""
        usable_N: NDArray[np.bool_] = self.pids != JUNK_PID
        return usable_N


def checked_sides(query: Given, gallery: Given) -> tuple[Side, Side]:
    """Check (features, pids, camids or None) of both sides against themselves and each other.

    Both sides get one dtype: float32 only where both are float32 (or float16).

    Raises:
        UserError: features that are not finite matrices of one width, ids that are not one integer per row,
            camids on one side only, or a gallery of junk alone.
    """
    if (query[2] is None) != (gallery[2] is None):
        given, absent = ("gallery", "query") if query[2] is None else ("query", "gallery")
        raise UserError(
            f"{given}_camids were given and {absent}_camids were not; give both (the camera filter needs "
            "them), or neither (no filter)."
        )
    left, right = _checked_side(query, "query"), _checked_side(gallery, "gallery")
    _check_widths(left.features, right.features)
    if not right.usable.any():
        raise UserError(
            f"all {len(right.pids)} gallery rows have pid -1 (junk); at least one must be an identity."
        )
    kind = np.result_type(left.features, right.features)
    return (
        Side(left.features.astype(kind, copy=False), left.pids, left.camids),
        Side(right.features.astype(kind, copy=False), right.pids, right.camids),
    )


def checked_pair(query_features: ArrayLike, gallery_features: ArrayLike) -> tuple[Floats, Floats]:
    """Check the features of both sides against themselves and each other; see `checked_features`."""
    query_QD = checked_features(query_features, name="query features")
    gallery_GD = checked_features(gallery_features, name="gallery features")
    _check_widths(query_QD, gallery_GD)
    return query_QD, gallery_GD


def _check_widths(query_QD: Floats, gallery_GD: Floats) -> None:
    """Raise UserError where the two sides are not equally wide."""
    if query_QD.shape[1] != gallery_GD.shape[1]:
        raise UserError(
            f"query features are {query_QD.shape[1]} wide and gallery features {gallery_GD.shape[1]}; "
            "both must come from the same embedder."
        )


def _checked_side(given: Given, name: str) -> Side:
    """Check one side by itself."""
    features = checked_features(given[0], name=f"{name} features")
    pids = _identifiers(given[1], f"{name}_pids", len(features))
    camids = None if given[2] is None else _identifiers(given[2], f"{name}_camids", len(features))
    return Side(features, pids, camids)


def _identifiers(values: ArrayLike, name: str, rows: int) -> Indices:
    """Return one int64 per row, or raise UserError."""
    given = np.asarray(values)
    if given.shape != (rows,):
        raise UserError(
            f"{name} have shape {list(given.shape)} for {rows} rows of features; one per row is needed."
        )
    if given.dtype.kind not in "iu":
        raise UserError(
            f"{name} have dtype {given.dtype}; whole numbers are needed, so encode names as integers first."
        )
    return given.astype(np.int64)


@dataclass(frozen=True)
class Matches:
    """Per query the gallery rows with its pid: ``gallery_rows[starts[q] : ends[q]]``.

    Attributes:
        gallery_rows: gallery rows that are not junk, ordered by (pid, row).
        starts: ``[Q]``, the first place of the query's pid.
        ends: ``[Q]``, the end of the query's pid.
    """

    query: Side
    gallery: Side
    gallery_rows: Indices
    starts: Indices
    ends: Indices

    @classmethod
    def of(cls, query: Side, gallery: Side) -> "Matches":
        """Look every query's pid up in the gallery: O((Q + G) log G)."""
        rows = np.flatnonzero(gallery.usable)
        rows = rows[np.argsort(gallery.pids[rows], kind="stable")]
        pids = gallery.pids[rows]
        starts = np.searchsorted(pids, query.pids, side="left")
        return cls(query, gallery, rows, starts, np.searchsorted(pids, query.pids, side="right"))

    def split(self, query_row: int) -> tuple[Indices, Indices]:
        """Return the query's positives, and the rows that the camera filter removes; both ascending."""
        same = self.gallery_rows[self.starts[query_row] : self.ends[query_row]]
        if self.query.camids is None or self.gallery.camids is None:
            return same, same[:0]
        removed = self.gallery.camids[same] == self.query.camids[query_row]
        return same[~removed], same[removed]
