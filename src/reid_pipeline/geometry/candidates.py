"""Candidates for the nearest rows, by a float32 matrix product: tiles, faiss or torch. `neighbours` decides.

A tile of the upper triangle of the matrix of inner products serves its rows and its columns. Each row has a heap of
the nearest so far, and one of the furthest.

Shape suffixes: M queries, N rows searched, D width, C candidates, P thresholds.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import local
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reid_pipeline.geometry.compiled import worker_count
from reid_pipeline.geometry.distances import Floats, Indices, Int32s, squared_norms
from reid_pipeline.geometry.watch import Heaps, SearchState, Watch

Float32s = NDArray[np.float32]
Candidates = tuple[Float32s, Int32s]
"""Approximate squared distances, float32, and rows, int32, `[M, C]` each, in no order."""

_TILE = 1024
_TORCH_ENTRIES = 1 << 23


def nearest_and_furthest(
    features_ND: Floats, near: int, far: int, watch: Watch | None = None
) -> tuple[Candidates, Candidates]:
    """Return the `near` (at least 1) nearest and the `far` furthest rows of each row, both at most N.

    Time O(N^2 D / 2) in the product and O(N^2) in the sweep; memory 8 N (near + far) bytes, and a tile of 4 MiB for
    each core. `watch` follows each round, and may have stored an earlier search of these features.
    """
    from threadpoolctl import threadpool_limits

    from reid_pipeline.geometry.neighbour_kernels import offer_tile

    x_ND = features_ND.astype(np.float32, copy=False)
    norms_N = squared_norms(x_ND)
    half_norms_N, slack = np.float32(0.5) * norms_N, _slack(norms_N)
    heaps = (_heaps(len(x_ND), near), _heaps(len(x_ND), far))
    rounds = _rounds(-(-len(x_ND) // _TILE))
    own = local()

    def search(pair: tuple[int, int]) -> None:
        if not hasattr(own, "tile"):
            own.tile = np.empty((_TILE, _TILE), dtype=np.float32)
        top, left = (x_ND[_TILE * band : _TILE * (band + 1)] for band in pair)
        tile = np.matmul(top, left.T, out=own.tile[: len(top), : len(left)])
        offer_tile(tile, (_TILE * pair[0], _TILE * pair[1]), half_norms_N, slack, *heaps)

    searched = SearchState(x_ND, heaps, len(rounds))
    first = 0 if watch is None else watch.resume(searched)
    # A tile for each core, instead of every core on each tile: no core waits for another.
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(worker_count()) as pool:
        for done in range(first, len(rounds)):
            list(pool.map(search, rounds[done]))
            if watch is not None:
                watch.after(searched, done + 1)
    return heaps[0][:2], (-heaps[1][0][:, :far], heaps[1][1][:, :far])


def _rounds(bands: int) -> list[list[tuple[int, int]]]:
    """Return all pairs of bands of rows, the first not after the second, in rounds in which no band has two pairs.

    So the tiles of a round need no locks. The first round pairs each band with itself; the others are those of a
    tournament in which each meets each: one stays, and the rest move past it in a circle.
    """
    moving = bands - 1 + bands % 2  # with an odd number, who meets the one that stays rests
    found = [[(band, band) for band in range(bands)]]
    for shift in range(moving):
        pairs = [((shift + step) % moving, (shift - step) % moving) for step in range(1, (moving + 1) // 2)]
        pairs += [(shift, moving)] if bands % 2 == 0 else []
        found.append([(min(pair), max(pair)) for pair in pairs])
    return found if bands > 1 else found[:1]


def _slack(norms_N: Floats) -> Any:
    """Return how far half a squared distance, computed from float32 norms and products, may be off: float32."""
    return np.float32(8 * np.finfo(np.float32).eps * norms_N.max())


def _heaps(rows: int, count: int) -> Heaps:
    """Return empty heaps; a count of 0 gives heaps that nothing can enter."""
    first = np.float32(np.inf if count else -np.inf)
    values = np.full((rows, max(count, 1)), first, dtype=np.float32)
    return values, np.zeros(values.shape, dtype=np.int32), np.full(rows, first, dtype=np.float32)


def tile_candidates(_: Floats, features_ND: Floats, count: int, watch: Watch | None = None) -> Candidates:
    """Return the `count` nearest of rows that are their own queries."""
    return nearest_and_furthest(features_ND, count, 0, watch)[0]


def faiss_candidates(queries_MD: Floats, features_ND: Floats, count: int) -> Candidates:
    """Return the `count` nearest by faiss's brute force on the CPU."""
    import faiss

    features = np.ascontiguousarray(features_ND, dtype=np.float32)
    queries = features if queries_MD is features_ND else np.ascontiguousarray(queries_MD, dtype=np.float32)
    distances, indices = faiss.knn(queries, features, count)
    return distances, indices.astype(np.int32)


def torch_candidates(queries_MD: Floats, features_ND: Floats, count: int, *, device: str = "cpu") -> Candidates:
    """Return the `count` nearest by torch in blocks of queries."""
    import torch

    features = torch.as_tensor(features_ND, dtype=torch.float32, device=device)
    norms_N = (features * features).sum(dim=1)
    step = max(1, _TORCH_ENTRIES // len(features))
    distances, indices = [], []
    with _full_precision():
        for start in range(0, len(queries_MD), step):
            block = torch.as_tensor(queries_MD[start : start + step], dtype=torch.float32, device=device)
            squared = torch.addmm(norms_N, block, features.T, alpha=-2)
            squared += (block * block).sum(dim=1, keepdim=True)
            nearest = squared.topk(count, dim=1, largest=False, sorted=True)
            distances.append(nearest.values.cpu())
            indices.append(nearest.indices.cpu())
    return torch.cat(distances).numpy(), torch.cat(indices).to(torch.int32).numpy()


class TorchCounter:
    """Counts rows between thresholds of squared distance on a torch device; an infinite offset leaves a row out."""

    def __init__(self, features_ND: Floats, offsets_N: Floats, *, device: str) -> None:
        import torch

        self._features_ND = torch.as_tensor(features_ND, device=device)
        self._offsets_N = torch.as_tensor(offsets_N, device=device)

    def count(
        self, queries_MD: Floats, limits_2MP: Floats, excluded: tuple[Indices, Indices], *, width: int
    ) -> tuple[Indices, Indices, Indices]:
        """Count, for each query, the rows whose `|y|^2 - 2 x.y` lies between its thresholds, `width` rows at once.

        Thresholds are lower and upper, ascending along P, padded with the greatest float. Pairs (query, row) that
        are `excluded` are left out. Returns counts `[M, P + 1]`, of which that beyond the last threshold is not
        complete; and the (query, row) pairs that lie within a threshold's interval.
        """
        import torch

        device = self._features_ND.device
        queries = torch.as_tensor(queries_MD, device=device)
        lower, upper = torch.as_tensor(limits_2MP, device=device)
        owners, rows = (torch.as_tensor(values, device=device) for values in excluded)
        counts = torch.zeros(len(queries), lower.shape[1] + 1, dtype=torch.int64, device=device)
        found = []
        with _full_precision():
            for start in range(0, len(self._features_ND), width):
                part = slice(start, start + width)
                values = torch.addmm(self._offsets_N[part], queries, self._features_ND[part].T, alpha=-2)
                inside = (rows >= start) & (rows < start + values.shape[1])
                values[owners[inside], rows[inside] - start] = torch.inf
                places = torch.searchsorted(lower, values, right=True)
                unsure = places != torch.searchsorted(upper, values)
                found.append((torch.nonzero(unsure) + torch.tensor([0, start], device=device)).cpu())
                places[unsure] = lower.shape[1]
                counts.scatter_add_(1, places, torch.ones_like(places))
        pairs = torch.cat(found).numpy()
        return counts.cpu().numpy(), pairs[:, 0].copy(), pairs[:, 1].copy()


@contextmanager
def _full_precision() -> Iterator[None]:
    """Keep torch from rounding the factors of a float32 product."""
    import torch

    reduced = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = reduced
