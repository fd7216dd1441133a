"""Open-set figures of a run: is a probe of somebody who is enrolled, or of somebody new?"""

from pydantic import Field

from reid_pipeline.schema.base import Parameters
from reid_pipeline.schema.record import Count, Finite, Fraction, Record

FALSE_ALARM_RATES = {"10 %": 0.1, "1 %": 0.01, "0.1 %": 0.001}
"""At which figures are reported, by the name that they have in records."""


class OpenSetParameters(Parameters):
    """How open-set figures are measured."""

    draws: int = Field(20, ge=0, le=10_000, description="galleries with individuals left out; 0: no such figures")
    left_out: float = Field(0.5, gt=0, lt=1, description="share of the gallery's individuals that are left out")


class FalseAlarmFigures(Record):
    """Figures at one false-alarm rate: means over the draws, with deviations (N - 1) beside them."""

    DIR: Fraction | None = (
        None  # known and rank 1, where that share of newcomers' probes is known; None: too few probes
    )
    DIR_std: Finite | None = None
    threshold: Finite | None = None  # that promises the rate, and what becomes of it; None: too few are enrolled
    DIR_at_threshold: Fraction | None = None  # by that threshold: known and rank 1
    DIR_at_threshold_std: Finite | None = None
    false_alarms: Fraction | None = None  # share of new individuals that are known by any of their gallery images
    false_alarms_std: Finite | None = None
    probe_false_alarms: Fraction | None = None  # share of newcomers' probes that are known


class OpenSetFigures(Record):
    """Figures over seeded draws, in each of which a share of the individuals is left out of the gallery."""

    draws: Count
    enrolled: Count  # individuals in the gallery of a draw
    newcomers: Count  # that are left out
    known_probes: Count  # this and the next: the fewest of a draw
    new_probes: Count
    AUROC: Fraction | None = None  # of a probe's score, known against new
    AUROC_std: Finite | None = None
    EER: Fraction | None = None  # equal error rate: is a pair of query and gallery image of one individual?
    at: dict[str, FalseAlarmFigures]  # by `FALSE_ALARM_RATES`


class ScoreHistogram(Record):
    """Scores of the first draw's probes (greatest similarity to the gallery) in bins of one width."""

    low: Finite
    high: Finite
    known: tuple[Count, ...]  # probes of enrolled individuals
    new: tuple[Count, ...]  # of newcomers
    thresholds: dict[str, Finite]  # by false-alarm rate, where enough individuals are enrolled
