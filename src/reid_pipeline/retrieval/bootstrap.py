"""How far figures may be off because these queries and no others were drawn: the bootstrap over queries.

Percentile intervals (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13). The gallery
and the model stay as they are: an interval says nothing about another seed's training.

Shape suffixes: V valid queries, F figures, N resamples.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reid_pipeline.retrieval.metrics import RetrievalResult
from reid_pipeline.schema.errors import UserError

_DRAWN_BYTES = 8 << 20


@dataclass(frozen=True)
class PairedDifference:
    """Two methods on the same queries: the second's mAP less the first's.

    Attributes:
        difference: mean difference of AP over the queries that are valid for both.
        low: lower end of its interval.
        high: upper end.
        p_value: two-sided bootstrap p-value of no difference, at least 1 / (resamples + 1).
        num_queries: queries compared.
    """

    difference: float
    low: float
    high: float
    p_value: float
    num_queries: int


def bootstrap_intervals(
    result: RetrievalResult, *, resamples: int = 1000, seed: int = 0, level: float = 0.95
) -> dict[str, tuple[float, float]]:
    """Return the interval of ``mAP``, ``mINP`` and ``rank1`` over resampled valid queries.

    Time O(resamples V), memory 8 MiB and O(resamples).

    Args:
        result: what `evaluate_retrieval` found.
        resamples: how many samples of V queries are drawn with replacement, at least 1.
        seed: of the draws.
        level: share of the resampled figures that lie inside, above 0 and below 1.

    Raises:
        UserError: an option out of range.
    """
    valid = result.first_match_rank > 0
    figures_FV = np.stack(
        [
            result.average_precision[valid],
            result.inverse_negative_penalty[valid],
            (result.first_match_rank[valid] == 1).astype(np.float64),
        ]
    )
    means_NF = _resampled_means(figures_FV, resamples, seed)
    low_F, high_F = np.quantile(means_NF, _tails(level), axis=0)
    return {
        name: (float(low), float(high))
        for name, low, high in zip(("mAP", "mINP", "rank1"), low_F, high_F, strict=True)
    }


def paired_bootstrap(
    first_ap: ArrayLike, second_ap: ArrayLike, *, resamples: int = 1000, seed: int = 0, level: float = 0.95
) -> PairedDifference:
    """Compare two methods by their AP on the same queries, row by row.

    Resampling pairs takes out what makes a query hard for both, so that the interval is narrower than that of
    either mAP. The p-value is twice the smaller share of resampled differences on either side of 0, each
    share counting one more.

    Args:
        first_ap: ``[Q]``, NaN where the query is not valid.
        second_ap: ``[Q]``, of the same queries in the same order.
        resamples: how many samples are drawn with replacement, at least 1.
        seed: of the draws.
        level: of the interval, above 0 and below 1.

    Raises:
        UserError: lengths that differ, no query that is valid for both, or an option out of range.
    """
    first, second = np.asarray(first_ap, np.float64), np.asarray(second_ap, np.float64)
    if first.ndim != 1 or first.shape != second.shape:
        raise UserError(
            f"first_ap has shape {list(first.shape)} and second_ap {list(second.shape)}; both must hold one "
            "AP for each of the same queries."
        )
    differences_Q = second - first
    differences_V = differences_Q[~np.isnan(differences_Q)]
    if not differences_V.size:
        raise UserError(f"None of the {len(first)} queries is valid for both methods: nothing to compare.")
    means_N = _resampled_means(differences_V[None], resamples, seed)[:, 0]
    low, high = np.quantile(means_N, _tails(level))
    fewer = min(int((means_N <= 0).sum()), int((means_N >= 0).sum()))
    return PairedDifference(
        difference=float(differences_V.mean()),
        low=float(low),
        high=float(high),
        p_value=min(1.0, 2 * (fewer + 1) / (resamples + 1)),
        num_queries=len(differences_V),
    )


def _tails(level: float) -> tuple[float, float]:
    if not 0 < level < 1:
        raise UserError(f"level is {level!r}; a share above 0 and below 1 is needed (usual: 0.95).")
    return (1 - level) / 2, (1 + level) / 2


def _resampled_means(figures_FV: NDArray[np.float64], resamples: int, seed: int) -> NDArray[np.float64]:
    """Return the mean of every figure in every resample, ``[N, F]``."""
    if isinstance(resamples, bool) or not isinstance(resamples, int | np.integer) or resamples < 1:
        raise UserError(f"resamples is {resamples!r}; a whole number of at least 1 is needed (usual: 1000).")
    return np.concatenate(
        [figures_FV[:, drawn].mean(axis=2).T for drawn in _draws(figures_FV.shape[1], resamples, seed)]
    )


def _draws(count: int, resamples: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Yield rows of ``count`` drawn indices, a few resamples at a time."""
    generator = np.random.default_rng(seed)
    step = max(1, _DRAWN_BYTES // (8 * count))
    for start in range(0, resamples, step):
        yield generator.integers(count, size=(min(step, resamples - start), count))
