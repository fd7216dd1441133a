"""A gallery of a million vectors: time of a search, of adding and of forgetting, beside plain numpy, in one run.

Vectors are clustered: groups of individuals that look alike, 20 images each. Most individuals were enrolled at once,
some have their images scattered over the whole gallery. Probes are new images of enrolled individuals. What is added
or forgotten is timed until it is on the disk. Memory is what the process holds of its own, without pages of files.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from reid_pipeline.gallery import Gallery

MODEL = "0" * 64
IMAGES, SCATTERED, K = 20, 10, 10
ADDED = 1_000
_BATCH = 100_000


@dataclass(frozen=True)
class Size:
    """What is measured, at which size."""

    rows: int = 1_000_000
    width: int = 512
    probes: int = 100
    rounds: int = 5
    graph_rows: int = 100_000


def units(values: np.ndarray) -> np.ndarray:
    """Return rows divided by their norms, float32."""
    return (values / np.linalg.norm(values, axis=-1, keepdims=True)).astype(np.float32)


class Images:
    """Individuals in groups, and images of them: cosine about 0.67 within an individual, 0.5 within a group.

    Args:
        size: how many.
    """

    def __init__(self, size: Size) -> None:
        self.generator = np.random.default_rng(0)
        individuals = size.rows // IMAGES + 1
        groups = units(self._noise(max(2, individuals // 100), size.width))
        of = self.generator.integers(len(groups), size=individuals)
        self.centres = units(groups[of] + units(self._noise(individuals, size.width)))

    def of(self, individuals: np.ndarray) -> np.ndarray:
        """Return a new image of each."""
        return units(self.centres[individuals] + 0.7 * units(self._noise(len(individuals), self.centres.shape[1])))

    def _noise(self, rows: int, width: int) -> np.ndarray:
        return self.generator.standard_normal((rows, width), dtype=np.float32)


def individuals_of(rows: int) -> np.ndarray:
    """Return the individual of each row: 20 rows in a run, but for a few whose rows lie far apart."""
    found = np.arange(rows) // IMAGES
    step = rows // IMAGES
    for number in range(SCATTERED):
        first = np.arange(number * IMAGES, (number + 1) * IMAGES)
        far = np.arange(IMAGES) * step + 2 * IMAGES * SCATTERED % step + number
        found[first], found[far] = found[far], found[first].copy()
    return found


def entries_of(individuals: np.ndarray, prefix: str = "") -> pd.DataFrame:
    """Return rows to enrol."""
    names = [f"individual {number}" for number in individuals.tolist()]
    return pd.DataFrame({"path": [f"{prefix}{row}.jpg" for row in range(len(names))], "identity": names})


def filled(folder: Path, vectors: np.ndarray, individuals: np.ndarray) -> Gallery:
    """Return a gallery with these vectors."""
    gallery = Gallery.create(folder, model=MODEL, width=vectors.shape[1])
    for start in range(0, len(vectors), _BATCH):
        part = slice(start, start + _BATCH)
        gallery.enrol(vectors[part], entries_of(individuals[part], f"{start}/"), model=MODEL)
    return gallery


def seconds(work: Callable[[], object]) -> float:
    """Return the seconds of a call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def own_mib() -> float:
    """Return what this process holds of its own memory, in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024


def plain_search(vectors: np.ndarray, probe: np.ndarray) -> np.ndarray:
    """Return the rows of the ten nearest, as anybody would with numpy."""
    scores = vectors @ probe
    best = np.argpartition(scores, -K)[-K:]
    return best[np.argsort(-scores[best])]


def searched(gallery: Gallery, vectors: np.ndarray, probes: np.ndarray) -> dict[str, float]:
    """Return times of single probes, beside numpy's in turns, and the share of the ten nearest that is found."""
    gallery.search(probes[:1], K)
    ours, of_cores, plain, shared = [], [], [], 0
    for probe in probes:
        began, cores = time.perf_counter(), time.process_time()
        found = gallery.search(probe[None], K).ids[0]
        middle = time.perf_counter()
        of_cores.append(time.process_time() - cores)
        true = plain_search(vectors, probe)
        ours.append(middle - began)
        plain.append(time.perf_counter() - middle)
        shared += len(np.intersect1d(found, true))
    return {
        "p50_ms": 1000 * float(np.percentile(ours, 50)),
        "p95_ms": 1000 * float(np.percentile(ours, 95)),
        "p95_of_all_cores_ms": 1000 * float(np.percentile(of_cores, 95)),
        "numpy_p50_ms": 1000 * float(np.percentile(plain, 50)),
        "numpy_p95_ms": 1000 * float(np.percentile(plain, 95)),
        "times_numpy": float(np.percentile(plain, 50) / np.percentile(ours, 50)),
        "recall_at_10": shared / (K * len(probes)),
    }


def changed(gallery: Gallery, images: Images, rounds: int, first: int) -> dict[str, float]:
    """Return the greatest time of several rounds of adding, and of forgetting an individual of each kind."""
    added, together, scattered = [], [], []
    total = len(images.centres) - 1
    for number in range(first, first + rounds):
        individuals = np.arange(ADDED) // IMAGES + total * (number + 1)
        new, rows = images.of(individuals % total), entries_of(individuals, f"new {number}/")
        added.append(seconds(lambda new=new, rows=rows: gallery.enrol(new, rows, model=MODEL)))
        for times, individual in ((together, total // 2 + number), (scattered, number)):
            name = f"individual {individual}"
            times.append(seconds(lambda name=name: gallery.forget(identity=name)))
    return {"add_1000_s": max(added), "forget_s": max(together), "forget_scattered_s": max(scattered)}


def plain_changes(folder: Path, vectors: np.ndarray) -> dict[str, float]:
    """Return the time in which numpy writes the whole array anew, without twenty rows: it has no other way."""

    def write() -> None:
        with (folder / "plain.npy").open("wb") as file:
            np.save(file, np.delete(vectors, np.arange(IMAGES), axis=0))
            file.flush()
            os.fsync(file.fileno())

    return {"numpy_write_anew_s": seconds(write)}


def measure(size: Size, folder: Path) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield the figures of each kind of index, as they are known; a graph has fewer rows."""
    images, individuals = Images(size), individuals_of(size.rows)
    vectors = np.concatenate([images.of(individuals[start : start + _BATCH]) for start in range(0, size.rows, _BATCH)])
    probes = images.of(images.generator.integers(size.rows // IMAGES - 1, size=size.probes))
    began = time.perf_counter()
    gallery = filled(folder / "gallery", vectors, individuals)
    yield "filled", {"rows": float(size.rows), "s": time.perf_counter() - began}
    gallery, own = Gallery.open(gallery.folder), own_mib()
    yield "exact", searched(gallery, vectors, probes) | {"own_mib": own_mib() - own}
    yield "ivf", {"build_s": seconds(lambda: gallery.set_index("ivf"))}
    lists = {"lists": float(gallery._state.manifest.lists)}
    yield "ivf", searched(gallery, vectors, probes) | lists
    yield "ivf, changed", changed(gallery, images, size.rounds, 0)
    gallery.set_index("exact")
    yield "exact, changed", changed(gallery, images, size.rounds, size.rounds) | plain_changes(folder, vectors)
    few, names = vectors[: size.graph_rows], individuals[: size.graph_rows]
    graph = filled(folder / "graph", few, names)
    yield "hnsw", {"rows": float(len(few)), "build_s": seconds(lambda: graph.set_index("hnsw"))}
    yield "hnsw", searched(graph, few, probes)
    last = f"individual {names[-1]}"
    yield "hnsw, changed", {"forget_and_rebuild_s": seconds(lambda: graph.forget(identity=last))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=Size.rows)
    parser.add_argument("--graph-rows", type=int, default=Size.graph_rows)
    parser.add_argument("--probes", type=int, default=Size.probes)
    parser.add_argument("--folder", type=Path, help="where the gallery is made, on the disk that is measured")
    parser.add_argument("--quick", action="store_true", help="a tiny size: does it run?")
    given = parser.parse_args()
    size = Size(rows=given.rows, graph_rows=given.graph_rows, probes=given.probes)
    if given.quick:
        size = Size(rows=6_000, width=32, probes=10, rounds=2, graph_rows=2_000)
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        for kind, figures in measure(size, Path(folder)):
            print(kind, json.dumps({name: round(value, 3) for name, value in figures.items()}), flush=True)


if __name__ == "__main__":
    main()
