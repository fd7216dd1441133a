"""A million crops on two cores: exact neighbours, their Jaccard similarity, and pseudo labels of both kinds.

    .venv/bin/python bench/million.py [--rows 1000000] [--width 256] [--folder build/million]

Measured, in this order, each in a process of its own, the heaviest last but one:

1. the floor: `faiss.knn` of 30 neighbours for 50,000 seeded queries against all rows, times rows / 50,000; again at the
   end;
2. at a sixteenth, an eighth, a quarter and half of the rows, and all of them: the search with its state stored in the
   folder, the similarity, and the clusters of DBSCAN and of communities; seconds of each, the peak of resident memory
   with the features, sizes of clusters, hubs, and agreement with the identities that were drawn;
3. on sampled rows of all: the neighbours against brute force in float64;
4. on four sizes up to 100,000: the search is killed half way and goes on; its labels against those of a clustering
   without a folder, and of one by faiss's search.

Every result is a file of the folder: what lies there is not measured again, and a search that was killed goes on from
its last state, within two minutes of the kill. Seconds of a search that went on are marked, since they are of a part.

Features: about 20 images of each identity, in random order; six cameras, each of which moves its images by an offset.
"""

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from measures import resident
from million_table import KINDS, table

ROOT = Path(__file__).parents[1]
QUERIES, SAMPLED, K = 50_000, 256, 30
COMPARED = (10_000, 30_000, 62_500, 100_000)
STORE_EACH = "SECONDS_BETWEEN_STATES"
IMAGES = 20
"""Of an identity, in the mean."""


def draw(rows: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return unit rows `[rows, width]` float32 in random order, and their identities."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((max(2, rows // IMAGES), width), dtype=np.float32)
    cameras = 0.5 * rng.standard_normal((6, width), dtype=np.float32)
    pids = rng.integers(len(centres), size=rows)
    features = np.empty((rows, width), dtype=np.float32)
    for start in range(0, rows, 10_000):
        part = features[start : start + 10_000]
        part[:] = rng.standard_normal(part.shape, dtype=np.float32)
        part += centres[pids[start : start + 10_000]] + cameras[rng.integers(6, size=len(part))]
        part /= np.linalg.norm(part, axis=1, keepdims=True)
    return features, pids


def settings(kind: str) -> Any:
    """Return those of a kind: DBSCAN's as released, those of communities as conf has them."""
    from collapse_cell import configured

    from reid_pipeline.clustering import ClusteringSettings

    if kind == "dbscan":
        return ClusteringSettings()
    given = configured("synthetic")["clustering"].items()
    known = {name: value for name, value in given if name in ClusteringSettings.model_fields}
    return ClusteringSettings.model_validate({**known, "kind": kind})


def floor(rows: int, width: int, _: Path) -> dict[str, Any]:
    """Measure faiss's search by a part of the queries."""
    import faiss

    features, _ = draw(rows, width)
    faiss.omp_set_num_threads(2)
    queries = np.random.default_rng(1).choice(rows, min(QUERIES, rows), replace=False)
    asked = features[np.sort(queries)]
    faiss.knn(asked[:100], features, K)
    began, cpu = time.perf_counter(), time.process_time()
    faiss.knn(asked, features, K)
    share = rows / len(asked)
    return {"seconds": share * (time.perf_counter() - began), "cpu": share * (time.process_time() - cpu)}


def compile_all(width: int) -> None:
    """Load what is compiled or imported at a first use."""
    from reid_pipeline.clustering import cluster_features

    few, _ = draw(400, width)
    for kind in KINDS:
        cluster_features(few, settings(kind))


def clustered(rows: int, width: int, folder: Path) -> dict[str, Any]:
    """Cluster so many rows by both kinds on one similarity, as each would be alone."""
    from reid_pipeline.clustering import cluster_similarity, pseudo_label_quality
    from reid_pipeline.clustering.clustering import WEAKEST
    from reid_pipeline.engine.progress import late_bar
    from reid_pipeline.geometry.jaccard import jaccard_similarity
    from reid_pipeline.geometry.watch import Watch

    compile_all(width)
    features, pids = draw(rows, width)
    found: dict[str, Any] = {"features": features.nbytes / 1e9, "before": resident() * 2**20 / 1e9}
    began, cpu, moments = time.perf_counter(), time.process_time(), []
    with late_bar("rounds") as bar:

        def report(what: str, done: int, total: int) -> None:
            moments.append((what, done, time.perf_counter() - began))
            bar(what, done, total)

        watch = Watch(report, folder, seconds=float(os.environ.get(STORE_EACH, Watch.seconds)))
        of = settings(KINDS[0])
        similarity = jaccard_similarity(
            features, k1=of.k1, k2=of.k2, minimum=WEAKEST, watch=watch, most_pairs=of.most_pairs
        )
    found["graph"] = time.perf_counter() - began
    found["graph_cpu"] = time.process_time() - cpu
    found["search"] = max(moment for what, _, moment in moments if what == "neighbours")
    found["went_on"] = watch.resumed
    found |= {"pairs": int(similarity.nnz), "graph_peak": resident() * 2**20 / 1e9} | hubs(folder, similarity)
    for kind in KINDS:
        began, cpu = time.perf_counter(), time.process_time()
        labels = cluster_similarity(similarity, settings(kind)).labels
        seconds = time.perf_counter() - began, time.process_time() - cpu
        quality = pseudo_label_quality(labels, pids)
        found[kind] = {
            "seconds": seconds[0], "cpu": seconds[1], "peak": resident() * 2**20 / 1e9, "labels": digest(labels),
            "clusters": quality.clusters, "noise": quality.noise_share, "sizes": quality.size_quantiles,
            "ari": quality.ari,
        }  # fmt: skip
    return found


def hubs(folder: Path, similarity: Any) -> dict[str, Any]:
    """Return how often the most frequent rows are among the candidates of others, and similar to others."""
    with np.load(folder / "search.npz") as stored:
        listed = np.bincount(stored["near_rows"].ravel(), minlength=similarity.shape[0])
    of_rows = np.diff(similarity.indptr)
    return {
        "listed": [float(value) for value in np.quantile(listed, (0.5, 0.99, 1.0))],
        "similar": [float(value) for value in np.quantile(of_rows, (0.5, 0.99, 1.0))],
    }


def checked(rows: int, width: int, folder: Path) -> dict[str, Any]:
    """Compare the neighbours of sampled rows with brute force in float64, by (float32 distance, index)."""
    from reid_pipeline.geometry.neighbours import own_neighbours
    from reid_pipeline.geometry.watch import Watch

    features, _ = draw(rows, width)
    _, indices = own_neighbours(features, K, Watch(folder=folder))
    sampled = np.sort(np.random.default_rng(2).choice(rows, min(SAMPLED, rows), replace=False))
    exact = np.empty((len(sampled), rows), np.float32)
    for start in range(0, rows, 4096):
        part = features[start : start + 4096].astype(np.float64)
        for place, row in enumerate(sampled):
            exact[place, start : start + len(part)] = ((part - features[row].astype(np.float64)) ** 2).sum(axis=1)
    exact[np.arange(len(sampled)), sampled] = -1.0
    order = np.argsort(exact, axis=1, kind="stable")[:, :K]
    return {"rows": len(sampled), "equal": int((order == indices[sampled]).all(axis=1).sum())}


def in_memory(rows: int, width: int, _: Path) -> dict[str, Any]:
    """Cluster without a folder, and by the neighbours of faiss's search."""
    from reid_pipeline.clustering import cluster_features, cluster_similarity
    from reid_pipeline.clustering.clustering import WEAKEST
    from reid_pipeline.geometry import candidates, jaccard
    from reid_pipeline.geometry.neighbours import exact_neighbours

    features, _ = draw(rows, width)
    labels = {kind: digest(cluster_features(features, settings(kind)).labels) for kind in KINDS}
    of = settings(KINDS[0])
    near, lists = exact_neighbours(features, of.k1, None, candidates.faiss_candidates)
    weights = jaccard.reciprocal_weights(features, (near, lists), half=round(of.k1 / 2) + 1)
    pairs = jaccard.similarity_of(jaccard.expand_queries(weights, lists[:, : of.k2]), WEAKEST)
    return {
        kind: {"in memory": labels[kind], "by faiss": digest(cluster_similarity(pairs, settings(kind)).labels)}
        for kind in KINDS
    }


def digest(labels: np.ndarray) -> str:
    return hashlib.sha256(labels.astype(np.int64).tobytes()).hexdigest()


STEPS: dict[str, Callable[[int, int, Path], dict[str, Any]]] = {
    "floor": floor,
    "clustered": clustered,
    "checked": checked,
    "in_memory": in_memory,
}


def measured(folder: Path, name: str, step: str, rows: int, width: int, killed: bool = False) -> dict[str, Any]:
    """Return a step's result, done in a process of its own unless its file lies in the folder."""
    file = folder / f"{name}_{rows}x{width}.json"
    if not file.is_file():
        scratch = folder / f"search_{rows}x{width}{'_killed' if killed else ''}"
        scratch.mkdir(parents=True, exist_ok=True)
        words = [sys.executable, __file__, "--child", step, str(rows), str(width), str(scratch), str(file)]
        if killed:
            kill_half_way(words, scratch / "search.npz", -(-rows // 1024) // 2)
        print(f"{name}, {rows:,} rows", flush=True)
        run_child(words)
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def run_child(words: list[str]) -> None:
    subprocess.run(words, check=True)


def kill_half_way(words: list[str], state: Path, rounds: int) -> None:
    """Kill the search once so many rounds were stored."""
    child = subprocess.Popen(words, env={**os.environ, STORE_EACH: "0"})
    while child.poll() is None:
        time.sleep(0.01)
        if state.is_file():
            with np.load(state) as stored:
                if int(stored["done"]) >= rounds:
                    break
    child.send_signal(signal.SIGKILL)
    child.wait()


def main(words: list[str] | None = None) -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "million")
    parser.add_argument("--child", nargs=5, help=argparse.SUPPRESS)
    given = parser.parse_args(words)
    if given.child:
        step, rows, width, scratch, file = given.child
        found = STEPS[step](int(rows), int(width), Path(scratch))
        Path(file).write_text(json.dumps(found, indent=1))
        return
    sizes = [given.rows // part for part in (16, 8, 4, 2, 1)]
    floors = [measured(given.folder, "floor_before", "floor", given.rows, given.width)]
    runs = {rows: measured(given.folder, "clustered", "clustered", rows, given.width) for rows in sizes}
    floors.append(measured(given.folder, "floor_after", "floor", given.rows, given.width))
    exact = measured(given.folder, "checked", "checked", given.rows, given.width)
    print(table(runs, floors, given.width))
    print(f"neighbours of {exact['equal']} of {exact['rows']} sampled rows are those of brute force in float64")
    for rows in COMPARED:
        if rows <= given.rows:
            print(agreement(given.folder, rows, given.width))


def agreement(folder: Path, rows: int, width: int) -> str:
    """Say whether labels after a kill are those of a clustering in memory, and of one by faiss's search."""
    whole = measured(folder, "in_memory", "in_memory", rows, width)
    killed = measured(folder, "killed", "clustered", rows, width, killed=True)
    same = {kind: {killed[kind]["labels"], *whole[kind].values()} for kind in KINDS}
    words = ", ".join(f"{kind} {'equal' if len(found) == 1 else 'DIFFERENT'}" for kind, found in same.items())
    part = f"after round {killed['went_on']} of {-(-rows // 1024)}"
    return f"{rows:,} rows, killed and gone on {part}, in memory, by faiss's search: labels {words}"


if __name__ == "__main__":
    main()
