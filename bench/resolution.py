"""Do clusters stay those of the identities as a collection grows? Planted collections of 50 to 3,200 identities.

Identities stand in groups of 25 that look alike, so that every size is as hard as another: a larger collection has more
groups. Each identity has 12 images of width 64, its own scatter, and a shift by camera. Beside the kinds of clustering
stand communities joined as by recipe own_data, and plain modularity, whose resolution does not grow with the
collection: its communities are ever fewer per identity (the resolution limit).
"""

import argparse
import time
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from reid_pipeline.clustering import ClusteringSettings, cluster_similarity, pseudo_label_quality
from reid_pipeline.clustering.kinds._kind import pairs_within
from reid_pipeline.clustering.modularity import ROWS_OF_RESOLUTION_ONE
from reid_pipeline.geometry.jaccard import jaccard_similarity

IMAGES, WIDTH, GROUP, CAMERAS = 12, 64, 25, 4
JOINED = "the same, joined"
PLAIN = "plain modularity"
KINDS = ("dbscan", "communities", JOINED, PLAIN)
JOIN_WITHIN = 0.7  # of recipe own_data
RESOLUTION_OF_PLAIN = 3.0


@dataclass(frozen=True)
class Row:
    """A line of the table: what a clustering found at one size and one cut."""

    identities: int
    eps: float | str
    kind: str
    clusters: float
    """Per true identity."""
    noise: float
    ari: float
    seconds: float

    def __str__(self) -> str:
        return (
            f"{self.identities:>10,} {self.eps!s:>5} {self.kind:<17} {self.clusters:>22.2f} {self.noise:>6.2f} "
            f"{self.ari:>6.3f} {self.seconds:>8.2f}"
        )


def planted(identities: int, seed: int = 0, scatter: float = 0.7) -> tuple[np.ndarray, np.ndarray]:
    """Return unit rows `[N, 64]` and their identities `[N]`, in a random order."""
    rng = np.random.default_rng(seed)

    def unit(*shape: int) -> np.ndarray:
        drawn = rng.normal(size=shape)
        return np.asarray(drawn / np.linalg.norm(drawn, axis=-1, keepdims=True))

    groups = np.repeat(unit(-(-identities // GROUP), WIDTH), GROUP, axis=0)[:identities]
    centres = groups + 0.7 * unit(identities, WIDTH)
    pids = rng.permutation(np.repeat(np.arange(identities), IMAGES))
    shift = 0.3 * unit(CAMERAS, WIDTH)[rng.integers(CAMERAS, size=len(pids))]
    own = scatter * np.exp(0.3 * rng.normal(size=identities)) / np.sqrt(WIDTH)
    rows = centres[pids] + shift + own[pids][:, None] * rng.normal(size=(len(pids), WIDTH))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), pids


def resolution_of(kind: str, similarity: sparse.csr_array, eps: float | str) -> float:
    """Return the parameter `resolution`; for plain modularity the one that comes to 3 at this size."""
    if kind != PLAIN or isinstance(eps, str):
        return 1.0
    linked = len(np.unique(pairs_within(similarity, eps)[0]))
    return RESOLUTION_OF_PLAIN * ROWS_OF_RESOLUTION_ONE / max(1, linked)


def table(sizes: list[int], cuts: list[float | str], *, k1: int = 15, seed: int = 0) -> list[Row]:
    """Return the lines of all sizes, cuts and kinds."""
    found = []
    for identities in sizes:
        features, pids = planted(identities, seed)
        similarity = jaccard_similarity(features, k1=k1, k2=6)
        for eps in cuts:
            for kind in KINDS if eps != "auto" else KINDS[:3]:
                settings = ClusteringSettings(
                    kind="communities" if kind in {JOINED, PLAIN} else kind,
                    eps=eps,
                    join_within=JOIN_WITHIN if kind == JOINED else 0.0,
                    resolution=resolution_of(kind, similarity, eps),
                )
                began = time.perf_counter()
                clusters = cluster_similarity(similarity, settings)
                seconds = time.perf_counter() - began
                seen = pseudo_label_quality(clusters.labels, pids)
                share = seen.clusters / identities
                shown = eps if eps != "auto" else f"~{clusters.eps:.2f}"
                found.append(Row(identities, shown, kind, share, seen.noise_share, seen.ari or 0.0, seconds))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--identities", type=int, nargs="*", default=[50, 200, 800, 3_200])
    parser.add_argument("--k1", type=int, default=15)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="tiny sizes: does it run?")
    given = parser.parse_args()
    print("identities   eps kind              clusters per identity  noise    ARI  seconds")
    sizes = [25, 50] if given.quick else given.identities
    for size in sizes:
        for row in table([size], [0.5, 0.6, 0.7, 0.8, "auto"], k1=given.k1, seed=given.seed):
            print(row, flush=True)


if __name__ == "__main__":
    main()
