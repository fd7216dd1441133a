"""Images that go into a gallery, or are asked about: read, embedded under the gallery's model, pooled by tracklet."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from reid_pipeline.gallery import Gallery
from reid_pipeline.gallery.operations import Enrolment
from reid_pipeline.retrieval.pooling import agreement, pooled, tracklet_groups
from reid_pipeline.schema.columns import CAMERA, IDENTITY, PATH, TIME, TRACKID
from reid_pipeline.schema.embedded_images import EmbeddedImages
from reid_pipeline.schema.errors import UserError, first_few
from reid_pipeline.schema.gallery_parameters import EnrolParameters

CONFIRMED = "confirmed"


@dataclass(frozen=True)
class ImagesToEnrol:
    """Embedded images that a gallery is to take.

    Attributes:
        images: with paths as the gallery stores them, and identities.
        confirmed: bool [n], whether somebody named the identity; False for clusters.
        sources: files that hold the vectors, too.
        notes: sentences on what was left out.
    """

    images: EmbeddedImages
    confirmed: np.ndarray
    sources: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()


def enrolment(given: ImagesToEnrol, enrol: EnrolParameters) -> Enrolment:
    """Return the enrolment of images; where it is asked for, the images of a tracklet are one entry.

    Raises:
        UserError: a tracklet holds images of several identities.
    """
    rows = given.images.rows.assign(collection=enrol.collection, **{CONFIRMED: given.confirmed})
    vectors, notes = given.images.vectors, list(given.notes)
    if enrol.tracklets != "none":
        rows, vectors = _pooled(rows, vectors, by_quality=enrol.tracklets == "quality")
        notes.append(f"They are {len(rows):,} entries: the images of a tracklet are one, shown by its first image.")
    return Enrolment(
        vectors=vectors,
        entries=rows.reset_index(drop=True),
        model=given.images.model,
        origin=given.images.origin,
        index=enrol.index,
        sources=given.sources,
        notes=tuple(notes),
    )


def _pooled(rows: pd.DataFrame, vectors: np.ndarray, *, by_quality: bool) -> tuple[pd.DataFrame, np.ndarray]:
    """Return one row and vector for each tracklet of a camera; images without one stay as they are."""
    known = rows[TRACKID] >= 0
    if not known.any():
        raise UserError(
            "enrol.tracklets pools the images of a tracklet, and none of these images has one. Give a table with a"
            " column trackid, or leave enrol.tracklets=none."
        )
    keys = pd.Series(list(zip(rows[CAMERA], rows[TRACKID], strict=True)), index=rows.index)
    tracklets = np.where(known, pd.factorize(keys)[0], -1)
    mixed = rows[known].groupby(tracklets[known])[IDENTITY].nunique()
    if (mixed > 1).any():
        several = rows[tracklets == mixed.index[mixed > 1][0]]
        raise UserError(
            f"{int((mixed > 1).sum())} tracklets hold images of several identities, such as {several[PATH].iloc[0]}"
            f" ({first_few(sorted(several[IDENTITY].unique()))}). Correct identity or trackid, or leave"
            " enrol.tracklets=none."
        )
    groups = tracklet_groups(tracklets)
    firsts = np.unique(groups, return_index=True)[1]
    return rows.iloc[firsts], pooled(vectors, groups, agreement(vectors, groups) if by_quality else None)


def without_enrolled(gallery: Gallery | None, rows: pd.DataFrame, collection: str) -> tuple[np.ndarray, list[str]]:
    """Return which rows the gallery does not have yet, bool [n], and a sentence on the others."""
    if gallery is None:
        return np.ones(len(rows), dtype=bool), []
    entries = gallery.entries(gallery.ids)
    there = set(entries.loc[entries["collection"] == collection, PATH])
    new = ~rows[PATH].isin(there).to_numpy()
    left_out = int((~new).sum())
    return new, [f"{left_out:,} images were enrolled before, and are left as they are."] if left_out else []


def require_named(rows: pd.DataFrame) -> None:
    """Refuse images to enrol without an identity."""
    nobody = rows.loc[rows[IDENTITY] == "", PATH]
    if len(nobody):
        raise UserError(
            f"{len(nobody):,} of {len(rows):,} images to enrol have no identity, such as {first_few(nobody.tolist(), 3)}."
            " Put each individual's images into a folder of its name, or give a table with the columns path and"
            " identity; images that nobody has named are enrolled by the clusters of a run: clusters_of=<cell>."
        )


def stored_path(file: Path, project: Path) -> str:
    """Return a file's path as a gallery stores it: relative to the project where it lies below, so that both may move."""
    whole = Path(os.path.abspath(file))  # noqa: PTH100 - not where links lead
    return whole.relative_to(project).as_posix() if whole.is_relative_to(project) else whole.as_posix()
