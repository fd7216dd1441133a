"""DBSCAN on the sparse Jaccard similarity: ours and scikit-learn's in turns, the fastest of each, and memory.

Features are those of `bench/neighbourhoods.py`. scikit-learn gets the stored pairs as a sparse distance, which
`metric="precomputed"` takes; making that distance belongs to its time.
"""

import argparse
import time
import tracemalloc
from collections.abc import Callable

import numpy as np
from neighbourhoods import draw_features

from reid_pipeline.clustering.kinds.dbscan import dbscan_labels
from reid_pipeline.geometry.jaccard import jaccard_similarity

ROUNDS = 5


def seconds_and_memory(work: Callable[[], np.ndarray]) -> tuple[float, float]:
    """Return the seconds of a run, and the MiB that Python allocates at most in another."""
    began = time.perf_counter()
    work()
    seconds = time.perf_counter() - began
    tracemalloc.start()
    work()
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    return seconds, peak


def compare(rows: int, width: int) -> str:
    """Return a line with the figures of both at one size, whose labels must be equal."""
    from sklearn.cluster import DBSCAN

    similarity = jaccard_similarity(draw_features(rows, width), minimum=1 - 0.6 - 1e-5)

    def ours() -> np.ndarray:
        return dbscan_labels(similarity, eps=0.6, min_samples=4)

    def theirs() -> np.ndarray:
        distance = similarity.copy()
        distance.data = np.float32(1) - distance.data
        return DBSCAN(eps=0.6, min_samples=4, metric="precomputed").fit_predict(distance)

    np.testing.assert_array_equal(ours(), theirs())
    runs = [(seconds_and_memory(ours), seconds_and_memory(theirs)) for _ in range(ROUNDS)]
    (seconds, peak), (their_seconds, their_peak) = (
        tuple(map(min, zip(*each, strict=True))) for each in zip(*runs, strict=True)
    )
    return (
        f"{rows:,} rows: ours {1000 * seconds:.1f} ms, {peak:.1f} MiB; scikit-learn {1000 * their_seconds:.1f} ms, "
        f"{their_peak:.1f} MiB; {their_seconds / seconds:.1f} times"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="*", default=[3_234, 12_936])
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--quick", action="store_true", help="a tiny size: does it run?")
    given = parser.parse_args()
    for rows in [450] if given.quick else given.rows:
        print(compare(rows, given.width), flush=True)


if __name__ == "__main__":
    main()
