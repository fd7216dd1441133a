"""Images that go into a gallery: of known individuals, or clusters of a run; pooled by tracklet where asked for."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from reid_pipeline.evaluation.gallery_embedding import Embedding, Given, stored_path
from reid_pipeline.gallery import Gallery
from reid_pipeline.gallery.operations import Enrolment
from reid_pipeline.retrieval.pooling import agreement, pooled, tracklet_groups
from reid_pipeline.schema.columns import CAMERA, CLUSTER, IDENTITY, NAME, NOISE, PATH, TIME, TRACKID
from reid_pipeline.schema.embedded_images import EMBEDDED_COLUMNS, EmbeddedImages
from reid_pipeline.schema.errors import UserError, first_few
from reid_pipeline.schema.gallery_parameters import EnrolParameters
from reid_pipeline.schema.listed_images import ListedImages

CONFIRMED, COLLECTION = "confirmed", "collection"


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
    gallery: Gallery | None, given: Given, clusters: pd.DataFrame | None, embedding: Embedding, collection: str
) -> ImagesToEnrol:
    """Return the images that the gallery does not have, embedded by its model.

    Args:
        gallery: None for a new one.
        given: images embedded before, or to be embedded; with `clusters` the folder that their paths begin at.
        clusters: path, cluster, name and camera of a run's images, or None.
        embedding: how images are embedded.
        collection: of the entries.

    Raises:
        UserError: an image has no identity, cannot be decoded, or is embedded by another model.
    """
    if given is None:
        raise UserError("There are no images to enrol. Give --params images=<folder, list or table>.")
    listed: EmbeddedImages | ListedImages = given
    confirmed = np.ones(len(given.rows), dtype=bool)
    if clusters is not None:
        listed, confirmed = clustered_images(given, clusters)
    elif isinstance(listed, ListedImages) and embedding.embed.identities == "none":
        listed = listed.without_folder_names()
    require_named(listed.rows)
    files = [stored_path(Path(listed.root) / path) for path in listed.rows[PATH]]
    new, notes = without_enrolled(gallery, files, collection)
    if isinstance(listed, EmbeddedImages):
        rows = listed.rows.assign(path=files)[new].reset_index(drop=True)
        images = replace(listed, rows=rows, vectors=listed.vectors[new])
        return ImagesToEnrol(images, confirmed[new], _sources(listed), tuple(notes))
    if not new.any():
        return ImagesToEnrol(_nothing(gallery, listed), confirmed[new], (), tuple(notes))
    whole = listed.rows.assign(path=files, confirmed=confirmed)[new].reset_index(drop=True)
    images = embedding.of(replace(listed, rows=whole[list(EMBEDDED_COLUMNS)]))
    if gallery is not None:
        gallery.require_model(images.model)
    if len(images.rows) < len(whole):
        notes.append(f"{len(whole) - len(images.rows):,} images cannot be decoded, and were left out.")
    decoded = whole.set_index(PATH).loc[images.rows[PATH], CONFIRMED].to_numpy()
    return ImagesToEnrol(images, decoded, (), tuple(notes))


def _sources(images: EmbeddedImages) -> tuple[Path, ...]:
    return (Path(images.origin.file),) if images.origin.file else ()


def _nothing(gallery: Gallery | None, listed: ListedImages) -> EmbeddedImages:
    """Return no image at all, of the gallery's model."""
    if gallery is None or gallery.origin is None:
        raise UserError(f"There is nothing to enrol in {listed.given or listed.root}.")
    empty = np.empty((0, gallery.width), dtype=np.float32)
    return EmbeddedImages(listed.rows.head(0), empty, gallery.origin, gallery.model, str(listed.root))


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


def without_enrolled(gallery: Gallery | None, files: list[str], collection: str) -> tuple[np.ndarray, list[str]]:
    """Return which files the gallery does not have in a collection, bool [n], and a sentence on the others."""
    if gallery is None:
        return np.ones(len(files), dtype=bool), []
    entries = gallery.entries()
    there = set(entries.loc[entries[COLLECTION] == collection, PATH])
    new = np.array([file not in there for file in files], dtype=bool)
    left_out = int((~new).sum())
    return new, [f"{left_out:,} images were enrolled before, and stay as they are."] if left_out else []


def require_named(rows: pd.DataFrame) -> None:
    """Refuse images to enrol without an identity."""
    nobody = rows.loc[rows[IDENTITY] == "", PATH]
    if len(nobody):
        raise UserError(
            f"{len(nobody):,} of {len(rows):,} images to enrol have no identity: {first_few(nobody.tolist(), 3)}."
            " Put each individual's images into a folder of its name, or give a table with the columns path and"
            " identity; images that nobody has named are enrolled by the clusters of a run: clusters_of=<cell>."
        )
