"""Open-set figures: some individuals are left out of the gallery, and their probes should be new.

Shape suffixes: Q queries, G gallery rows, D width, I individuals of the gallery.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reid_pipeline.geometry.compiled import in_threads
from reid_pipeline.geometry.distances import Floats, Indices, check_count
from reid_pipeline.retrieval.equal_error import BINS, counted_pairs, equal_error_rate
from reid_pipeline.retrieval.inputs import Side, checked_sides
from reid_pipeline.retrieval.open_set import (
    UNKNOWN_CAMERA,
    checked_units,
    conformal_threshold,
    needed_identities,
    one_product_a_core,
    split_scores,
)
from reid_pipeline.schema.errors import UserError

Bools = NDArray[np.bool_]
_ALARMS_AT_LEAST = 10
"""False alarms that a rate must come to for a figure at that rate."""
_QUERIES, _GALLERY = 1024, 2048


@dataclass(frozen=True)
class Promise:
    """What became of a promised false-alarm rate.

    Attributes:
        threshold: by `conformal_threshold` of the enrolled individuals.
        false_alarms: share of new individuals of which any gallery image is above it.
        probe_false_alarms: share of the probes of newcomers that are.
        detection_rate: share of the probes of enrolled individuals that are, and whose nearest is their own.
    """

    threshold: float
    false_alarms: float
    probe_false_alarms: float | None
    detection_rate: float | None


@dataclass(frozen=True)
class OpenSetDraw:
    """The scores of one draw: of each probe its greatest similarity to the gallery, -inf where it meets no image.

    Attributes:
        known_scores: of probes whose individual is enrolled, under the camera filter.
        is_rank_1: of the same probes, whether the nearest image is of their own individual.
        new_scores: of the other probes.
        enrolled_scores: of the enrolled individuals, as `identity_scores`.
        newcomer_scores: of those left out: the greatest similarity of any of their gallery images to the gallery.
    """

    known_scores: NDArray[np.float32]
    is_rank_1: Bools
    new_scores: NDArray[np.float32]
    enrolled_scores: NDArray[np.float32]
    newcomer_scores: NDArray[np.float32]

    def auroc(self) -> float | None:
        """Return how often a known probe's score is above a newcomer's, ties by half; None without both."""
        known, new = len(self.known_scores), np.sort(self.new_scores)
        if not known or not len(new):
            return None
        below, upto = (np.searchsorted(new, self.known_scores, side=side) for side in ("left", "right"))
        return float((below.sum() + upto.sum()) / 2 / (known * len(new)))

    def detection_rate(self, false_alarm: float) -> float | None:
        """Return the share of known probes that are known *and* of rank 1 at a false-alarm rate (DIR).

        The threshold is the lowest that at most that share of the newcomers' probes exceeds. None with fewer than 10 /
        `false_alarm` of these. Source: Phillips, Grother and Micheals, in "Handbook of Face Recognition", 2011.
        """
        new = np.sort(self.new_scores)
        allowed = int(false_alarm * len(new) + 1e-9)
        if not len(self.known_scores) or allowed < _ALARMS_AT_LEAST:
            return None
        return self._detected(float(new[len(new) - 1 - allowed]))

    def promise(self, false_alarm: float) -> Promise | None:
        """Return what becomes of the rate by the threshold that promises it; None where too few are enrolled."""
        if len(self.enrolled_scores) < needed_identities(false_alarm):
            return None
        threshold = conformal_threshold(self.enrolled_scores, false_alarm)
        alarms = float((self.new_scores > threshold).mean()) if len(self.new_scores) else None
        detected = self._detected(threshold) if len(self.known_scores) else None
        return Promise(threshold, float((self.newcomer_scores > threshold).mean()), alarms, detected)

    def _detected(self, threshold: float) -> float:
        return float(((self.known_scores > threshold) & self.is_rank_1).mean())


@dataclass(frozen=True)
class OpenSetResult:
    """The draws, and the equal error rate of the pairs of query and gallery image; None without pairs of both kinds."""

    draws: Sequence[OpenSetDraw]
    equal_error_rate: float | None


def open_set_metrics(  # noqa: PLR0913 - the signature of evaluate_retrieval
    query_features: ArrayLike,
    gallery_features: ArrayLike,
    query_pids: ArrayLike,
    gallery_pids: ArrayLike,
    query_camids: ArrayLike | None = None,
    gallery_camids: ArrayLike | None = None,
    *,
    draws: int = 20,
    left_out: float = 0.5,
    seed: int = 0,
) -> OpenSetResult | None:
    """Leave a share of the individuals out of the gallery, again and again, and score all queries as probes.

    With camids a query never meets gallery images of its own camera, whoever is on them: a probe's identity is what
    is asked, so that no filter may read it, and thresholds are made by the same filter. Rows with pid -1 (junk) do not
    enter. Queries whose individual is in no draw's gallery are always new.

    Time O(Q G D + G^2 D / 2) and O(draws (Q + I) I); memory a few tiles a core and O(draws (Q + I)).

    Args:
        query_features: `[Q, D]` floats, unit rows.
        gallery_features: `[G, D]` floats, unit rows.
        query_pids: `[Q]` integers.
        gallery_pids: `[G]` integers.
        query_camids: `[Q]` integers, or None.
        gallery_camids: `[G]` integers, or None.
        draws: how often, at least 1.
        left_out: share of the gallery's individuals, above 0 and below 1; one stays on either side.
        seed: of the draws.

    Returns:
        None where the gallery has a single individual.

    Raises:
        UserError: as `evaluate_retrieval`; rows that are not unit; an option out of range.
    """
    check_count("draws", draws, "20")
    if not 0 < left_out < 1:
        raise UserError(f"left_out is {left_out!r}; a share above 0 and below 1 is needed (usual: 0.5).")
    query, gallery = (
        _without_junk(side)
        for side in checked_sides(
            (query_features, query_pids, query_camids), (gallery_features, gallery_pids, gallery_camids)
        )
    )
    names, first_G = np.unique(gallery.pids, return_inverse=True)
    if len(names) < 2:
        return None
    enrolled = _drawn(len(names), draws, left_out, seed)
    scores = split_scores(gallery.features, first_G, gallery.camids, enrolled=enrolled)
    probes = _Probes.of(query, gallery, names, enrolled)
    found = [probes.draw(place, members, scores[place]) for place, members in enumerate(enrolled)]
    return OpenSetResult(found, equal_error_rate(*probes.pairs))


class _Probes:
    """What every query meets in the gallery of each draw.

    Attributes:
        scores: `[draws, Q]`, greatest similarity to an enrolled individual.
        nearest: `[draws, Q]`, which one that is.
        own: `[Q]`, the query's individual among those of the gallery, -1 where it is not there.
        meets_own: `[Q]`, whether the filter leaves an image of it.
        pairs: how many pairs of one individual, and of two, have which similarity, see `equal_error`.
    """

    def __init__(self, draws: int, own_Q: Indices) -> None:
        self.scores = np.full((draws, len(own_Q)), -np.inf, dtype=np.float32)
        self.nearest = np.full((draws, len(own_Q)), -1, dtype=np.int64)
        self.own, self.meets_own = own_Q, np.zeros(len(own_Q), dtype=np.bool_)
        self.pairs = np.zeros((2, BINS), dtype=np.int64)

    @classmethod
    def of(cls, query: Side, gallery: Side, names: Indices, enrolled: Bools) -> "_Probes":
        """Let the gallery pass by blocks of queries."""
        places = np.searchsorted(names, query.pids)
        is_there = names[np.minimum(places, len(names) - 1)] == query.pids
        probes = cls(len(enrolled), np.where(is_there, places, -1))
        lock = Lock()

        def meet(rows: slice) -> None:
            best_IQ = np.full((len(names), len(query.pids[rows])), -np.inf, dtype=np.float32)
            pairs = np.zeros((2, BINS), dtype=np.int64)
            for individuals, tile_GQ, is_same_GQ in _tiles(query, gallery, rows, names):
                pairs += counted_pairs(tile_GQ, is_same_GQ)
                best_IQ[individuals.numbers] = np.maximum(best_IQ[individuals.numbers], individuals.greatest(tile_GQ))
            probes._place(rows, best_IQ, enrolled)
            with lock:
                probes.pairs += pairs

        with one_product_a_core():
            in_threads(meet, [slice(start, start + _QUERIES) for start in range(0, len(query.pids), _QUERIES)])
        return probes

    def draw(self, place: int, members_I: Bools, scores_I: NDArray[np.float32]) -> OpenSetDraw:
        """Return the scores of one draw; probes whose own individual the filter takes away are no probes of it."""
        is_enrolled = (self.own >= 0) & members_I[self.own]
        known = is_enrolled & self.meets_own
        return OpenSetDraw(
            known_scores=self.scores[place, known],
            is_rank_1=self.nearest[place, known] == self.own[known],
            new_scores=self.scores[place, ~is_enrolled],
            enrolled_scores=scores_I[members_I],
            newcomer_scores=scores_I[~members_I],
        )

    def _place(self, rows: slice, best_IQ: NDArray[np.float32], enrolled: Bools) -> None:
        columns = np.arange(best_IQ.shape[1])
        own = self.own[rows]
        self.meets_own[rows] = (own >= 0) & (best_IQ[own, columns] > -np.inf)
        for scores, nearest, members in zip(self.scores, self.nearest, enrolled, strict=True):
            numbers = np.flatnonzero(members)
            best = best_IQ[numbers]
            greatest = best.argmax(axis=0)
            scores[rows], nearest[rows] = best[greatest, columns], numbers[greatest]


@dataclass(frozen=True)
class _Individuals:
    """Individuals of a tile, whose rows stand together: where each begins, and which they are."""

    starts: Indices
    numbers: slice

    def greatest(self, tile_GQ: Floats) -> Floats:
        return np.maximum.reduceat(tile_GQ, self.starts, axis=0)


def _tiles(query: Side, gallery: Side, rows: slice, names: Indices) -> Iterator[tuple[_Individuals, Floats, Bools]]:
    """Yield similarities `[gallery, queries]` of a block of queries, -inf where the filter says so."""
    order = np.argsort(gallery.pids, kind="stable")
    for start in range(0, len(order), _GALLERY):
        part = order[start : start + _GALLERY]
        tile_GQ = gallery.features[part] @ query.features[rows].T
        if query.camids is not None and gallery.camids is not None:
            cameras = gallery.camids[part][:, None]
            tile_GQ[(cameras == query.camids[rows]) & (cameras != UNKNOWN_CAMERA)] = -np.inf
        pids = gallery.pids[part]
        starts = np.flatnonzero(np.diff(pids, prepend=pids[0] - 1))
        number = int(np.searchsorted(names, pids[0]))
        yield _Individuals(starts, slice(number, number + len(starts))), tile_GQ, pids[:, None] == query.pids[rows]


def _drawn(individuals: int, draws: int, left_out: float, seed: int) -> Bools:
    """Return who is enrolled in each draw, `[draws, individuals]`."""
    generator = np.random.default_rng(seed)
    count = min(max(round(individuals * left_out), 1), individuals - 1)
    enrolled = np.ones((draws, individuals), dtype=np.bool_)
    for members in enrolled:
        members[generator.permutation(individuals)[:count]] = False
    return enrolled


def _without_junk(side: Side) -> Side:
    rows = side.usable
    camids = None if side.camids is None else side.camids[rows]
    return Side(side.pids[rows], camids, checked_units(side.features[rows]))
