"""Nodes that change a gallery: each returns a change as data, which is carried out when it is saved."""

from typing import Any

from reid_pipeline.schema.embedded_images import EmbeddedImages
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.gallery_parameters import CalibrateParameters, EnrolParameters
from reid_pipeline.schema.parameters import ComputeParameters, IngestionParameters

Record = dict[str, Any]


def embed_enrolled(
    gallery: Any, parameters: Record, enrol: EnrolParameters, compute: ComputeParameters
) -> Any:
    """Embed the images that are enrolled, or read them from a file of embeddings or a run's clusters."""


def enrol(gallery: Any, enrolled_images: Any, enrol: EnrolParameters) -> Any:
    """Return the enrolment of the images that the gallery does not have."""


def merge(gallery: Any, parameters: Record) -> Any:
    """Return the merge of one identity into another."""
    from reid_pipeline.gallery.changes import Merge

    return Merge(_given(parameters, "into"), (_given(parameters, "identity"),))
