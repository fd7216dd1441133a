"""The training images in clusters by an exported model: the table, its measures, and what a page shows of both.

No identity is read. Cost: the search for neighbours, O(N^2 D), and sums over the stored pairs of the Jaccard graph, as
in one epoch of training without labels; what is shown is bounded (`SHEETS`, `IMAGES`, `SAMPLED`, `NEAREST`).

Shape suffixes: N training images, D width, C clusters.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reid_pipeline.clustering import (
    Clustering,
    ClusteringSettings,
    cluster_quality,
    label_measures,
    label_stability,
    pseudo_label_quality,
)
from reid_pipeline.engine.shown_clustering import shown_clustering
from reid_pipeline.engine.training import known_ids
from reid_pipeline.schema.clusters import ContactSheet, Neighbours, SheetGroup, SheetPart
from reid_pipeline.schema.columns import (
    BEFORE,
    CAMERA,
    CAMID,
    CLUSTER,
    CLUSTER_COLUMNS,
    DISTANCE,
    DOUBTFUL,
    NAME,
    NOISE,
    PATH,
    PRESENT,
    RUN,
    SHA256,
)
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.origin import Origin
from reid_pipeline.schema.records import LabelFigures
from reid_pipeline.splits import images_hash

DOUBTFUL_BELOW = 0.05
"""Silhouette on the Jaccard graph below which an image is doubtful: it is hardly nearer to its own cluster than to the
next one, or nearer to that one."""
SHEETS, IMAGES = 6, 10
"""Clusters shown for each reason, and images of each."""
SAMPLED, NEAREST = 8, 8
"""Images whose neighbours are shown, and neighbours of each."""
_PART = 0.25
"""Share of a cluster's images that makes a part of it, where it counts as split or merged."""
_DIGITS = 8

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Clusters:
    """The training images in clusters.

    Attributes:
        images: their rows of the split table [N].
        vectors: float32 [N, D], unit rows.
        labels: int64 [N], clusters from 0, the largest first; -1 joined none.
        silhouette: float64 [N], on the Jaccard graph.
        found: as it was found; None where there was nothing to cluster.
    """

    images: pd.DataFrame
    vectors: np.ndarray
    labels: Integers
    silhouette: Floats
    found: Clustering | None = None

    @cached_property
    def sizes(self) -> Integers:
        """Images of each cluster, int64 [C]."""
        return np.bincount(self.labels[self.labels >= 0]).astype(np.int64)

    @cached_property
    def distance(self) -> Floats:
        """1 - cosine to the own cluster's prototype, the unit mean of its vectors: float64 [N], NaN for noise."""
        found = np.full(len(self.labels), np.nan)
        for members in self.members:
            rows = self.vectors[members].astype(np.float64)
            mean = rows.mean(axis=0)
            norm = float(np.linalg.norm(mean))
            found[members] = np.clip(1.0 - rows @ (mean / norm if norm else mean), 0.0, 2.0)
        return found

    @cached_property
    def members(self) -> list[Integers]:
        """The rows of each cluster, in the order of the table."""
        order = np.argsort(self.labels, kind="stable")[(self.labels < 0).sum() :]
        return np.split(order, np.cumsum(self.sizes)[:-1]) if len(self.sizes) else []

    @cached_property
    def doubtful(self) -> NDArray[np.bool_]:
        """Whether an image is hardly nearer to its own cluster than to another: bool [N]."""
        found: NDArray[np.bool_] = (self.labels >= 0) & (self.silhouette < DOUBTFUL_BELOW)
        return found

    @property
    def paths(self) -> NDArray[np.object_]:
        """The images' paths [N]."""
        return self.images[PATH].to_numpy(dtype=object)


def clusters_of(images: pd.DataFrame, vectors: np.ndarray, settings: ClusteringSettings) -> Clusters:
    """Cluster unit vectors, float32 [N, D], of rows of the split table; fewer than two images are in none."""
    if len(images) < 2:
        return Clusters(images, vectors, np.full(len(images), NOISE), np.zeros(len(images)))
    found = shown_clustering(vectors, settings)
    labels = _largest_first(found.labels)
    return Clusters(images, vectors, labels, found.silhouettes, found)


def _largest_first(labels: Integers) -> Integers:
    """Return the same clusters, numbered by falling size; of equally large ones the first in the table first."""
    clustered = labels >= 0
    names, firsts, places, sizes = np.unique(
        labels[clustered], return_index=True, return_inverse=True, return_counts=True
    )
    number = np.empty(len(names), dtype=np.int64)
    number[np.lexsort((firsts, -sizes))] = np.arange(len(names))
    numbered = np.full(len(labels), NOISE, dtype=np.int64)
    numbered[clustered] = number[places]
    return numbered


def clusters_table(clusters: Clusters, model: str) -> pd.DataFrame:
    """Return `schema.tables.CLUSTERS`: by cluster, those that joined none last, and by distance.

    `model` is the digest of the embedder; with that of the images it makes the column `run`.
    """
    images = clusters.images
    run = f"{images_hash(images)[:_DIGITS]}-{model[:_DIGITS]}"
    table = pd.DataFrame(
        {
            PATH: clusters.paths,
            CLUSTER: clusters.labels,
            DISTANCE: clusters.distance,
            DOUBTFUL: clusters.doubtful,
            NAME: "",
            CAMERA: images[CAMERA].to_numpy(),
            RUN: run,
        },
        columns=list(CLUSTER_COLUMNS),
    ).astype(dict.fromkeys((PATH, NAME, CAMERA, RUN), str))
    last = (clusters.labels == NOISE, clusters.labels, clusters.distance)
    return table.iloc[np.lexsort((clusters.paths.astype(str), *last[::-1]))].reset_index(drop=True)


def clusters_csv(table: pd.DataFrame) -> str:
    """Return the table as CSV for a spreadsheet: a byte order mark, by which Excel knows UTF-8; yes and no."""
    written = table.assign(**{DOUBTFUL: table[DOUBTFUL].map({True: "yes", False: "no"})})
    return "\ufeff" + str(written.to_csv(index=False, lineterminator="\n", float_format="%.4f"))


def cluster_facts(
    clusters: Clusters, settings: ClusteringSettings, pseudo_labels: pd.DataFrame | None = None
) -> dict[str, Any]:
    """Return the fields of `schema.clusters.ClusterFacts` but whose run they are of.

    `pseudo_labels` (`schema.tables.PSEUDO_LABELS`) are the last that training had.
    """
    counts = {"images": len(clusters.images), "doubtful": int(clusters.doubtful.sum())}
    if not len(clusters.images):
        return counts
    present, before = _trained_labels(clusters, pseudo_labels)
    changes = [] if present is None or before is None else _changes(clusters, present, before)
    return {
        **counts,
        "figures": _figures(clusters, settings, present, before),
        "settings": settings.model_dump(mode="json"),
        "sheets": (*_sheets(clusters), *changes),
        "neighbours": tuple(sampled_neighbours(clusters)),
    }


def _figures(
    clusters: Clusters, settings: ClusteringSettings, present: Integers | None, before: Integers | None
) -> LabelFigures:
    """Return the figures of the clusters, and the stability of the last two clusterings of training."""
    quality = pseudo_label_quality(clusters.labels).facts()
    if clusters.found is None:
        return LabelFigures(**quality)
    camids = known_ids(clusters.images[CAMID])
    measures = label_measures(clusters.silhouette, clusters.labels, camids=camids)
    measures["cluster_quality"] = cluster_quality(clusters.vectors, settings, clusters.found)
    if present is not None and before is not None:
        measures["stability"] = label_stability(before, present)
    cut = {"eps": clusters.found.eps, "split_clusters": clusters.found.split}
    return LabelFigures(**{**quality, **measures, **cut})


def _trained_labels(clusters: Clusters, pseudo_labels: pd.DataFrame | None) -> tuple[Integers | None, Integers | None]:
    """Return the last labels of training and those before, in the order of the images; None where they are unknown."""
    if pseudo_labels is None:
        return None, None
    found = pseudo_labels.set_index(PATH).reindex(clusters.paths)
    present, before = (
        None if found[name].isna().any() else found[name].to_numpy(np.int64) for name in (PRESENT, BEFORE)
    )
    return present, before


def sampled_neighbours(clusters: Clusters) -> Iterator[Neighbours]:
    """Yield a few images and those nearest to them; the sample is of the data alone, the same for every method."""
    order = clusters.images.reset_index(drop=True).sort_values([SHA256, PATH], kind="stable").index[:SAMPLED]
    for row in order.to_numpy(np.int64):
        cosines = clusters.vectors @ clusters.vectors[row]
        nearest = np.argsort(-cosines, kind="stable")
        nearest = nearest[nearest != row][:NEAREST]
        own = clusters.labels[row]
        together = (clusters.labels[nearest] == own) & (own != NOISE)
        yield Neighbours(
            path=clusters.paths[row], nearest=tuple(clusters.paths[nearest].tolist()), together=tuple(together.tolist())
        )


def _sheets(clusters: Clusters) -> Iterator[ContactSheet]:
    """Yield the largest, the tightest and the loosest clusters."""
    means = np.array([clusters.distance[members].mean() for members in clusters.members])
    numbers = np.arange(len(means))
    orders: dict[SheetGroup, Integers] = {
        "largest": numbers,
        "tightest": np.lexsort((numbers, means)),
        "loosest": np.lexsort((numbers, -means)),
    }
    for group, order in orders.items():
        for number in order[:SHEETS].tolist():
            members = clusters.members[number]
            yield ContactSheet(
                group=group,
                images=len(members),
                distance=float(means[number]),
                silhouette=float(clusters.silhouette[members].mean()),
                parts=(_part(clusters, members),),
            )


def _changes(clusters: Clusters, present: Integers, before: Integers) -> Iterator[ContactSheet]:
    """Yield the clusters of training that split since the clustering before the last, and those that merged."""
    sides: tuple[tuple[SheetGroup, Integers, Integers], ...] = (("split", before, present), ("merged", present, before))
    for group, labels, others in sides:
        whole, found = _largest_first(labels), 0
        for number in range(int(whole.max(initial=NOISE)) + 1):
            members = np.flatnonzero(whole == number)
            names, sizes = np.unique(others[members][others[members] >= 0], return_counts=True)
            large = names[sizes >= max(2, _PART * len(members))]
            if len(large) < 2 or found == SHEETS:
                continue
            found += 1
            parts = tuple(_part(clusters, members[others[members] == name]) for name in large)
            yield ContactSheet(group=group, images=len(members), parts=parts)


def _part(clusters: Clusters, members: Integers) -> SheetPart:
    """Return some of the members, from the nearest to the furthest, the ends among them."""
    order = members[np.argsort(clusters.distance[members], kind="stable")]
    places = np.linspace(0, len(order) - 1, min(IMAGES, len(order))).round().astype(np.int64)
    mostly = int(np.bincount(clusters.labels[members] + 1).argmax()) - 1
    return SheetPart(cluster=mostly, images=len(order), paths=tuple(clusters.paths[order[places]].tolist()))


def shown_paths(facts: Iterable[Any]) -> list[str]:
    """Return the images that the sheets and neighbours of `ClusterFacts` show, each once, sorted."""
    found: set[str] = set()
    for each in facts:
        found |= {path for sheet in each.sheets for part in sheet.parts for path in part.paths}
        found |= {path for one in each.neighbours for path in (one.path, *one.nearest)}
    return sorted(found)


def require_clusters_of(table: pd.DataFrame, origin: Origin) -> None:
    """Raise a UserError where `clusters_table` was made by another model than the embedder of that origin."""
    model = (origin.digest or "")[:_DIGITS]
    if len(table) and model and not str(table[RUN].iloc[0]).endswith(f"-{model}"):
        raise UserError(
            f"The clusters in clusters.parquet are of another model than the embedder {origin.file}. Make them anew:"
            f" run the pipeline from node {origin.method}.group (--from-nodes={origin.method}.group), or the whole."
        )
