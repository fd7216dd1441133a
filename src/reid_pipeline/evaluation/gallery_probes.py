"""What is asked of a gallery: images or words as vectors, and which entries are looked at."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reid_pipeline.gallery import Filters, Gallery, Hits
from reid_pipeline.schema.gallery_parameters import FilterParameters

_AT_ONCE = 65_536
"""Vectors that are compared with words at a time."""


@dataclass(frozen=True)
class Probes:
    """What is asked about.

    Attributes:
        names: paths of images, or the words.
        vectors: float32 [n, D], unit rows.
        cameras: of each; empty where it is not known.
        files: of each picture; None where words were asked by.
        columns: of the gallery's vectors, normalised anew, that words are compared with; None: all.
        remarks: sentences for the page and the terminal.
    """

    names: Sequence[str]
    vectors: np.ndarray
    cameras: Sequence[str]
    files: Sequence[Path | None]
    columns: slice | None = None
    remarks: Sequence[str] = ()


def hits_of_words(gallery: Gallery, words: np.ndarray, columns: slice, k: int, given: FilterParameters) -> Hits:
    """Return the `k` entries whose projected part is most like each text, the nearest first, equal ones by id.

    Every entry that passes the filters is compared, whatever index there is; so many vectors at a time are in memory.

    Args:
        gallery: of a model whose embeddings have a projected part.
        words: texts in the joint space, float32 [q, d] of unit rows.
        columns: of that part.
        k: how many.
        given: filters; `other_cameras` leaves nothing out, since words have no camera.
    """
    ids = gallery.passing(filters_of(given))
    scores = np.empty((len(words), len(ids)), dtype=np.float32)
    for start in range(0, len(ids), _AT_ONCE):
        part = gallery.vectors(ids[start : start + _AT_ONCE])[:, columns]
        lengths = np.maximum(np.linalg.norm(part, axis=1), np.finfo(np.float32).tiny)
        scores[:, start : start + _AT_ONCE] = words @ (part / lengths[:, None]).T
    order = np.lexsort((np.broadcast_to(ids, scores.shape), -scores), axis=1)[:, :k]
    return Hits(ids[order], np.take_along_axis(scores, order, axis=1))


def filters_of(given: FilterParameters, probes: Probes | None = None) -> Filters:
    """Return the filters of a gallery that the parameters mean; without probes, whatever cameras these have."""
    return Filters(
        cameras=given.cameras or None,
        not_camera=list(probes.cameras) if given.other_cameras and probes is not None else None,
        since=given.since,
        before=given.before,
        collections=given.collections or None,
        identities=given.identities or None,
    )
