"""Nodes of the pipelines of a gallery. Those that change it return an operation as data, which saving carries out."""

from typing import TYPE_CHECKING, Any

import pandas as pd

from reid_pipeline.schema.embed_parameters import EmbedParameters
from reid_pipeline.schema.gallery_parameters import (
    CalibrateParameters,
    EnrolParameters,
    FilterParameters,
    IdentifyParameters,
    SearchParameters,
)
from reid_pipeline.schema.parameters import ComputeParameters, IngestionParameters

if TYPE_CHECKING:
    from reid_pipeline.evaluation.gallery_embedding import Embedding

Record = dict[str, Any]
Answers = tuple[pd.DataFrame, str, str, str]


def embed_enrolled(
    gallery: Any,
    given_images: Any,
    run_clusters: Any,
    gallery_embedder: Any,
    enrol: EnrolParameters,
    embed: EmbedParameters,
    ingestion: IngestionParameters,
    compute: ComputeParameters,
) -> Any:
    """Embed the images to enrol that the gallery does not have; those of a file of embeddings are."""
    from reid_pipeline.evaluation.gallery_images import images_to_enrol

    embedding = _embedding(gallery_embedder, embed, ingestion, compute)
    return images_to_enrol(gallery, given_images, run_clusters, embedding, enrol)


def enrol(enrolled_images: Any, enrol: EnrolParameters) -> Any:
    """Return the enrolment of the images, a tracklet as one entry where that is asked for."""
    from reid_pipeline.evaluation.gallery_images import enrolment

    return enrolment(enrolled_images, enrol)


def embed_probes(
    gallery: Any,
    given_images: Any,
    gallery_embedder: Any,
    embed: EmbedParameters,
    ingestion: IngestionParameters,
    compute: ComputeParameters,
) -> Any:
    """Embed the images that are asked about."""
    from reid_pipeline.evaluation.gallery_embedding import probes_of

    return probes_of(gallery, given_images, _embedding(gallery_embedder, embed, ingestion, compute))


def embed_probes_or_words(
    gallery: Any,
    given_images: Any,
    gallery_embedder: Any,
    parameters: Record,
    embed: EmbedParameters,
    ingestion: IngestionParameters,
    compute: ComputeParameters,
) -> Any:
    """Embed the images or the words that are asked about."""
    from reid_pipeline.evaluation.gallery_embedding import probes_of, words_of

    embedding = _embedding(gallery_embedder, embed, ingestion, compute)
    if text := parameters.get("text"):
        return words_of(gallery, text, embedding)
    return probes_of(gallery, given_images, embedding)


def search(gallery: Any, probes: Any, search: SearchParameters, filters: FilterParameters) -> Answers:
    """Rank the gallery's entries for each probe: table, CSV, page, and what the terminal prints."""
    from reid_pipeline.evaluation.gallery_answers import search_answers

    return search_answers(gallery, probes, search, filters)


def bring_up_to_date(gallery: Any) -> Any:
    """Return that the threshold is computed anew where the gallery has changed since."""
    from reid_pipeline.gallery.operations import RenewedPromise

    del gallery  # the operation reads it when it is carried out, under its lock
    return RenewedPromise()


def identify(changed_gallery: Any, probes: Any, identify: IdentifyParameters, filters: FilterParameters) -> Answers:
    """Say of each probe who it is, or that it is new: table, CSV, page, and what the terminal prints."""
    from reid_pipeline.evaluation.gallery_answers import identify_answers

    return identify_answers(changed_gallery.gallery, probes, identify, filters)


def merge(gallery: Any, parameters: Record) -> Any:
    """Return the merge of one identity into another."""
    from reid_pipeline.gallery.operations import Merge

    del gallery  # the operation reads it when it is carried out, under its lock
    return Merge(parameters["into"], (parameters["identity"],))


def undo(gallery: Any) -> Any:
    """Return that the last merge is taken back."""
    from reid_pipeline.gallery.operations import Undo

    del gallery  # the operation reads it when it is carried out, under its lock
    return Undo()


def rename(gallery: Any, parameters: Record) -> Any:
    """Return the new name of an identity."""
    from reid_pipeline.gallery.operations import Rename

    del gallery  # the operation reads it when it is carried out, under its lock
    return Rename(parameters["identity"], parameters["to"])


def forget(gallery: Any, parameters: Record) -> Any:
    """Return which entries are forgotten."""
    from reid_pipeline.gallery.operations import Removal

    del gallery  # the operation reads it when it is carried out, under its lock
    return Removal(*(parameters.get(name) for name in ("identity", "camera", "before")))


def calibrate(gallery: Any, calibrate: CalibrateParameters) -> Any:
    """Return the promise that identify is to make."""
    from reid_pipeline.gallery.operations import Promise

    del gallery  # the operation reads it when it is carried out, under its lock
    return Promise(calibrate.false_alarm or 0.0, calibrate.unsure, calibrate.other_cameras)


def reembed(
    gallery: Any,
    named_embedder: Any,
    embed: EmbedParameters,
    ingestion: IngestionParameters,
    compute: ComputeParameters,
) -> Any:
    """Embed the picture of every entry by another model."""
    from reid_pipeline.evaluation.gallery_embedding import reembedded

    return reembedded(gallery, _embedding(named_embedder, embed, ingestion, compute))


def describe(changed_gallery: Any) -> tuple[str, str, str]:
    """Show who is in the gallery: page, CSV, and what the terminal prints."""
    from reid_pipeline.evaluation.gallery_overview import overview

    return overview(changed_gallery)


def _embedding(
    embedder: Any, embed: EmbedParameters, ingestion: IngestionParameters, compute: ComputeParameters
) -> "Embedding":
    from reid_pipeline.engine.runtime import resolve_runtime
    from reid_pipeline.evaluation.gallery_embedding import Embedding

    return Embedding(embedder, resolve_runtime(compute), embed, ingestion.on_unreadable == "skip")
