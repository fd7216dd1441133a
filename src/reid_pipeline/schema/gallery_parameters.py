"""Parameters of the pipelines of a gallery: which gallery, what is asked of it, and what is changed in it."""

import re
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from reid_pipeline.schema.base import Parameters

_WHOLE = Annotated[int, Field(ge=1, le=100_000)]


def _as_text(value: Any) -> Any:
    """Return a whole number or a date, which YAML makes of such text, as text."""
    plain = isinstance(value, int | date) and not isinstance(value, bool)
    return str(value) if plain else value


def _as_list(value: Any) -> Any:
    """Return a single value as a list of one."""
    return value if value is None or isinstance(value, list | tuple) else (value,)


Name = Annotated[str, BeforeValidator(_as_text), Field(min_length=1)]
Names = Annotated[tuple[Name, ...], BeforeValidator(_as_list)]
Moment = Annotated[str, BeforeValidator(_as_text)]


class EnrolParameters(Parameters):
    """How images are enrolled."""

    index: Literal["exact", "ivf", "hnsw"] = Field("exact", description="of a new gallery; exact compares all entries")
    tracklets: Literal["none", "mean", "quality"] = Field(
        "none", description="one entry for each tracklet: the mean of its unit embeddings, or weighted by quality"
    )
    collection: Annotated[str, BeforeValidator(_as_text)] = Field("", description="noted with each entry; filter by it")


class FilterParameters(Parameters):
    """Which entries of a gallery search and identify look at; what is empty or null leaves none out."""

    cameras: Names = Field((), description="entries of these cameras alone")
    other_cameras: bool = Field(False, description="leave out entries of the probe's own camera")
    since: Moment | None = Field(None, description="entries of this moment or later: 2026-05-31, 2026-05-31T18:00")
    before: Moment | None = Field(None, description="entries before this moment")
    collections: Names = Field((), description="entries of these collections alone")
    identities: Names = Field((), description="entries of these identities alone")


class SearchParameters(Parameters):
    """What search lists."""

    top: _WHOLE = Field(10, description="entries listed for a probe")
    shown: _WHOLE = Field(30, description="probes shown on the page; the tables have all")


class IdentifyParameters(Parameters):
    """What identify gives as evidence."""

    nearest: _WHOLE = Field(5, description="nearest entries given with an answer")
    shown: _WHOLE = Field(30, description="probes shown on the page; the tables have all")


class CalibrateParameters(Parameters):
    """The promise that identify makes."""

    false_alarm: float | None = Field(
        None, gt=0, lt=1, description="how often somebody new may be taken for a known one: 0.1, 0.01; must be given"
    )
    unsure: float | None = Field(
        None, gt=0, lt=1, description="a second, larger rate: answers between the two are unsure; null: none are"
    )
    other_cameras: bool = Field(False, description="compare images of different cameras only; identify then does, too")


class GalleryParameters(Parameters):
    """The shared parameters of the pipelines of a gallery."""

    gallery: str | None = Field(None, description="name of a gallery of enrolled images")
    clusters_of: str | None = Field(
        None, description="enrol: clusters of a run without names, its cell or its clusters.csv or .parquet"
    )
    text: str | None = Field(None, description="search: words to search by, in the place of images")
    identity: str | None = Field(None, description="merge, rename, forget: the identity meant")
    into: str | None = Field(None, description="merge: the identity that takes its images")
    to: str | None = Field(None, description="rename: its new name")
    camera: str | None = Field(None, description="forget: entries of this camera")
    before: str | None = Field(None, description="forget: entries before this moment")
    enrol: EnrolParameters = EnrolParameters()
    filter: FilterParameters = FilterParameters()
    search: SearchParameters = SearchParameters()
    identify: IdentifyParameters = IdentifyParameters()
    calibrate: CalibrateParameters = CalibrateParameters()

    @field_validator("gallery")
    @classmethod
    def _a_folder(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"\w[\w.-]*", value):
            glued = " What follows the comma is no parameter: look for a typing error." if "," in value else ""
            raise ValueError(
                f"{value!r} cannot be the name of a gallery, which is a folder's: letters, digits, '.', '-' and '_',"
                f" such as gate or north-gate.{glued}"
            )
        return value


GALLERY_TEXT = ("gallery", "clusters_of", "text", "identity", "into", "to", "camera", "before")
"""Those of them that are text, whatever YAML would make of it."""
GALLERY_BLOCKS = ("enrol", "filter", "search", "identify", "calibrate")
"""Those that are blocks; none of them changes a figure of a benchmark."""
