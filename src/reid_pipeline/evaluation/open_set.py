"""Open-set figures of a test: the records made of `retrieval.open_set_metrics`."""

from collections.abc import Sequence

import numpy as np

from reid_pipeline.retrieval.open_set_draws import OpenSetDraw, OpenSetResult, open_set_metrics
from reid_pipeline.schema.columns import DISTRACTOR_PID
from reid_pipeline.schema.open_set import (
    FALSE_ALARM_RATES,
    FalseAlarmFigures,
    OpenSetFigures,
    OpenSetParameters,
    ScoreHistogram,
)

_BINS = 40


def open_set_figures(
    features: tuple[np.ndarray, np.ndarray],
    pids: tuple[np.ndarray, np.ndarray],
    camids: tuple[np.ndarray | None, np.ndarray | None],
    settings: OpenSetParameters,
) -> tuple[OpenSetFigures, ScoreHistogram] | None:
    """Return the figures, and the scores of the first draw.

    Distractors are nobody in particular: they are not enrolled, and no threshold is made of them.

    Args:
        features: of query and gallery; the figures are of their cosines. A row of zeros, which is what remains of a
            camera's only image less the camera's mean, is left out.
        pids: likewise.
        camids: likewise, or None where nothing is filtered.
        settings: how many draws, and who is left out.

    Returns:
        None where fewer than two individuals are in the gallery.
    """
    query, gallery = (_individuals(*side) for side in zip(features, pids, camids, strict=True))
    if not len(query[1]) or len(np.unique(gallery[1])) < 2:
        return None
    result = open_set_metrics(
        query[0],
        gallery[0],
        query[1],
        gallery[1],
        query[2],
        gallery[2],
        draws=settings.draws,
        left_out=settings.left_out,
    )
    return None if result is None else (_figures(result), _histogram(result.draws[0]))


def _individuals(
    features: np.ndarray, pids: np.ndarray, camids: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Return unit rows of individuals with their pids and camids."""
    lengths = np.linalg.norm(features, axis=1)
    rows = (pids > DISTRACTOR_PID) & (lengths > 0)
    return features[rows] / lengths[rows, None], pids[rows], None if camids is None else camids[rows]


def _figures(result: OpenSetResult) -> OpenSetFigures:
    draws = result.draws
    auroc, deviation = _over_draws([draw.auroc() for draw in draws])
    return OpenSetFigures(
        draws=len(draws),
        enrolled=len(draws[0].enrolled_scores),
        newcomers=len(draws[0].newcomer_scores),
        known_probes=min(len(draw.known_scores) for draw in draws),
        new_probes=min(len(draw.new_scores) for draw in draws),
        AUROC=auroc,
        AUROC_std=deviation,
        EER=result.equal_error_rate,
        at={name: _at(draws, rate) for name, rate in FALSE_ALARM_RATES.items()},
    )


def _at(draws: Sequence[OpenSetDraw], rate: float) -> FalseAlarmFigures:
    detected, deviation = _over_draws([draw.detection_rate(rate) for draw in draws])
    promises = [promise for draw in draws if (promise := draw.promise(rate)) is not None]
    found = FalseAlarmFigures(DIR=detected, DIR_std=deviation)
    if not promises:
        return found
    by_threshold = _over_draws([promise.detection_rate for promise in promises])
    alarms = _over_draws([promise.false_alarms for promise in promises])
    threshold = float(np.mean([promise.threshold for promise in promises]))
    of_promise = {
        "threshold": threshold if np.isfinite(threshold) else None,
        "DIR_at_threshold": by_threshold[0],
        "DIR_at_threshold_std": by_threshold[1],
        "false_alarms": alarms[0],
        "false_alarms_std": alarms[1],
        "probe_false_alarms": _over_draws([promise.probe_false_alarms for promise in promises])[0],
    }
    return FalseAlarmFigures(**{**found.model_dump(), **of_promise})


def _over_draws(values: Sequence[float | None]) -> tuple[float | None, float | None]:
    """Return mean and standard deviation (N - 1); None where a draw has no value, or there is one alone."""
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None, None
    deviation = float(np.std(known, ddof=1)) if len(known) > 1 else None
    return min(1.0, float(np.mean(known))), deviation


def _histogram(draw: OpenSetDraw) -> ScoreHistogram:
    kinds = [scores[np.isfinite(scores)].astype(np.float64) for scores in (draw.known_scores, draw.new_scores)]
    both = np.concatenate(kinds)
    low, high = (float(both.min()), float(both.max())) if len(both) else (0.0, 1.0)
    ends = (low, high if high > low else low + 1 / _BINS)
    counts = [tuple(int(count) for count in np.histogram(scores, _BINS, ends)[0]) for scores in kinds]
    promises = {name: draw.promise(rate) for name, rate in FALSE_ALARM_RATES.items()}
    thresholds = {name: each.threshold for name, each in promises.items() if each and np.isfinite(each.threshold)}
    return ScoreHistogram(low=ends[0], high=ends[1], known=counts[0], new=counts[1], thresholds=thresholds)
