"""Candidates for the nearest rows, by a float32 matrix product: tiles, faiss or torch. `neighbours` decides.

A tile of the upper triangle of the matrix of inner products serves its rows and its columns. Each row has a heap of
the nearest so far, and one of the furthest.

Shape suffixes: M queries, N rows searched, D width, C candidates, P thresholds.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from reid_pipeline.geometry.compiled import in_threads
from reid_pipeline.geometry.distances import Floats, Indices, squared_norms

Float32s = NDArray[np.float32]
Candidates = tuple[Float32s, Indices]
"""Approximate squared distances, float32, and rows, int64, `[M, C]` each, in no order."""

_TILE = 1024
_TORCH_ENTRIES = 1 << 23


def nearest_and_furthest(features_ND: Floats, near: int, far: int) -> tuple[Candidates, Candidates]:
    """Return the `near` (at least 1) nearest and the `far` furthest rows of each row, both at most N.

    Time O(N^2 D / 2) in the product and O(N^2) in the sweeps; memory O(N (near + far)) and one tile of 4 MiB.
    """
    from threadpoolctl import threadpool_limits

    from reid_pipeline.geometry import neighbour_kernels as kernels

    x_ND = features_ND.astype(np.float32, copy=False)
    norms_N = squared_norms(x_ND)
    nearest, furthest = _heaps(len(x_ND), near), _heaps(len(x_ND), far)
    starts = range(0, len(x_ND), _TILE)
    locks = {start: Lock() for start in starts}

    def search(corner: tuple[int, int]) -> None:
        top, left = corner
        tile = x_ND[top : top + _TILE] @ x_ND[left : left + _TILE].T
        offered = (tile, corner, norms_N, nearest, furthest)
        with locks[top]:
            kernels.offer_to_rows(*offered)
        if left > top:
            with locks[left]:
                kernels.offer_to_columns(*offered)

    # A tile for each core, instead of every core on each tile: no core waits for another.
    with threadpool_limits(1, user_api="blas"):
        in_threads(search, [(top, left) for top in starts for left in starts if left >= top])
    return nearest[:2], (-furthest[0][:, :far], furthest[1][:, :far])


def _heaps(rows: int, count: int) -> tuple[NDArray[np.float32], Indices, NDArray[np.float32]]:
    """Return empty heaps; a count of 0 gives heaps that nothing can enter."""
    first = np.float32(np.inf if count else -np.inf)
    values = np.full((rows, max(count, 1)), first, dtype=np.float32)
    return values, np.zeros(values.shape, dtype=np.int64), np.full(rows, first, dtype=np.float32)


def tile_candidates(_: Floats, features_ND: Floats, count: int) -> Candidates:
    """Return the `count` nearest of rows that are their own queries."""
    return nearest_and_furthest(features_ND, count, 0)[0]


def faiss_candidates(queries_MD: Floats, features_ND: Floats, count: int) -> Candidates:
    """Return the `count` nearest by faiss's brute force on the CPU."""
    import faiss

    features = np.ascontiguousarray(features_ND, dtype=np.float32)
    queries = features if queries_MD is features_ND else np.ascontiguousarray(queries_MD, dtype=np.float32)
    return faiss.knn(queries, features, count)


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
    return torch.cat(distances).numpy(), torch.cat(indices).numpy()


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
