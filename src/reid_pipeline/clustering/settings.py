"""The parameters of a clustering, from embeddings to pseudo labels."""

from contextlib import suppress
from typing import Any, Literal

from pydantic import Field, field_validator

from reid_pipeline.clustering.kinds import check_kind
from reid_pipeline.schema.base import Parameters
from reid_pipeline.schema.errors import UserError, nearest

_EPS = "a Jaccard distance in (0, 1], or auto, is needed"


class ClusteringSettings(Parameters):
    """From embeddings to pseudo labels."""

    kind: str = Field("dbscan", description="a module of clustering/kinds: dbscan, as released, or communities")
    k1: int = Field(30, ge=2, description="neighbours of a k-reciprocal set, the row itself included")
    k2: int = Field(6, ge=1, description="neighbours averaged by local query expansion")
    eps: float | Literal["auto"] = Field(
        0.5, description="greatest Jaccard distance of neighbours, in (0, 1]; auto: found without labels, each time"
    )
    min_samples: int = Field(
        4, ge=1, description="dbscan: rows within eps that make a core row, itself included; else the smallest cluster"
    )
    resolution: float = Field(1.0, gt=0, description="communities alone: more of it, more and smaller clusters")
    largest_share: float = Field(
        1.0, gt=0, le=1, description="a cluster with more of the images is split by a smaller eps; 1 splits none"
    )
    join_within: float = Field(
        0.0, ge=0, le=1, description="clusters, and rows left out, are joined by pairs within this distance; 0: are not"
    )
    most_pairs: int = Field(
        50_000_000, ge=1, description="pairs of similar images, of 32 bytes, and up to 300 each; more stop the run"
    )
    max_noise_share: float = Field(0.95, gt=0, le=1, description="above it training stops: a collapse")

    @field_validator("kind")
    @classmethod
    def _known_kind(cls, value: str) -> str:
        try:
            return check_kind(value)
        except UserError as error:
            raise ValueError(str(error)) from None

    @field_validator("eps", mode="before")
    @classmethod
    def _distance_or_auto(cls, value: Any) -> Any:
        with suppress(TypeError, ValueError):
            float(value)  # numbers are checked as those of all parameters
            return value
        if value != "auto":
            raise ValueError(f"eps is {value!r}; {_EPS}.{nearest(str(value), ['auto'])}")
        return value

    @field_validator("eps")
    @classmethod
    def _possible_distance(cls, value: float | str) -> float | str:
        if not isinstance(value, str) and not 0.0 < value <= 1.0:
            raise ValueError(f"eps is {value:g}; {_EPS} (usual: 0.4 to 0.7).")
        return value

    def words(self) -> str:
        """Return the options that decided the labels, for the text of an error."""
        left_out = {"max_noise_share", "most_pairs"} | ({"resolution"} if self.kind == "dbscan" else set())
        options = self.model_dump(include=set(ClusteringSettings.model_fields) - left_out)
        return ", ".join(f"{name} {value}" for name, value in options.items())
