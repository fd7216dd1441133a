"""Intervals of figures over resampled queries: percentile bootstrap. Gallery and model stay as they are.

So an interval says nothing about another seed's training.

Source: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.

Shape suffixes: V valid queries, F figures, N resamples.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reid_pipeline.geometry.distances import check_count
from reid_pipeline.retrieval.metrics import RetrievalResult
from reid_pipeline.schema.errors import UserError

_SAMPLED_BYTES = 8 << 20


@dataclass(frozen=True)
class PairedDifference:
    """Two methods on the same queries: the second's figure less the first's.

    Attributes:
        difference: mean difference over the queries that are valid for both.
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
    """Return the interval of `mAP`, `mINP` and `rank1` over resampled valid queries.

    `resamples` of V queries each are made with replacement, at least 1; `level` is the share of the resampled figures
    inside, above 0 and below 1. Time O(resamples V), memory 8 MiB and O(resamples).

    Raises:
        UserError: an option out of range.
    """
    valid = result.first_match_rank > 0
    figures = result.of_queries()
    figures_FV = np.stack([figure[valid] for figure in figures.values()])
    _, (low_F, high_F) = _resampled(figures_FV, resamples, seed, level)
    return {name: (float(low), float(high)) for name, low, high in zip(figures, low_F, high_F, strict=True)}


def paired_bootstrap(
    first_ap: ArrayLike, second_ap: ArrayLike, *, resamples: int = 1000, seed: int = 0, level: float = 0.95
) -> PairedDifference:
    """Compare two methods by their AP on the same queries, row by row.

    Resampling pairs removes what makes a query hard for both, so that the interval is narrower than that of
    either mAP. The p-value is twice the smaller share of resampled differences on either side of 0, each
    share counting one more.

    Args:
        first_ap: `[Q]`, NaN where the query is not valid.
        second_ap: `[Q]`, of the same queries in the same order.
        resamples: how many samples are made with replacement, at least 1.
        seed: of the samples.
        level: of the interval, above 0 and below 1.

    Raises:
        UserError: lengths that differ, no query that is valid for both, or an option out of range.
    """
    found = paired_bootstraps({"ap": first_ap}, {"ap": second_ap}, resamples=resamples, seed=seed, level=level)
    return found["ap"]


def paired_bootstraps(
    first: Mapping[str, ArrayLike],
    second: Mapping[str, ArrayLike],
    *,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, PairedDifference]:
    """Compare two methods by several figures of the same queries, in the same resamples.

    As `paired_bootstrap`, with figures by name, `[Q]` each, NaN where the query is not valid. A query
    counts where all figures of both are known. Time O(resamples V F), memory O(F) times 8 MiB.

    Returns:
        by figure the second's mean less the first's, with its interval and p-value.

    Raises:
        UserError: as `paired_bootstrap`.
    """
    differences_FQ = np.stack([_differences(name, first[name], second[name]) for name in first])
    differences_FV = differences_FQ[:, ~np.isnan(differences_FQ).any(axis=0)]
    if not differences_FV.size:
        raise UserError(f"None of the {differences_FQ.shape[1]} queries is valid for both methods: nothing to compare.")
    means_NF, (low_F, high_F) = _resampled(differences_FV, resamples, seed, level)
    # The smaller share of resampled differences on either side of 0, each share counting one more.
    fewer_F = np.minimum((means_NF <= 0).sum(axis=0), (means_NF >= 0).sum(axis=0))
    return {
        name: PairedDifference(
            difference=float(differences_FV[place].mean()),
            low=float(low_F[place]),
            high=float(high_F[place]),
            p_value=min(1.0, 2 * (int(fewer_F[place]) + 1) / (len(means_NF) + 1)),
            num_queries=differences_FV.shape[1],
        )
        for place, name in enumerate(first)
    }


def _differences(name: str, first: ArrayLike, second: ArrayLike) -> NDArray[np.float64]:
    first_Q, second_Q = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if first_Q.ndim != 1 or first_Q.shape != second_Q.shape:
        raise UserError(
            f"first_{name} has shape {list(first_Q.shape)} and second_{name} {list(second_Q.shape)}; both"
            f" must hold one {name.upper()} for each of the same queries."
        )
    return second_Q - first_Q


def _resampled(
    figures_FV: NDArray[np.float64], resamples: int, seed: int, level: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean of every figure in every resample, `[N, F]`, and the two ends of its interval, `[2, F]`."""
    check_count("resamples", resamples, "1000")
    if not 0 < level < 1:
        raise UserError(f"level is {level!r}; a share above 0 and below 1 is needed (usual: 0.95).")
    generator = np.random.default_rng(seed)
    count = figures_FV.shape[1]
    step = max(1, _SAMPLED_BYTES // (8 * count))
    sizes = [(min(step, resamples - start), count) for start in range(0, resamples, step)]
    means_NF = np.concatenate([figures_FV[:, generator.integers(count, size=size)].mean(axis=2).T for size in sizes])
    return means_NF, np.quantile(means_NF, ((1 - level) / 2, (1 + level) / 2), axis=0)
