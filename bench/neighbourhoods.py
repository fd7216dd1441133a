"""Clustering and re-ranking: time, memory and growth, beside dense code in the style of public projects.

    .venv/bin/python bench/neighbourhoods.py [--quick] [--clustering [N ...]] [--reranking [N ...]]
        [--width D] [--repeats N] [--dense-limit N]

Every measurement is a child process of its own: it draws the features, does the work once at 400 rows (so
that compiled code is loaded), and then once in full. Memory is what the largest resident size grows by then.
The works of one size take turns; times are medians. The neighbour search is faiss's brute force for as many
neighbours as the work needs, and is what the others are compared with. CPU seconds count all threads, and are
steadier than seconds on a machine that others use.

Features: 17 images per identity; six cameras, each of which moves all of its images by an offset of its own.
Re-ranking takes 17.5 per cent of the rows as queries, as Market-1501's test split does. The dense code holds
[N, N] arrays and loops over rows in Python; it is run up to `--dense-limit` rows, once.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from measures import exponent, resident

Features = np.ndarray
CLUSTERING = ("search of 30", "clustering", "dense clustering")
RERANKING = ("search of 21", "re-ranking 20/6", "re-ranking 50/15", "query expansion", "dense re-ranking")
QUERY_SHARE = 0.175


def draw_features(rows: int, width: int) -> Features:
    """Return unit rows `[rows, width]` float32, images of one identity side by side."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((max(2, rows // 17), width), dtype=np.float32)
    cameras = 0.5 * rng.standard_normal((6, width), dtype=np.float32)
    pids = np.sort(rng.integers(len(centres), size=rows))
    features = np.empty((rows, width), dtype=np.float32)
    for start in range(0, rows, 1000):
        part = features[start : start + 1000]
        part[:] = rng.standard_normal(part.shape, dtype=np.float32)
        part += centres[pids[start : start + 1000]] + cameras[rng.integers(6, size=len(part))]
        part /= np.linalg.norm(part, axis=1, keepdims=True)
    return features


def split(features: Features) -> tuple[Features, Features]:
    """Return queries, taken from all over the rows, and gallery."""
    queries = np.zeros(len(features), dtype=bool)
    queries[np.linspace(0, len(features) - 1, max(1, round(QUERY_SHARE * len(features)))).astype(int)] = True
    return features[queries], features[~queries]


def dense_weights(distance: np.ndarray, ranking: np.ndarray, columns: int, half: int, k2: int) -> np.ndarray:
    """Return the dense weights `[N, N]`, row by row."""
    weights = np.zeros_like(distance)
    for row in range(len(distance)):
        forward = ranking[row, :columns]
        members = forward[np.where(ranking[forward, :columns] == row)[0]]
        expanded = members
        for candidate in members:
            own = ranking[candidate, :half]
            own = own[np.where(ranking[own, :half] == candidate)[0]]
            if len(np.intersect1d(own, members)) > 2 / 3 * len(own):
                expanded = np.append(expanded, own)
        expanded = np.unique(expanded)
        weight = np.exp(-distance[row, expanded])
        weights[row, expanded] = weight / weight.sum()
    if k2 == 1:
        return weights
    averaged = np.zeros_like(weights)
    for row in range(len(weights)):
        averaged[row] = weights[ranking[row, :k2]].mean(axis=0)
    return averaged


def dense_jaccard(weights: np.ndarray, rows: int) -> np.ndarray:
    """Return the Jaccard distance of the first `rows` rows to all, by an inverted index."""
    holders = [np.where(weights[:, column] != 0)[0] for column in range(len(weights))]
    distance = np.zeros((rows, len(weights)), dtype=np.float32)
    for row in range(rows):
        shared = np.zeros(len(weights), dtype=np.float32)
        for column in np.where(weights[row] != 0)[0]:
            shared[holders[column]] += np.minimum(weights[row, column], weights[holders[column], column])
        distance[row] = 1 - shared / (2 - shared)
    return distance


def dense_clustering(features: Features) -> np.ndarray:
    """Return pseudo labels by dense matrices."""
    from sklearn.cluster import DBSCAN

    distance = 2 - 2 * features @ features.T
    nearest = np.argpartition(distance, np.arange(30), axis=1)[:, :30]
    weights = dense_weights(distance, nearest, 30, 16, 6)
    del distance
    jaccard = np.maximum(dense_jaccard(weights, len(weights)), 0)
    return DBSCAN(eps=0.6, min_samples=4, metric="precomputed").fit_predict(jaccard)


def dense_reranking(query: Features, gallery: Features) -> np.ndarray:
    """Return re-ranked distances by dense matrices, k1 20, k2 6, lambda 0.3."""
    rows = np.concatenate((query, gallery))
    distance = 2 - 2 * rows @ rows.T
    distance = (distance / distance.max(axis=0)).T
    ranking = np.argsort(distance, axis=1)[:, :21]
    jaccard = dense_jaccard(dense_weights(distance, ranking, 21, 11, 6), len(query))
    return (0.7 * jaccard + 0.3 * distance[: len(query)])[:, len(query) :]


def work(name: str) -> Callable[..., Any]:
    """Return what a work's name stands for, its imports done."""
    import faiss

    from reid_pipeline.clustering import cluster_pseudo_labels
    from reid_pipeline.retrieval import average_query_expansion, rerank_k_reciprocal

    works: dict[str, Callable[..., Any]] = {
        "search of 30": lambda features: faiss.knn(features, features, 30),
        "clustering": lambda features: cluster_pseudo_labels(features, k1=30, k2=6, eps=0.6, min_samples=4),
        "dense clustering": dense_clustering,
        "search of 21": lambda features: faiss.knn(features, features, 21),
        "re-ranking 20/6": lambda *sides: rerank_k_reciprocal(*sides, k1=20, k2=6),
        "re-ranking 50/15": lambda *sides: rerank_k_reciprocal(*sides, k1=50, k2=15),
        "query expansion": lambda *sides: average_query_expansion(*sides, k=10),
        "dense re-ranking": dense_reranking,
    }
    return works[name]


def run_child(name: str, rows: int, width: int) -> None:
    """Do the work and print its seconds, CPU seconds and memory."""
    run = work(name)
    sides = split if name in RERANKING[1:] else lambda features: (features,)
    run(*sides(draw_features(400, width)))
    given = sides(draw_features(rows, width))
    before, began, began_cpu = resident(), time.perf_counter(), time.process_time()
    run(*given)
    seconds, cpu = time.perf_counter() - began, time.process_time() - began_cpu
    print(json.dumps({"seconds": seconds, "cpu": cpu, "memory": resident() - before}))


def measure(names: tuple[str, ...], rows: int, given: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Return per work the medians of its measurements at one size."""
    seen: dict[str, list[dict[str, float]]] = {}
    for repeat in range(given.repeats):
        for name in names:
            if name.startswith("dense") and (repeat or rows > given.dense_limit):
                continue
            command = [sys.executable, __file__, "--child", name, str(rows), str(given.width)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            seen.setdefault(name, []).append(json.loads(done.stdout))
    return {name: {key: statistics.median(one[key] for one in all_) for key in all_[0]} for name, all_ in seen.items()}


def table(rows: int, seen: dict[str, dict[str, float]]) -> str:
    """Return the lines of one size; `x` is how many times as long as the first line, the search."""
    floor = next(iter(seen.values()))
    lines = [f"{rows:,} rows{'':<11} {'seconds':>8} {'x':>6} {'CPU s':>8} {'x':>6} {'+MiB':>7}"]
    for name, one in seen.items():
        ratios = [one[key] / floor[key] for key in ("seconds", "cpu")]
        lines.append(
            f"{name:<20} {one['seconds']:>8.2f} {ratios[0]:>6.2f} {one['cpu']:>8.2f} {ratios[1]:>6.2f} "
            f"{one['memory']:>7.0f}"
        )
    return "\n".join(lines)


def growth(results: dict[int, dict[str, dict[str, float]]]) -> str:
    """Say with which power of the rows each work's time and memory grow, where three sizes were measured."""
    lines = []
    for name in next(iter(results.values())):
        sizes = [rows for rows, seen in results.items() if name in seen]
        if len(sizes) >= 3:
            powers = {
                key: exponent(sizes, [max(results[rows][name][key], 1e-3) for rows in sizes])
                for key in ("seconds", "cpu", "memory")
            }
            growth = ", ".join(f"{key} rows^{power:.2f}" for key, power in powers.items())
            lines.append(f"{name}: {growth} over {len(sizes)} sizes")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clustering", type=int, nargs="*", default=None, metavar="ROWS")
    parser.add_argument("--reranking", type=int, nargs="*", default=None, metavar="ROWS")
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--dense-limit", type=int, default=19_281, help="rows up to which the dense code runs")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, once: does it run?")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        run_child(given.child[0], int(given.child[1]), int(given.child[2]))
        return
    if given.quick:
        given.width, given.repeats = 16, 1
    for names, sizes, usual in (
        (CLUSTERING, given.clustering, [3_234, 6_468, 12_936, 32_621, 37_778]),
        (RERANKING, given.reranking, [2_410, 4_820, 9_640, 19_281]),
    ):
        results = {}
        for rows in [450] if sizes is None and given.quick else usual if sizes is None else sizes:
            results[rows] = measure(names, rows, given)
            print(f"{table(rows, results[rows])}\n", flush=True)
        if results:
            print(f"{growth(results)}\n", flush=True)


if __name__ == "__main__":
    main()
