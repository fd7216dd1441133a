"""The nearest and the furthest rows of every row, by half of the matrix of inner products.

The distance of i and j is that of j and i, so a tile of the upper triangle of the matrix serves its rows and
its columns. Tiles are float32 matrix products; each row keeps a heap of what was nearest so far, and one of
what was furthest. A sweep compares a tile with the heaps' first values, 32 entries at a time, and touches a
heap only where something enters.

Shape suffixes: N rows, D width, C candidates, F furthest candidates.
"""

from dataclasses import dataclass
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from reid_pipeline.geometry.compiled import in_threads
from reid_pipeline.geometry.distances import Floats, Indices, squared_norms

_TILE = 1024


@dataclass(frozen=True)
class Proposals:
    """What a float32 search found, in no order.

    Attributes:
        near: approximate squared distances `[N, C]` float32 of the nearest.
        near_rows: their rows, `[N, C]` int64.
        far: approximate squared distances `[N, F]` float32 of the furthest.
        far_rows: their rows, `[N, F]` int64.
    """

    near: NDArray[np.float32]
    near_rows: Indices
    far: NDArray[np.float32]
    far_rows: Indices


def propose(features_ND: Floats, near: int, far: int = 0) -> Proposals:
    """Search `features_ND` for the `near` nearest and the `far` furthest rows of each of its rows.

    Time O(N^2 D / 2) in the product and O(N^2) in the sweeps; memory O(N (near + far)) and one tile of 4 MiB.

    Args:
        features_ND: `[N, D]`; float64 is searched in float32.
        near: at least 1, at most N.
        far: at most N; 0 where they are not wanted.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    from reid_pipeline.geometry import neighbour_kernels as kernels

    x_ND = features_ND.astype(np.float32, copy=False)
    norms_N = squared_norms(x_ND)
    nearest, furthest = _heaps(len(x_ND), near), _heaps(len(x_ND), far)
    starts = range(0, len(x_ND), _TILE)
    locks = {start: Lock() for start in starts}

    def search(corner: tuple[int, int]) -> None:
        top, left = corner
        tile = x_ND[top : top + _TILE] @ x_ND[left : left + _TILE].T
        given = (tile, corner, norms_N, nearest, furthest)
        with locks[top]:
            kernels.offer_to_rows(*given)
        if left > top:
            with locks[left]:
                kernels.offer_to_columns(*given)

    # A tile for each core, instead of every core on each tile: nobody waits for anybody.
    with threadpool_limits(1, user_api="blas"):
        in_threads(search, [(top, left) for top in starts for left in starts if left >= top])
    return Proposals(nearest[0], nearest[1], -furthest[0][:, :far], furthest[1][:, :far])


def _heaps(rows: int, count: int) -> tuple[NDArray[np.float32], Indices, NDArray[np.float32]]:
    """Return empty heaps; a count of 0 gives heaps that nothing can enter."""
    first = np.float32(np.inf if count else -np.inf)
    values = np.full((rows, max(count, 1)), first, dtype=np.float32)
    return values, np.zeros(values.shape, dtype=np.int64), np.full(rows, first, dtype=np.float32)
