"""clusters.json: what a report shows of the clusters of the training images, by path."""

from typing import Any, Literal

from pydantic import Field

from reid_pipeline.schema.record import Count, Finite, Fraction, Record, RunRecord

SheetGroup = Literal["largest", "tightest", "loosest", "split", "merged"]
"""Why a cluster is shown: its size, its mean distance, or what became of the labels of the last epoch."""


class SheetPart(Record):
    """Images that stand beside one another: of a cluster, or of the part of it that is elsewhere now (or was before).

    `paths` are some of `images`, from the nearest to the prototype to the furthest.
    """

    cluster: int  # -1: joined none
    images: Count
    paths: tuple[str, ...]


class ContactSheet(Record):
    """A cluster that is shown. One that split is of the last epoch's, and its parts are where its images are now."""

    group: SheetGroup
    cluster: Count
    images: Count
    distance: Finite | None = None  # mean, to the prototype; of "split" none is known
    silhouette: Finite | None = None  # mean, likewise
    parts: tuple[SheetPart, ...]


class Neighbours(Record):
    """A sampled image and those nearest to it, by cosine; `together`: whether each is in the same cluster."""

    path: str
    nearest: tuple[str, ...]
    together: tuple[bool, ...]


class ClusterFacts(RunRecord):
    """clusters.json: measures of the exported model's clusters that need no identity, and what the page shows.

    Measures are None, and what is shown empty, where there is no training image.
    """

    version: Literal[1] = 1
    images: Count
    clusters: Count
    doubtful: Count  # images
    noise_share: Fraction | None = None
    largest_share: Fraction | None = None
    silhouette: Finite | None = None  # mean over all images, on the Jaccard graph; noise counts 0
    camera_balance: Fraction | None = None
    stability: Finite | None = None  # against the labels that the last epoch was trained with
    eps: Finite | None = None  # the cut in force
    split_clusters: Count | None = None  # that were split because they were too large
    settings: dict[str, Any] = Field(default_factory=dict)  # of the clustering
    sheets: tuple[ContactSheet, ...] = ()
    neighbours: tuple[Neighbours, ...] = ()
