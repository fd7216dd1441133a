"""The two sides of an evaluation, checked, and which gallery rows each query meets.

Shape suffixes: Q queries, G gallery rows, D width, P pairs of a query and a gallery row with its pid.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reid_pipeline.geometry.distances import Floats, Indices, checked_features
from reid_pipeline.schema.errors import UserError

JUNK_PID = -1
_SMALLEST_LIMIT = 1 << 20

GivenIdentities = tuple[ArrayLike, ArrayLike | None]
Given = tuple[ArrayLike, ArrayLike, ArrayLike | None]


def check_memory_limit(memory_limit: int, usual: int) -> None:
    """Raise UserError where `memory_limit` is below 1 MiB; `usual` is in bytes as well."""
    if memory_limit < _SMALLEST_LIMIT:
        raise UserError(
            f"memory_limit is {memory_limit} bytes; at least {_SMALLEST_LIMIT} (1 MiB) is needed, "
            f"{usual >> 20} MiB is usual."
        )


@dataclass(frozen=True)
class Identities:
    """One side's pids `[N]` int64, and camids `[N]` int64 or None."""

    pids: Indices
    camids: Indices | None

    @property
    def usable(self) -> NDArray[np.bool_]:
        """Which rows are not junk, `[N]`."""
        return np.asarray(self.pids != JUNK_PID)


@dataclass(frozen=True)
class Side(Identities):
    """One side with its features `[N, D]`."""

    features: Floats


def checked_sides(query: Given, gallery: Given) -> tuple[Side, Side]:
    """Return both sides, given as (features, pids, camids or None), in one dtype, or raise UserError.

    That is float32 only where both are float32 (or float16).
    """
    left_ND, right_ND = checked_pair(query[0], gallery[0])
    kind = np.result_type(left_ND, right_ND)
    left, right = checked_identities(query[1:], gallery[1:], rows=(len(left_ND), len(right_ND)))
    return (
        Side(left.pids, left.camids, left_ND.astype(kind, copy=False)),
        Side(right.pids, right.camids, right_ND.astype(kind, copy=False)),
    )


def checked_identities(
    query: GivenIdentities, gallery: GivenIdentities, *, rows: tuple[int, int]
) -> tuple[Identities, Identities]:
    """Return both sides, given as (pids, camids or None), or raise UserError; `rows` is the length of each."""
    if (query[1] is None) != (gallery[1] is None):
        given, absent = ("gallery", "query") if query[1] is None else ("query", "gallery")
        raise UserError(
            f"{given}_camids were given and {absent}_camids were not; give both (the camera filter needs "
            "them), or neither (no filter)."
        )
    left, right = _identities(query, "query", rows[0]), _identities(gallery, "gallery", rows[1])
    if not right.usable.any():
        raise UserError(f"all {len(right.pids)} gallery rows have pid -1 (junk); at least one must be an identity.")
    return left, right


def checked_pair(query_features: ArrayLike, gallery_features: ArrayLike) -> tuple[Floats, Floats]:
    """Return the features of both sides, finite and of one width, or raise UserError."""
    query_QD = checked_features(query_features, name="query features")
    gallery_GD = checked_features(gallery_features, name="gallery features")
    if query_QD.shape[1] != gallery_GD.shape[1]:
        raise UserError(
            f"query features are {query_QD.shape[1]} wide and gallery features {gallery_GD.shape[1]}; "
            "both must come from the same embedder."
        )
    return query_QD, gallery_GD


def _identities(given: GivenIdentities, name: str, rows: int) -> Identities:
    camids = None if given[1] is None else checked_identifiers(given[1], f"{name}_camids", rows)
    return Identities(checked_identifiers(given[0], f"{name}_pids", rows), camids)


def checked_identifiers(values: ArrayLike, name: str, rows: int) -> Indices:
    """Return one int64 per row, or raise UserError."""
    given = np.asarray(values)
    if given.shape != (rows,):
        raise UserError(f"{name} have shape {list(given.shape)} for {rows} rows; one per row is needed.")
    if given.dtype.kind not in "iu":
        raise UserError(
            f"{name} have dtype {given.dtype}; whole numbers are needed, so encode names as integers first."
        )
    return given.astype(np.int64)


@dataclass(frozen=True)
class Matches:
    """Per query the gallery rows with its pid: `gallery_rows[starts[q] : ends[q]]`."""

    query: Identities
    gallery: Identities
    gallery_rows: Indices  # those that are not junk, ordered by (pid, row)
    starts: Indices  # `[Q]`, where the query's pid starts among them
    ends: Indices

    @classmethod
    def of(cls, query: Identities, gallery: Identities) -> "Matches":
        """Look every query's pid up in the gallery: O((Q + G) log G)."""
        rows = np.flatnonzero(gallery.usable)
        rows = rows[np.argsort(gallery.pids[rows], kind="stable")]
        pids = gallery.pids[rows]
        starts = np.searchsorted(pids, query.pids, side="left")
        return cls(query, gallery, rows, starts, np.searchsorted(pids, query.pids, side="right"))

    def same(self, query_rows: Indices) -> tuple[Indices, Indices]:
        """Return all gallery rows with the pid of several queries: place in `query_rows`, gallery row."""
        starts_Q, lengths_Q = self.starts[query_rows], self.ends[query_rows] - self.starts[query_rows]
        owners_P = np.repeat(np.arange(len(query_rows)), lengths_Q)
        skipped_Q = starts_Q - (np.cumsum(lengths_Q) - lengths_Q)
        return owners_P, self.gallery_rows[np.arange(len(owners_P)) + skipped_Q[owners_P]]

    def positives(self, query_rows: Indices) -> tuple[Indices, Indices]:
        """Return `same` without the rows that the camera filter removes."""
        owners_P, rows_P = self.same(query_rows)
        if self.query.camids is None or self.gallery.camids is None:
            return owners_P, rows_P
        other_P = self.gallery.camids[rows_P] != self.query.camids[query_rows][owners_P]
        return owners_P[other_P], rows_P[other_P]
