"""What is known beside the embeddings, laid over a clustering: known identities, and tracklets as must-link.

Pure functions of labels, a sparse similarity and what is known. A known identity is one cluster, and no cluster holds
two of them; the images of a tracklet have one label. Related: Wagstaff et al., "Constrained K-means Clustering with
Background Knowledge", ICML 2001, which has must-link and cannot-link pairs inside its own loop; here they correct the
labels of any clustering.

Shape suffixes: N rows.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_matrix

from reid_pipeline.clustering.quality import Integers, checked_integers, checked_pair
from reid_pipeline.schema.errors import UserError, first_few

_NOISE = -1


def constrained_labels(
    pseudo_labels: ArrayLike,
    similarity: csr_matrix,
    *,
    known: ArrayLike | None = None,
    tracklets: ArrayLike | None = None,
    names: Sequence[str] = (),
) -> Integers:
    """Return labels that keep to known identities and tracklets, as near to `pseudo_labels` as these allow.

    In this order:

    1. An image of a tracklet with a known identity has that identity, too.
    2. The images of a tracklet get the label that most of them have, noise not counted; of labels that are equally
       many, that of the cluster to whose other images they are most similar in the mean. A tracklet of noise alone
       stays noise.
    3. All clusters in which a known identity has images become one; those of its images that were noise join it. Where
       a cluster holds images of several known identities, its other images go, a tracklet as a whole, to the one to
       whose images in that cluster they are most similar in the mean, and to noise where they are similar to none.

    Nothing is changed where nothing is known. Time and memory O(N log N + E): the pairs that have a similarity.

    Args:
        pseudo_labels: `[N]` integers, below 0 noise.
        similarity: `[N, N]`, float, 0 for pairs that are not alike.
        known: `[N]` integers, the known identity of each row, below 0 where there is none; None: of no row.
        tracklets: `[N]` integers, the tracklet of each row, below 0 where there is none; None: of no row.
        names: of the known identities, by number, for the text of an error.

    Returns:
        int64 `[N]`: clusters from 0 without gaps, noise -1.

    Raises:
        UserError: lengths that differ, not integers; a tracklet has images of two known identities.
    """
    labels_N = checked_integers(pseudo_labels, "pseudo_labels")
    labels_N = np.where(labels_N < 0, _NOISE, labels_N)
    if similarity.shape != (len(labels_N), len(labels_N)):
        raise UserError(
            f"{len(labels_N)} pseudo labels and a similarity of shape {list(similarity.shape)} were given; one row and"
            " one column per label is needed."
        )
    known_N, tracklets_N = (
        np.full(len(labels_N), -1, dtype=np.int64) if given is None else checked_pair(labels_N, given, name)[1]
        for given, name in ((known, "pids"), (tracklets, "tracklets"))
    )
    if (tracklets_N >= 0).any():
        known_N = spread_over_tracklets(known_N, tracklets_N, names)
        labels_N = _one_label_each(labels_N, tracklets_N, similarity)
    if (known_N >= 0).any():
        labels_N = _one_cluster_each(labels_N, known_N, tracklets_N, similarity)
    return _without_gaps(labels_N)


def tracklets_of(trackids: ArrayLike | None, camids: ArrayLike | None) -> Integers | None:
    """Return the tracklet of each row as int64 `[N]`, -1 where there is none; None where no row has one.

    A tracklet is of one camera: the same number at two cameras is two tracklets, whether trackids are counted by camera
    or throughout.
    """
    if trackids is None:
        return None
    trackids_N = checked_integers(trackids, "trackids")
    if (trackids_N < 0).all():
        return None
    cameras_N = np.zeros_like(trackids_N) if camids is None else checked_pair(trackids_N, camids, "camids")[1]
    inside_N = trackids_N >= 0
    _, found = np.unique(np.stack([cameras_N[inside_N], trackids_N[inside_N]]), axis=1, return_inverse=True)
    tracklets_N = np.full(len(trackids_N), -1, dtype=np.int64)
    tracklets_N[inside_N] = found.reshape(-1)
    return tracklets_N


def spread_over_tracklets(
    known: ArrayLike, tracklets: ArrayLike, names: Sequence[str] = (), paths: Sequence[str] = ()
) -> Integers:
    """Return known identities `[N]`, which an image has from another of its tracklet, too.

    Raises:
        UserError: a tracklet has images of two known identities; names the identities, and an image of each by
            its path, or its row from 0.
    """
    known_N, tracklets_N = checked_integers(known, "pids"), checked_integers(tracklets, "tracklets")
    both_N = np.flatnonzero((known_N >= 0) & (tracklets_N >= 0))
    pairs = np.unique(np.stack([tracklets_N[both_N], known_N[both_N]]), axis=1)
    again = np.flatnonzero(pairs[0, 1:] == pairs[0, :-1])
    if again.size:
        cases = []
        for tracklet in dict.fromkeys(pairs[0, again].tolist()):
            rows = both_N[tracklets_N[both_N] == tracklet]
            first = {int(known_N[row]): int(row) for row in rows[::-1]}
            cases.append(
                " and ".join(
                    f"{_named(pid, names)} ({paths[row] if paths else f'row {row}'})"
                    for pid, row in sorted(first.items())
                )
            )
        raise UserError(
            f"{len(cases)} tracklets hold images of more than one known identity: {first_few(cases)}. A tracklet shows"
            " one individual: correct pid or trackid of these images, or train with tracklets: ignore."
        )
    spread_N = known_N.copy()
    place_N = np.searchsorted(pairs[0], tracklets_N)
    inside_N = (known_N < 0) & (tracklets_N >= 0) & (place_N < pairs.shape[1])
    inside_N[inside_N] = pairs[0, place_N[inside_N]] == tracklets_N[inside_N]
    spread_N[inside_N] = pairs[1, place_N[inside_N]]
    return spread_N


def _named(identity: int, names: Sequence[str]) -> str:
    return repr(names[identity]) if identity < len(names) else f"identity {identity}"


def _one_label_each(labels_N: Integers, tracklets_N: Integers, similarity: csr_matrix) -> Integers:
    """Return labels of which every tracklet has one: that of most of its images, then of the most similar cluster."""
    voting_N = (tracklets_N >= 0) & (labels_N >= 0)
    if not voting_N.any():
        return labels_N
    members, clusters = _members(tracklets_N), _members(labels_N)
    votes = (members.T @ clusters).tocoo()  # images of tracklet x cluster
    others = _masked(similarity, lambda row, column: tracklets_N[row] != tracklets_N[column])
    outside = np.asarray(clusters.sum(axis=0)).reshape(-1)[votes.col] - votes.data
    means = _cells(members.T @ others @ clusters, votes.row, votes.col) / np.maximum(1, outside)
    winner = _first_by(votes.row, votes.col, -votes.data, -means, count=members.shape[1])
    united_N = labels_N.copy()
    inside_N = tracklets_N >= 0
    united_N[inside_N] = winner[tracklets_N[inside_N]]
    return united_N


def _one_cluster_each(labels_N: Integers, known_N: Integers, tracklets_N: Integers, similarity: csr_matrix) -> Integers:
    """Return labels by which known identities are clusters: theirs are numbered behind the others."""
    inside_N = (known_N >= 0) & (labels_N >= 0)
    first = int(labels_N.max()) + 1
    united_N = np.where(known_N >= 0, first + known_N, labels_N)
    if not inside_N.any():
        return united_N
    cells, sizes = np.unique(np.stack([labels_N[inside_N], known_N[inside_N]]), axis=1, return_counts=True)
    held = np.bincount(cells[0], minlength=first)  # known identities in each cluster
    open_N = (known_N < 0) & (labels_N >= 0) & (held[labels_N] > 0)
    single = np.zeros(first, dtype=np.int64)
    single[cells[0]] = cells[1]
    united_N[open_N] = first + single[labels_N[open_N]]
    mixed_N = open_N & (held[labels_N] > 1)
    if not mixed_N.any():
        return united_N
    units_N = np.full(len(labels_N), -1, dtype=np.int64)
    units_N[mixed_N] = _units(tracklets_N[mixed_N])
    near = _masked(similarity, lambda row, column: labels_N[row] == labels_N[column])
    sums = (_members(units_N).T @ near @ _members(known_N)).tocoo()
    label_of_unit = np.zeros(int(units_N.max()) + 1, dtype=np.int64)
    label_of_unit[units_N[mixed_N]] = labels_N[mixed_N]
    size = dict(zip(map(tuple, cells.T.tolist()), sizes.tolist(), strict=True))
    each = [size[key] for key in zip(label_of_unit[sums.row].tolist(), sums.col.tolist(), strict=True)]
    winner = _first_by(sums.row, sums.col, -sums.data / np.array(each or [1.0]), count=len(label_of_unit))
    found_N = winner[units_N[mixed_N]]
    united_N[mixed_N] = np.where(found_N >= 0, first + found_N, _NOISE)
    return united_N


def _members(groups_N: Integers) -> csr_matrix:
    """Return the indicator of groups, `[N, groups]`; a row below 0 is in none."""
    inside_N = np.flatnonzero(groups_N >= 0)
    shape = (len(groups_N), int(groups_N.max(initial=-1)) + 1)
    return csr_matrix((np.ones(len(inside_N)), (inside_N, groups_N[inside_N])), shape=shape)


def _masked(similarity: csr_matrix, wanted: Callable[[Integers, Integers], NDArray[np.bool_]]) -> csr_matrix:
    """Return the similarities above 0 of the pairs (row, column) that are wanted."""
    found = similarity.tocoo()
    taken = wanted(found.row, found.col) & (found.data > 0)
    values = found.data[taken].astype(np.float64)
    return csr_matrix((values, (found.row[taken], found.col[taken])), shape=found.shape)


def _cells(table: csr_matrix, rows: Integers, columns: Integers) -> NDArray[np.float64]:
    """Return the values of a sparse table in some of its cells."""
    return np.asarray(table.tocsr()[rows, columns], dtype=np.float64).reshape(-1)


def _units(tracklets: Integers) -> Integers:
    """Return the number of each row's tracklet, or of the row alone, from 0 without gaps."""
    alone = tracklets < 0
    keys = np.where(alone, np.arange(len(tracklets)), len(tracklets) + tracklets)
    return np.unique(keys, return_inverse=True)[1].reshape(-1)


def _first_by(groups: Integers, targets: Integers, *ranks: NDArray[np.float64], count: int) -> Integers:
    """Return int64 `[count]`: of each group the target of the lowest ranks, then of the lowest number; -1 for none."""
    order = np.lexsort((targets, *ranks[::-1], groups))[::-1]
    best = np.full(count, -1, dtype=np.int64)
    best[groups[order]] = targets[order]  # the first of a group is written last
    return best


def _without_gaps(labels_N: Integers) -> Integers:
    """Return labels numbered from 0 in their order, noise -1."""
    numbers = np.unique(labels_N[labels_N >= 0])
    return np.where(labels_N < 0, _NOISE, np.searchsorted(numbers, labels_N))
