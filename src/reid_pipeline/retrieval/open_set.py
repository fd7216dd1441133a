"""Known, or new? The score of an identity, and the threshold that keeps a promise about false alarms.

A probe's score is its greatest similarity (cosine) to the gallery. It is taken for known where that is above a
threshold, else for somebody new. The threshold comes from the enrolled identities themselves: each plays the newcomer
to all others.

The promise: the share of new individuals that are taken for a known one by any of their images is at most alpha, over
which individuals happen to be enrolled and which new. It holds where whole identities (how many images, of which
cameras, how cropped) of both are alike, and every enrolled one was confirmed. It is none for one fixed gallery.

Shape suffixes: N images, D width, I identities in ascending order, S sets of them, R and C identities of a tile.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import combinations_with_replacement
from math import ceil
from numbers import Real
from threading import Lock

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reid_pipeline.geometry.compiled import in_threads
from reid_pipeline.geometry.distances import Floats, Indices, checked_features, squared_norms
from reid_pipeline.retrieval.inputs import checked_identifiers
from reid_pipeline.schema.errors import UserError, first_few

UNKNOWN_CAMERA = -1
"""The camera of an image whose camera is unknown: no pair with it is left out."""
_TILE = 2048
_UNIT_TOLERANCE = 1e-2
"""What a norm computed in bfloat16 is off by, and more."""


def needed_identities(false_alarm: float) -> int:
    """Return how many identities must be enrolled for a false-alarm rate: ceil(2 / alpha - 1), 199 for 1 %.

    Raises:
        UserError: no rate above 0 and below 1.
    """
    return ceil(2 / _exact(false_alarm) - 1)


def conformal_threshold(scores: ArrayLike, false_alarm: float) -> float:
    """Return the threshold of a false-alarm rate: a probe is known only where its score is *above* it.

    It is the `ceil((n + 1)(1 - alpha)) + 1`-th smallest of the n scores. Of n + 1 exchangeable identities the
    newcomer's score would have each rank alike, if all faced each other; but an enrolled one was scored without the
    newcomer. That lowers its score only where the newcomer is nearer to it than all enrolled ones are, so that its
    whole score is no greater than the newcomer's: only the newcomer's own nearest can fall from not below it to below
    it, and the newcomer's rank rises by one at most. So similarity must be symmetric: the same images of an identity
    are its probes and its entries.

    Source: Vovk, Gammerman and Shafer, "Algorithmic Learning in a Random World", 2005; the rank more is for leaving
    one out.

    Args:
        scores: `[n]`, of the enrolled identities (`identity_scores`); -inf where an identity has no pair.
        false_alarm: alpha, above 0 and below 1.

    Raises:
        UserError: fewer identities than `needed_identities`, scores that are NaN, or no such rate.
    """
    values = np.sort(np.asarray(scores, dtype=np.float64).reshape(-1))
    if np.isnan(values).any():
        raise UserError(f"{int(np.isnan(values).sum())} of {len(values)} scores are NaN; every identity needs a score.")
    return float(values[conformal_rank(len(values), false_alarm) - 1])


def conformal_rank(count: int, false_alarm: float) -> int:
    """Return which of so many scores, from the smallest, is the threshold: from 1; see `conformal_threshold`.

    Raises:
        UserError: fewer identities than `needed_identities`, or no such rate.
    """
    require_enough(count, false_alarm)
    return ceil((count + 1) * (1 - _exact(false_alarm))) + 1


def require_enough(count: int, false_alarm: float) -> None:
    """Raise UserError where so few identities are enrolled that no threshold has this false-alarm rate."""
    needed = needed_identities(false_alarm)
    if count < needed:
        least = ceil(Fraction(20_000, count + 1)) / 100
        other = f", or ask for a rate of at least {least:g} %" if least < 100 else ""
        raise UserError(
            f"A false-alarm rate of {100 * false_alarm:g} % can be promised with {needed:,} enrolled identities or"
            f" more, and there are {count:,}: enrol more{other}."
        )


def identity_scores(vectors: ArrayLike, identities: ArrayLike, cameras: ArrayLike | None = None) -> NDArray[np.float32]:
    """Return each identity's greatest similarity to another: of any of its images to any image of any other.

    With `cameras`, pairs of one camera are left out, as they must be in use: a probe then never meets entries of its
    own camera. Time O(N^2 D) / 2, memory a tile of 16 MiB a core and O(N); `vectors` may be mapped from a file.

    Args:
        vectors: `[N, D]` floats, unit rows.
        identities: `[N]` integers.
        cameras: `[N]` integers, `UNKNOWN_CAMERA` where it is not known, or None.

    Returns:
        `[I]`, identities ascending; -inf where no pair is left.

    Raises:
        UserError: shapes that do not match, or rows that are not finite or not unit (which ones).
    """
    names = np.unique(np.asarray(identities))
    scores: NDArray[np.float32]
    (scores,) = split_scores(vectors, identities, cameras, enrolled=np.ones((1, len(names)), dtype=np.bool_))
    return scores


def split_scores(
    vectors: ArrayLike, identities: ArrayLike, cameras: ArrayLike | None = None, *, enrolled: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Return each identity's greatest similarity to the others that are enrolled, in one set of them after another.

    For one that is enrolled that is the score that a threshold is made of, for one that is not the score of a
    newcomer. All sets cost one pass over the pairs.

    Args:
        vectors: as of `identity_scores`, and the next two.
        identities: likewise.
        cameras: likewise.
        enrolled: `[S, I]`, which of the identities, ascending, are in each set.

    Returns:
        `[S, I]`.

    Raises:
        UserError: as `identity_scores`.
    """
    vectors_ND = checked_units(vectors)
    rows = _Rows.of(vectors_ND, identities, cameras)
    if enrolled.ndim != 2 or enrolled.shape[1] != len(rows.names):
        raise UserError(f"enrolled has shape {list(enrolled.shape)}; [sets, {len(rows.names)} identities] is needed.")
    scores_SI = np.full(enrolled.shape, -np.inf, dtype=np.float32)
    lock = Lock()

    def score(pair: tuple[slice, slice]) -> None:
        down, across, tile_RC = _tile(vectors_ND, rows, pair)
        of_rows = [tile_RC[:, members[across]].max(axis=1, initial=-np.inf) for members in enrolled]
        of_columns = [tile_RC[members[down]].max(axis=0, initial=-np.inf) for members in enrolled]
        with lock:
            scores_SI[:, down] = np.maximum(scores_SI[:, down], of_rows)
            scores_SI[:, across] = np.maximum(scores_SI[:, across], of_columns)

    parts = [slice(start, min(start + _TILE, len(vectors_ND))) for start in range(0, len(vectors_ND), _TILE)]
    with one_product_a_core():
        in_threads(score, list(combinations_with_replacement(parts, 2)))
    return scores_SI


@contextmanager
def one_product_a_core() -> Iterator[None]:
    """Multiply in one thread each, within a block whose threads multiply side by side: no core waits for another."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="blas"):
        yield


def checked_units(vectors: ArrayLike, name: str = "vectors") -> Floats:
    """Return unit rows as `checked_features` does, or raise UserError: which rows are not of length 1."""
    vectors_ND = checked_features(vectors, name=name)
    lengths = np.sqrt(squared_norms(vectors_ND))
    other = np.flatnonzero(np.abs(lengths - 1) > _UNIT_TOLERANCE)
    if other.size:
        raise UserError(
            f"{name} are not unit rows in {other.size} of {len(lengths)} rows (rows {first_few(other.tolist())}):"
            " divide each by its length; a row of zeros has no direction and must go."
        )
    return vectors_ND


class _Rows:
    """Images in the order of (identity, camera): runs of one identity and camera can be reduced at once."""

    def __init__(self, identities_N: Indices, cameras_N: Indices) -> None:
        self.names, codes = np.unique(identities_N, return_inverse=True)
        self.order = np.lexsort((cameras_N, codes))
        self.identities, self.cameras = codes[self.order], cameras_N[self.order]
        changed = (np.diff(self.identities) != 0) | (np.diff(self.cameras) != 0)
        self.starts = np.concatenate([[0], np.flatnonzero(changed) + 1])

    @classmethod
    def of(cls, vectors_ND: Floats, identities: ArrayLike, cameras: ArrayLike | None) -> "_Rows":
        rows = len(vectors_ND)
        identities_N = checked_identifiers(identities, "identities", rows)
        cameras_N = np.full(rows, UNKNOWN_CAMERA) if cameras is None else checked_identifiers(cameras, "cameras", rows)
        return cls(identities_N, cameras_N)

    def runs(self, start: int, stop: int) -> Indices:
        """Return where the runs of the rows start..stop begin, counted from `start`."""
        inside = self.starts[(self.starts > start) & (self.starts < stop)]
        return np.concatenate([[0], inside - start])


def _tile(vectors_ND: Floats, rows: _Rows, pair: tuple[slice, slice]) -> tuple[slice, slice, Floats]:
    """Return the individuals of two parts of the images, and their greatest similarities, `[R, C]`.

    Pairs of images of one identity, or of one known camera, are -inf.
    """
    products_MN = vectors_ND[rows.order[pair[0]]] @ vectors_ND[rows.order[pair[1]]].T
    down, across = (rows.runs(part.start, part.stop) for part in pair)
    runs = np.maximum.reduceat(np.maximum.reduceat(products_MN, down, axis=0), across, axis=1)
    places = pair[0].start + down, pair[1].start + across
    identities, cameras = ([each[place] for place in places] for each in (rows.identities, rows.cameras))
    known = (cameras[0] != UNKNOWN_CAMERA)[:, None]
    runs[(identities[0][:, None] == identities[1]) | (known & (cameras[0][:, None] == cameras[1]))] = -np.inf
    firsts = [np.flatnonzero(np.diff(each, prepend=-1)) for each in identities]
    tile_RC = np.maximum.reduceat(np.maximum.reduceat(runs, firsts[0], axis=0), firsts[1], axis=1)
    covered = [slice(int(each[0]), int(each[-1]) + 1) for each in identities]
    return covered[0], covered[1], tile_RC


def _exact(false_alarm: float) -> Fraction:
    """Return the rate as it is written: 0.1 is one in ten, and no binary fraction near it."""
    if isinstance(false_alarm, bool) or not isinstance(false_alarm, Real) or not 0 < false_alarm < 1:
        raise UserError(
            f"The false-alarm rate is {false_alarm!r}; a share above 0 and below 1 is needed (usual: 0.01, one"
            " newcomer in a hundred taken for a known one)."
        )
    return Fraction(str(float(false_alarm)))
