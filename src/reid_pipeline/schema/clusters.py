"""clusters.json: what a report shows of the clusters of the training images, by path."""

from typing import Any, Literal

from pydantic import Field

from reid_pipeline.schema.record import Count, Finite, Record, RunRecord
from reid_pipeline.schema.records import LabelFigures

SheetGroup = Literal["largest", "tightest", "loosest", "split", "merged"]
"""Why a cluster is shown: its size, its mean distance, or what became of it in the last epoch of training."""


class SheetPart(Record):
    """Images that are shown beside one another: of a cluster, or of one that it split into or was merged from.

    `paths` are some of `images`, from the nearest to the prototype to the furthest. `cluster` is the one in
    clusters.csv that most of them are in; -1: most joined none.
    """

    cluster: int
    images: Count
    paths: tuple[str, ...]


class ContactSheet(Record):
    """A cluster that is shown: of clusters.csv; of "split" and "merged", of the last two that training had."""

    group: SheetGroup
    images: Count
    distance: Finite | None = None  # mean, to the prototype; this and the next: None of "split" and "merged"
    silhouette: Finite | None = None  # mean
    parts: tuple[SheetPart, ...]


class Neighbours(Record):
    """A sampled image and those nearest to it, by cosine; `together`: whether each is in the same cluster."""

    path: str
    nearest: tuple[str, ...]
    together: tuple[bool, ...]


class ClusterFacts(RunRecord):
    """clusters.json: the exported model's clusters by figures that need no identity, and what the page shows of them.

    Nothing is shown, and no figure known, where there is no training image.
    """

    version: Literal[1] = 1
    images: Count
    doubtful: Count  # images
    figures: LabelFigures = LabelFigures()  # stability: of the last two clusterings of training
    settings: dict[str, Any] = Field(default_factory=dict)  # of the clustering
    sheets: tuple[ContactSheet, ...] = ()
    neighbours: tuple[Neighbours, ...] = ()
