"""Images that go into a gallery: of known individuals, or clusters of a run; pooled by tracklet where asked for."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from reid_pipeline.evaluation.gallery_embedding import Embedding, Given, stored_path
from reid_pipeline.gallery import Gallery
from reid_pipeline.gallery.operations import Enrolment
from reid_pipeline.gallery.rows import plain_name
from reid_pipeline.reporting.formats import counted
from reid_pipeline.retrieval.pooling import agreement, pooled, tracklet_groups
from reid_pipeline.schema.columns import CAMERA, CLUSTER, IDENTITY, NAME, NOISE, PATH, TIME, TRACKID
from reid_pipeline.schema.embedded_images import EMBEDDED_COLUMNS, EmbeddedImages
from reid_pipeline.schema.errors import UserError, first_few
from reid_pipeline.schema.gallery_parameters import EnrolParameters
from reid_pipeline.schema.listed_images import ListedImages
from reid_pipeline.schema.origin import Origin

CONFIRMED, COLLECTION, ENROL = "confirmed", "collection", "enrol"


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


def images_to_enrol(
    gallery: Gallery | None, given: Given, clusters: pd.DataFrame | None, embedding: Embedding, enrol: EnrolParameters
) -> ImagesToEnrol:
    """Return the images that the gallery does not have, embedded by its model.

    Args:
        gallery: None for a new one.
        given: images embedded before, or to be embedded; with `clusters` the folder that their paths begin at.
        clusters: path, cluster, name and camera of a run's images, or None.
        embedding: how images are embedded; not asked where they are.
        enrol: collection, and whether tracklets are one entry each.

    Raises:
        UserError: an image has no identity, cannot be decoded, or is embedded by another model; clusters of another run
            are in the gallery, which nobody has named.
    """
    listed, confirmed = _named_images(given, clusters, embedding)
    if gallery is not None:
        gallery.require_model(listed.model if isinstance(listed, EmbeddedImages) else embedding.loaded.digest)
    files = [stored_path(Path(listed.root) / path) for path in listed.rows[PATH]]
    rows = listed.rows.assign(path=files, confirmed=confirmed)
    new, notes = without_enrolled(gallery, rows, enrol)
    rows = rows[new].reset_index(drop=True)
    _require_free_names(gallery, rows)
    of_images, confirmed = rows[list(EMBEDDED_COLUMNS)], rows[CONFIRMED].to_numpy()
    if isinstance(listed, EmbeddedImages):
        sources = (Path(listed.origin.file),) if listed.origin.file else ()
        images = replace(listed, rows=of_images, vectors=listed.vectors[new])
        return ImagesToEnrol(images, confirmed, sources, tuple(notes))
    if gallery is not None and rows.empty:
        return ImagesToEnrol(_nothing(gallery, of_images), confirmed, (), tuple(notes))
    images = embedding.of(replace(listed, rows=of_images))
    if left_out := len(rows) - len(images.rows):
        notes.append(f"{counted(left_out, 'image')} cannot be decoded, and were left out.")
    return ImagesToEnrol(images, confirmed[rows[PATH].isin(images.rows[PATH])], (), tuple(notes))


def _named_images(
    given: Given, clusters: pd.DataFrame | None, embedding: Embedding
) -> tuple[EmbeddedImages | ListedImages, np.ndarray]:
    """Return the images, of which each has an identity, and whether somebody confirmed it, bool [n]."""
    if given is None:
        raise UserError("There are no images to enrol. Give --params images=<folder, list or table>.")
    if clusters is not None:
        return clustered_images(given, clusters)
    if isinstance(given, ListedImages) and embedding.embed.identities == "none":
        given = given.without_folder_names()
    require_named(given.rows)
    return given, np.ones(len(given.rows), dtype=bool)


def _require_free_names(gallery: Gallery | None, rows: pd.DataFrame) -> None:
    """Refuse clusters that are called as others of the gallery: two runs number them each for itself."""
    clusters = set(rows.loc[~rows[CONFIRMED], IDENTITY])
    taken = sorted(clusters & set(gallery.identities()[IDENTITY])) if gallery is not None and clusters else []
    if taken:
        raise UserError(
            f"The gallery has {first_few(taken, 3)} already, clusters of another run, or of this one before it was made"
            " anew: two runs number their clusters each for itself. Rename or forget those of the gallery first, or"
            " enrol into another gallery."
        )


def _nothing(gallery: Gallery, rows: pd.DataFrame) -> EmbeddedImages:
    """Return no image at all, of the gallery's model."""
    empty = np.empty((0, gallery.width), dtype=np.float32)
    return EmbeddedImages(rows, empty, gallery.origin or Origin(made_by=ENROL, code=""), gallery.model, "")


def clustered_images(given: Given, clusters: pd.DataFrame) -> tuple[ListedImages, np.ndarray]:
    """Return the images of a run's clusters, and which of them somebody has named.

    An image is called as the column `name` says, which confirms it; without a name as its cluster, "cluster 12", which
    nobody has confirmed. One without both, noise, is left out.

    Raises:
        UserError: the folder of the images is not given, or the clusters are no whole numbers.
    """
    if not isinstance(given, ListedImages):
        raise UserError(
            "clusters_of gives the paths of a run's images, and images the folder that they begin at: give"
            " images=<the folder that the run read>, such as data/01_raw/<collection>."
        )
    number = pd.to_numeric(clusters[CLUSTER], errors="coerce")
    name = clusters[NAME].fillna("").astype("str").str.strip() if NAME in clusters else pd.Series("", clusters.index)
    if (wrong := clusters.loc[number.isna() | (number % 1 != 0), PATH]).size:
        raise UserError(f"{wrong.size} clusters are no whole numbers, such as that of {first_few(wrong.tolist(), 3)}.")
    taken = (name != "") | (number > NOISE)
    if not taken.any():
        raise UserError("No image of these clusters has joined one, and none has a name: there is nothing to enrol.")
    identity = name.where(name != "", "cluster " + number.astype("int64").astype("str"))
    camera = clusters[CAMERA].fillna("").astype("str") if CAMERA in clusters else ""
    rows = pd.DataFrame({PATH: clusters[PATH].astype("str"), IDENTITY: identity, CAMERA: camera, TIME: ""})
    rows = rows.assign(trackid=np.int64(-1))[taken].reset_index(drop=True)
    types = {column: "int64" if column == TRACKID else "str" for column in EMBEDDED_COLUMNS}
    listed = ListedImages(given.root, rows[list(EMBEDDED_COLUMNS)].astype(types), (), given.given)
    return listed, (name != "")[taken].to_numpy()


def enrolment(given: ImagesToEnrol, enrol: EnrolParameters) -> Enrolment:
    """Return the enrolment of images; where it is asked for, the images of a tracklet are one entry.

    Raises:
        UserError: a tracklet holds images of several identities.
    """
    rows = given.images.rows.assign(collection=enrol.collection, confirmed=given.confirmed)
    vectors, notes = given.images.vectors, list(given.notes)
    if enrol.tracklets != "none" and len(rows):
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


def without_enrolled(
    gallery: Gallery | None, rows: pd.DataFrame, enrol: EnrolParameters
) -> tuple[np.ndarray, list[str]]:
    """Return which rows the gallery does not have in a collection, bool [n], and sentences on the others.

    Where a tracklet is one entry, which is there with one of its images, all of its images are. Its number does not
    say so: trackers begin to count anew.
    """
    if gallery is None:
        return np.ones(len(rows), dtype=bool), []
    entries = gallery.entries()
    entries = entries[entries[COLLECTION] == enrol.collection]
    there = rows[PATH].isin(entries[PATH])
    notes = _other_names(rows[there], entries)
    if enrol.tracklets != "none":
        tracklets = pd.MultiIndex.from_frame(rows[[CAMERA, TRACKID]])
        there |= tracklets.isin(tracklets[there & (rows[TRACKID] >= 0)])
    left_out = int(there.sum())
    before = [f"{counted(left_out, 'image')} enrolled before: nothing of these is changed."] if left_out else []
    return ~there.to_numpy(), [*before, *notes]


def _other_names(rows: pd.DataFrame, entries: pd.DataFrame) -> list[str]:
    """Return a sentence on images that are enrolled under another name than they have now, if there are any."""
    names = entries.drop_duplicates(PATH).set_index(PATH)[IDENTITY].reindex(rows[PATH]).to_numpy()
    given = rows[IDENTITY].map(plain_name)
    other = np.flatnonzero((names != given) & rows[CONFIRMED])
    if not other.size:
        return []
    first = other[0]
    return [
        f"{counted(other.size, 'image')} of these: another name in the gallery, such as {rows[PATH].iloc[first]}:"
        f" {names[first]!r} there, {given.iloc[first]!r} now. The gallery's stays; merge or rename puts it right, or"
        " forget and enrol anew."
    ]


def require_named(rows: pd.DataFrame) -> None:
    """Refuse images to enrol without an identity."""
    nobody = rows.loc[rows[IDENTITY] == "", PATH]
    if len(nobody):
        raise UserError(
            f"{len(nobody):,} of {len(rows):,} images to enrol have no identity: {first_few(nobody.tolist(), 3)}."
            " Put each individual's images into a folder of its name, or give a table with the columns path and"
            " identity; images that nobody has named are enrolled by the clusters of a run: clusters_of=<cell>."
        )
