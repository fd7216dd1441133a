"""Exact nearest neighbours by one interface: tiles or faiss on the CPU, torch elsewhere, one answer from all.

Shape suffixes: M queries, N rows searched, D width, K neighbours, C candidates, F furthest, P pairs.

A backend proposes a few more candidates than asked for, by a float32 matrix product. Their distances are then
computed again pair by pair; a row whose last neighbour cannot be told from what was not proposed (ties,
duplicates) is searched exhaustively in float64. So the answer depends neither on the backend nor on its
blocks or threads.
"""

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reid_pipeline.geometry.all_pairs import propose
from reid_pipeline.geometry.compiled import even_parts, in_threads
from reid_pipeline.geometry.distances import (
    Floats,
    Indices,
    checked_features,
    expansion_tolerance,
    pair_squared_distances,
    squared_norms,
)
from reid_pipeline.schema.errors import UserError

Float32s = NDArray[np.float32]
Candidates = Callable[[Floats, Floats, int], tuple[Float32s, Indices]]

_MARGIN = 8
_FURTHEST = 4
_EXHAUSTIVE_ROWS = 64
_EXHAUSTIVE_ENTRIES = 1 << 21
_TORCH_ENTRIES = 1 << 23
# The product is made in float32, and a sum of four such norms must not overflow there.
_GREATEST_NORM = 8e37


def nearest_neighbours(
    features: ArrayLike, k: int, *, queries: ArrayLike | None = None, device: str = "cpu"
) -> tuple[Float32s, Indices]:
    """Find the `k` nearest rows by squared Euclidean distance, exactly.

    Time O(M N D) in blocks; memory O(M k) and one block beside the input.

    Args:
        features: the rows searched, `[N, D]` floats.
        k: how many neighbours, at least 1; more than N gives N.
        queries: the rows asked for, `[M, D]`; None asks for `features` themselves, and each row then
            comes first in its own list, before any duplicate of it.
        device: "cpu" (tiles of half the matrix where `queries` is None; else faiss where it is installed,
            and torch), or a torch device such as "cuda".

    Returns:
        squared distances `[M, min(k, N)]` float32 (the float64 value, rounded), and indices `[M, min(k,
        N)]` int64, every row sorted by (distance, index).

    Raises:
        UserError: unusable features, widths that differ, or k below 1.
    """
    features_ND = checked_features(features)
    queries_MD = None if queries is None else checked_features(queries, name="queries")
    if queries_MD is not None and queries_MD.shape[1] != features_ND.shape[1]:
        raise UserError(
            f"queries are {queries_MD.shape[1]} wide and features {features_ND.shape[1]}; "
            "both must come from the same embedder."
        )
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise UserError(f"k is {k!r}; a whole number of at least 1 is needed.")
    return exact_neighbours(features_ND, int(k), queries_MD, choose_backend(device, own=queries_MD is None))


def neighbours_and_furthest(features_ND: Floats, k: int) -> tuple[Float32s, Indices, NDArray[np.float64]]:
    """Find the `k` nearest rows of every row, and how far the furthest is, in one search on the CPU.

    Args:
        features_ND: checked features.
        k: as in `nearest_neighbours`, whose distances and indices come first.

    Returns:
        distances and indices `[N, min(k, N)]`, and each row's greatest squared distance, `[N]` float64.
    """
    total = len(features_ND)
    _check_norms(features_ND)
    found = propose(features_ND, min(total, k + _MARGIN), min(total, _FURTHEST))
    near = _decided(features_ND, features_ND, (found.near, found.near_rows), k, own=True)
    return *near, _furthest(features_ND, found.far, found.far_rows)


def choose_backend(device: str, *, own: bool) -> Candidates:
    """Return the candidate search for `device`; `own` says that the rows ask for their own neighbours."""
    if device == "cpu" and own:
        return tile_candidates
    if device == "cpu" and importlib.util.find_spec("faiss") is not None:
        return faiss_candidates
    return lambda queries_MD, features_ND, count: torch_candidates(queries_MD, features_ND, count, device=device)


def exact_neighbours(
    features_ND: Floats, k: int, queries_MD: Floats | None, search: Candidates
) -> tuple[Float32s, Indices]:
    """Turn the candidates that `search` proposes into exact neighbours; see `nearest_neighbours`."""
    own = queries_MD is None
    left_MD = features_ND if queries_MD is None else queries_MD
    _check_norms(features_ND, left_MD)
    proposed = search(left_MD, features_ND, min(len(features_ND), k + _MARGIN))
    return _decided(left_MD, features_ND, proposed, k, own=own)


def _check_norms(*matrices: Floats) -> None:
    """Raise UserError where squared norms are too great for a float32 product."""
    greatest = max(float(squared_norms(matrix).max()) for matrix in matrices)
    if greatest > _GREATEST_NORM:
        raise UserError(
            f"features have squared norms up to {greatest:.3g}; at most {_GREATEST_NORM:.0e} can be searched "
            "in float32: scale the features down."
        )


def _decided(
    left_MD: Floats, features_ND: Floats, proposed: tuple[Float32s, Indices], k: int, *, own: bool
) -> tuple[Float32s, Indices]:
    """Choose the exact `k` nearest among the proposed, or search again where those do not suffice."""
    from reid_pipeline.geometry.neighbour_kernels import rank_candidates

    total, rows = len(features_ND), len(left_MD)
    shape = (rows, min(k, total))
    found = (np.empty(shape, dtype=np.float32), np.empty(shape, dtype=np.int64))
    in_threads(lambda part: rank_candidates(left_MD, features_ND, proposed[1], own, found, *part), even_parts(rows))
    if proposed[1].shape[1] < total:
        unsure = _undecided(left_MD, features_ND, found[0], proposed[0].max(axis=1))
        if own:
            unsure |= found[1][:, 0] != np.arange(total)
        _search_exhaustively(left_MD, features_ND, np.flatnonzero(unsure), found, own)
    return found


def _undecided(
    left_MD: Floats, features_ND: Floats, distances_MK: Float32s, last_proposed_M: Float32s
) -> NDArray[np.bool_]:
    """Say for which rows something that was not proposed might be as near as the last neighbour found."""
    norms_M = squared_norms(left_MD)
    greatest = float(squared_norms(features_ND).max())
    tolerance_M = expansion_tolerance(norms_M, greatest, width=left_MD.shape[1], dtype=np.float32)
    furthest_M = distances_MK.max(axis=1).astype(np.float64) * (1 + 2.0**-22)
    undecided: NDArray[np.bool_] = ~(furthest_M < last_proposed_M - tolerance_M)
    return undecided


def _search_exhaustively(
    left_MD: Floats, features_ND: Floats, rows: Indices, found: tuple[Float32s, Indices], own: bool
) -> None:
    """Search `rows` again in float64 and write their exact neighbours into `found`."""
    distances_MK, neighbours_MK = found
    k = distances_MK.shape[1]
    for start in range(0, len(rows), _EXHAUSTIVE_ROWS):
        part = rows[start : start + _EXHAUSTIVE_ROWS]
        # Any k rows bound the distance of the k-th nearest: only what lies within can be a neighbour.
        bound = distances_MK[part].max(axis=1).astype(np.float64) * (1 + 2.0**-22)
        pair_rows_P, pair_columns_P = _within(left_MD[part], features_ND, bound)
        exact_P = pair_squared_distances(left_MD, features_ND, part[pair_rows_P], pair_columns_P)
        exact_P = exact_P.astype(np.float32)
        foreign_P = pair_columns_P != (part[pair_rows_P] if own else -1)
        order = np.lexsort((pair_columns_P, exact_P, foreign_P, pair_rows_P))
        firsts = np.searchsorted(pair_rows_P[order], np.arange(len(part)))
        chosen = order[firsts[:, None] + np.arange(k)]
        distances_MK[part] = exact_P[chosen]
        neighbours_MK[part] = pair_columns_P[chosen]


def _furthest(features_ND: Floats, far_NF: Float32s, rows_NF: Indices) -> NDArray[np.float64]:
    """Return the greatest squared distance of each row, `[N]` float64, given what a search proposed."""
    total, count = rows_NF.shape
    exact_P = pair_squared_distances(
        features_ND, features_ND, np.repeat(np.arange(total), count), np.ascontiguousarray(rows_NF).ravel()
    )
    furthest_N: NDArray[np.float64] = exact_P.reshape(total, count).max(axis=1)
    if count < total:
        norms_N = squared_norms(features_ND)
        tolerance_N = expansion_tolerance(norms_N, float(norms_N.max()), width=features_ND.shape[1], dtype=np.float32)
        unsure = np.flatnonzero(far_NF.min(axis=1) + tolerance_N > furthest_N)
        for start in range(0, len(unsure), _EXHAUSTIVE_ROWS):
            part = unsure[start : start + _EXHAUSTIVE_ROWS]
            pair_rows_P, columns_P = _within(features_ND[part], features_ND, furthest_N[part], beyond=True)
            exact_P = pair_squared_distances(features_ND, features_ND, part[pair_rows_P], columns_P)
            np.maximum.at(furthest_N, part[pair_rows_P], exact_P)
    return furthest_N


def _within(
    left_MD: Floats, features_ND: Floats, bound_M: NDArray[np.float64], *, beyond: bool = False
) -> tuple[Indices, Indices]:
    """Return (row, column) of every pair whose distance may be at most (`beyond`: at least) `bound_M`."""
    left = left_MD.astype(np.float64)
    norms_M = squared_norms(left)
    sign = -1.0 if beyond else 1.0
    step = max(1, _EXHAUSTIVE_ENTRIES // (features_ND.shape[1] + len(left)))
    found_rows, found_columns = [], []
    for start in range(0, len(features_ND), step):
        right = features_ND[start : start + step].astype(np.float64)
        norms = squared_norms(right)
        tolerance_M = expansion_tolerance(norms_M, float(norms.max()), width=left.shape[1], dtype=np.float64)
        approximate = norms_M[:, None] + norms[None, :] - 2 * (left @ right.T)
        rows, columns = np.nonzero(sign * approximate <= (sign * bound_M + tolerance_M)[:, None])
        found_rows.append(rows)
        found_columns.append(columns + start)
    return np.concatenate(found_rows), np.concatenate(found_columns)


def tile_candidates(queries_MD: Floats, features_ND: Floats, count: int) -> tuple[Float32s, Indices]:
    """Propose the `count` nearest of rows that ask for their own neighbours; see `all_pairs`."""
    del queries_MD  # the features themselves
    found = propose(features_ND, count)
    return found.near, found.near_rows


def faiss_candidates(queries_MD: Floats, features_ND: Floats, count: int) -> tuple[Float32s, Indices]:
    """Propose the `count` nearest by faiss's brute force on the CPU: float32 and int64, `[M, C]`."""
    import faiss

    features = np.ascontiguousarray(features_ND, dtype=np.float32)
    queries = features if queries_MD is features_ND else np.ascontiguousarray(queries_MD, dtype=np.float32)
    distances_MC, indices_MC = faiss.knn(queries, features, count)
    return distances_MC, indices_MC


def torch_candidates(
    queries_MD: Floats, features_ND: Floats, count: int, *, device: str = "cpu"
) -> tuple[Float32s, Indices]:
    """Propose the `count` nearest by torch in blocks of queries: float32 and int64, `[M, C]`."""
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
    """Counts rows between thresholds of squared distance on a torch device, for `retrieval.ranks`.

    Args:
        features_ND: the rows counted; they are copied to the device.
        offsets_N: their squared norms, infinite for rows to leave out.
        device: a torch device such as "cuda".
    """

    def __init__(self, features_ND: Floats, offsets_N: Floats, *, device: str) -> None:
        import torch

        self._features_ND = torch.as_tensor(features_ND, device=device)
        self._offsets_N = torch.as_tensor(offsets_N, device=device)

    def count(
        self, queries_MD: Floats, limits_2MP: Floats, excluded: tuple[Indices, Indices], *, width: int
    ) -> tuple[Indices, Indices, Indices]:
        """Count, for each query, the rows between its thresholds; see `retrieval.counting`.

        The values compared are `|y|^2 - 2 x.y`, in blocks of `width` rows.

        Args:
            queries_MD: `[M, D]`, of the dtype of the features.
            limits_2MP: lower and upper thresholds, ascending along P, padded with the greatest float.
            excluded: (query, row) pairs left out.
            width: rows at once.

        Returns:
            counts `[M, P + 1]`, of which that beyond the last threshold is not complete; and the (query,
            row) pairs that lie within a threshold's interval.
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
