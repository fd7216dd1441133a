"""Time, memory and growth of `evaluate_retrieval`, beside its floor and the plain way of public code.

    .venv/bin/python bench/evaluation.py [--quick] [--repeats N] [--shapes ...] [--kinds ...]

The floor is the matrix product alone, block by block. The plain reference holds all distances, sorts
every row and loops over the queries in Python. Where the whole would take minutes it gets a share of the
queries, and its time and its memory are scaled up: such figures are marked with ~.

Features are drawn, unit rows. `clustered`: images of an identity lie together, as those of a trained model,
so that few rows are nearer than a positive. `random`: positives lie anywhere.

The sides run in turn in one process; times are medians. Memory is what a child process of its own adds to its
data and libraries, at its highest.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from measures import exponent, resident

from reid_pipeline.retrieval import evaluate_retrieval
from reid_pipeline.retrieval.open_set_draws import open_set_metrics


@dataclass(frozen=True)
class Shape:
    """Counts of a benchmark's test split, and the share of the queries that the plain way gets."""

    name: str
    queries: int
    gallery: int
    width: int
    identities: int
    cameras: int
    plain_share: float = 1.0

    def scaled(self, queries: float = 1.0, gallery: float = 1.0) -> "Shape":
        """Return the shape with shares of both sides, and of the identities as the gallery has."""
        return replace(
            self,
            queries=max(20, round(self.queries * queries)),
            gallery=max(60, round(self.gallery * gallery)),
            identities=max(10, round(self.identities * gallery)),
        )


SHAPES = {
    "market1501": Shape("market1501", 3_368, 15_913, 1280, 751, 6),
    "msmt17": Shape("msmt17", 11_659, 82_161, 768, 3_060, 15, plain_share=0.05),
}
KINDS = ("clustered", "random")
# 32 MiB; neither larger nor smaller blocks were multiplied faster.
FLOOR_BLOCK = 256, 32_768
GROWTH = (0.125, 0.25, 0.5, 1.0)
# A second name of the CPU: the way by torch, which a CUDA device takes.
TORCH_CPU = "cpu:0"

Case = tuple[np.ndarray, ...]


def make_case(shape: Shape, kind: str) -> Case:
    """Draw features, pids and camids of both sides."""
    generator = np.random.default_rng(0)
    centres = generator.standard_normal((shape.identities, shape.width), dtype=np.float32)
    sides = []
    for count in (shape.queries, shape.gallery):
        pids = generator.integers(1, shape.identities + 1, count)
        features = np.empty((count, shape.width), dtype=np.float32)
        for start in range(0, count, 1024):
            rows = features[start : start + 1024]
            generator.standard_normal(out=rows, dtype=np.float32)
            if kind == "clustered":
                rows *= 2.8
                rows += centres[pids[start : start + 1024] - 1]
            rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        sides.append((features, pids, generator.integers(0, shape.cameras, count)))
    (query, query_pids, query_camids), (gallery, gallery_pids, gallery_camids) = sides
    return query, gallery, query_pids, gallery_pids, query_camids, gallery_camids


def floor(case: Case) -> None:
    """Multiply block by block, every core on each product, and keep nothing."""
    query, gallery = case[:2]
    height, width = FLOOR_BLOCK
    buffer = np.empty((height, width), dtype=np.float32)
    for top in range(0, len(query), height):
        rows = query[top : top + height]
        for start in range(0, len(gallery), width):
            part = gallery[start : start + width]
            np.matmul(rows, part.T, out=buffer[: len(rows), : len(part)])


def ours(case: Case) -> float:
    return evaluate_retrieval(*case).mean_ap


def ours_by_torch(case: Case) -> float:
    return evaluate_retrieval(*case, device=TORCH_CPU).mean_ap


def open_set(case: Case) -> None:
    """Make the open-set figures of 20 draws, which an evaluation adds: half of the gallery against itself as well."""
    open_set_metrics(*case, draws=20)


def plain(case: Case) -> float:
    """Return the mAP in the plain way: all distances, an argsort of every row, a loop over the queries."""
    query, gallery, query_pids, gallery_pids, query_camids, gallery_camids = case
    distances = (query**2).sum(1)[:, None] + (gallery**2).sum(1)[None, :] - 2 * query @ gallery.T
    order = np.argsort(distances, axis=1)
    matches = gallery_pids[order] == query_pids[:, None]
    found = []
    for row in range(len(query)):
        other = gallery_camids[order[row]] != query_camids[row]
        hits = matches[row][other | ~matches[row]]
        if hits.any():
            precision = hits.cumsum() / np.arange(1, len(hits) + 1)
            found.append((precision * hits).sum() / hits.sum())
    return float(np.mean(found))


SIDES: dict[str, Callable[[Case], float | None]] = {
    "floor: the product alone": floor,
    "evaluate_retrieval": ours,
    "the same, by torch": ours_by_torch,
    "open-set figures, 20 draws": open_set,
    "plain: dense, argsort, loop": plain,
}


def share_of(case: Case, share: float) -> Case:
    """Return the case with a share of the queries."""
    count = max(1, round(len(case[0]) * share))
    return case[0][:count], case[1], case[2][:count], case[3], case[4][:count], case[5]


def measure(shape: Shape, kind: str, repeats: int) -> dict[str, list[float]]:
    """Return the seconds of every side, run in turn; the plain way's scaled to all queries."""
    case = make_case(shape, kind)
    fewer = share_of(case, shape.plain_share)
    small = share_of(case, min(1.0, 64 / len(case[0])))
    for side in SIDES.values():
        side(make_case(shape.scaled(0.02, 0.02), kind) if side is open_set else small)  # compiles, starts threads
    seconds: dict[str, list[float]] = {name: [] for name in SIDES}
    for repeat in range(repeats):
        for name, side in SIDES.items():
            if side is open_set and repeat:
                continue  # a minute each at the size of MSMT17
            given = fewer if side is plain else case
            began = time.perf_counter()
            side(given)
            taken = time.perf_counter() - began
            seconds[name].append(taken * len(case[0]) / len(given[0]))
    return seconds


def memory_here(name: str, shape: Shape, kind: str) -> float:
    """Return what a side adds to this process, in MiB; libraries and compiled code are in memory before."""
    SIDES[name](make_case(shape.scaled(0.01, 0.01), kind))
    case = make_case(shape, kind)
    before = resident()
    SIDES[name](share_of(case, shape.plain_share) if name.startswith("plain") else case)
    added = resident() - before
    return added / shape.plain_share if name.startswith("plain") else added


def memory_of(name: str, shape: Shape, kind: str) -> float:
    """Return what `memory_here` says in a process of its own."""
    job = json.dumps([name, vars(shape), kind])
    done = subprocess.run([sys.executable, __file__, "--child", job], capture_output=True, text=True, check=True)
    return float(done.stdout)


def table(shape: Shape, seconds: dict[str, list[float]], memory: dict[str, float]) -> str:
    """Return one table as text; `x floor` is how many times the floor's time a side takes."""
    base = statistics.median(next(iter(seconds.values())))
    lines = [f"{'':<30} {'seconds':>10} {'x floor':>9} {'MiB':>8}"]
    for name, values in seconds.items():
        middle = statistics.median(values)
        mark = "~" if name.startswith("plain") and shape.plain_share < 1 else ""
        added = f"{memory[name]:.0f}" if name in memory else "-"
        lines.append(f"{name:<30} {mark}{middle:>9.3f} {middle / base:>9.2f} {mark}{added:>7}")
    return "\n".join(lines)


def growth(shape: Shape, repeats: int, *, memory: bool) -> str:
    """Say how time and memory of `evaluate_retrieval` grow with the gallery."""
    sizes, times, extra = [], [], []
    for share in GROWTH:
        part = shape.scaled(gallery=share)
        case = make_case(part, "clustered")
        ours(share_of(case, 0.02))
        taken = []
        for _ in range(repeats):
            began = time.perf_counter()
            ours(case)
            taken.append(time.perf_counter() - began)
        sizes.append(part.gallery)
        times.append(statistics.median(taken))
        extra.append(f"{memory_of('evaluate_retrieval', part, 'clustered'):.0f} MiB" if memory else "")
    rows = [
        f"  {size:>7,} gallery rows {seconds:>8.3f} s {mebibytes:>10}"
        for size, seconds, mebibytes in zip(sizes, times, extra, strict=True)
    ]
    return "\n".join([f"growth, {shape.name}: time ~ gallery^{exponent(sizes, times):.2f}", *rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--shapes", nargs="+", choices=tuple(SHAPES), default=list(SHAPES))
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--quick", action="store_true", help="a fiftieth of both sides, once: does it run?")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        name, fields, kind = json.loads(given.child)
        print(memory_here(name, Shape(**fields), kind))
        return
    repeats = 1 if given.quick else given.repeats
    for name in given.shapes:
        shape = SHAPES[name].scaled(0.02, 0.02) if given.quick else SHAPES[name]
        print(f"{name}: {shape.queries:,} queries, {shape.gallery:,} gallery rows, {shape.width} wide")
        for kind in given.kinds:
            seconds = measure(shape, kind, repeats)
            measured = ["evaluate_retrieval"] if given.quick else list(SIDES)
            memory = {side: memory_of(side, shape, kind) for side in measured}
            print(f"{kind} features\n{table(shape, seconds, memory)}", flush=True)
        print(f"{growth(shape, repeats, memory=not given.quick)}\n", flush=True)
    if hasattr(os, "getloadavg"):
        print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
