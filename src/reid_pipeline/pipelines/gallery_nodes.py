"""Nodes of the pipelines of a gallery. Those that change it return a change as data, which saving carries out."""

from typing import TYPE_CHECKING, Any

import pandas as pd

from reid_pipeline.schema.embedded_images import EmbeddedImages
from reid_pipeline.schema.gallery_parameters import (
    CalibrateParameters,
    EnrolParameters,
    FilterParameters,
    IdentifyParameters,
    SearchParameters,
)
from reid_pipeline.schema.parameters import ComputeParameters, IngestionParameters

if TYPE_CHECKING:
    from reid_pipeline.gallery import Gallery
    from reid_pipeline.gallery.operations import Changed, Operation

Record = dict[str, Any]


def embed_enrolled(
    gallery: Any, parameters: Record, enrol: EnrolParameters, compute: ComputeParameters, ingestion: IngestionParameters
) -> EmbeddedImages:
    """Embed the images to enrol that the gallery does not have; or read them from a file of embeddings."""
    from reid_pipeline.evaluation.gallery_images import embedded_to_enrol

    return embedded_to_enrol(gallery, parameters, enrol, compute, ingestion)


def enrol(enrolled_images: Any, enrol: EnrolParameters) -> "Operation":
    """Return the enrolment of the images, a tracklet as one entry where that is asked for."""
    from reid_pipeline.evaluation.gallery_images import enrolment

    return enrolment(enrolled_images, enrol)


def embed_probes(
    gallery: Any, parameters: Record, compute: ComputeParameters, ingestion: IngestionParameters
) -> Any:
    """Embed the images, or the words, that are asked about, under the gallery's model."""
    from reid_pipeline.evaluation.gallery_images import embedded_probes

    return embedded_probes(gallery, parameters, compute, ingestion)


def search(
    gallery: Any, probes: Any, search: SearchParameters, filter_: FilterParameters
) -> tuple[pd.DataFrame, str, str, str]:
    """Rank the gallery's entries for each probe: table, CSV, page, and what the terminal prints."""
    from reid_pipeline.evaluation.gallery_answers import search_answers

    return search_answers(gallery, probes, search, filter_)


def identify(
    gallery: Any, probes: Any, identify: IdentifyParameters, filter_: FilterParameters
) -> tuple[pd.DataFrame, str, str, str]:
    """Say of each probe who it is, or that it is new: table, CSV, page, and what the terminal prints."""
    from reid_pipeline.evaluation.gallery_answers import identify_answers

    return identify_answers(gallery, probes, identify, filter_)


def merge(gallery: Any, parameters: Record) -> "Operation":
    """Return the merge of one identity into another."""
    from reid_pipeline.gallery.operations import Merge

    return Merge(parameters["into"], (parameters["identity"],))


def undo(gallery: Any, parameters: Record) -> "Operation":
    """Return that the last merge is taken back."""
    from reid_pipeline.gallery.operations import Undo

    return Undo()


def rename(gallery: Any, parameters: Record) -> "Operation":
    """Return the new name of an identity."""
    from reid_pipeline.gallery.operations import Rename

    return Rename(parameters["identity"], parameters["to"])


def forget(gallery: Any, parameters: Record) -> "Operation":
    """Return which entries are forgotten."""
    from reid_pipeline.gallery.operations import Removal

    return Removal(*(parameters.get(name) for name in ("identity", "camera", "before")))


def calibrate(gallery: Any, calibrate: CalibrateParameters) -> "Operation":
    """Return the promise that identify is to make."""
    from reid_pipeline.gallery.operations import Promise

    return Promise(calibrate.false_alarm or 0.0, calibrate.unsure)
