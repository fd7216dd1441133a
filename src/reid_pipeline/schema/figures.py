"""Retrieval figures of a test set, and the difference of two: what all result records are built of."""

from typing import Literal

from pydantic import Field

from reid_pipeline.schema.record import Count, Fraction, Points, Record


class FiveFigures(Record):
    """The figures that tables show."""

    mAP: Fraction | None
    mINP: Fraction | None
    rank1: Fraction | None
    rank5: Fraction | None
    rank10: Fraction | None

    def value(self, metric: str) -> float | None:
        """Return the figure of that name: mAP, mINP, rank1, rank5 or rank10."""
        found: float | None = getattr(self, metric)
        return found


class Figures(FiveFigures):
    """Retrieval figures of one test set; of repeated galleries means, with deviations (N - 1) beside them."""

    num_queries: Count
    num_valid_queries: Count
    num_gallery: Count
    cmc: tuple[Fraction, ...] = ()
    mAP_std: Fraction | None = None
    mINP_std: Fraction | None = None
    rank1_std: Fraction | None = None
    rank5_std: Fraction | None = None
    rank10_std: Fraction | None = None
    repeats: Count | None = None

    def deviation(self, metric: str) -> float | None:
        """Return its standard deviation over repeated galleries, or None."""
        return self.value(f"{metric}_std")


class ProtocolFigures(Figures):
    """Retrieval figures of a test split, and the protocol that they were measured by."""

    splits: Literal["test", "dev"]
    camera_filter: bool | None = None  # gallery images of the query's pid and camera left out; None: nothing was tested
    flip_averaging: bool = False
    camera_mean_subtraction: bool = False
    query_expansion: Count = 0
    rerank: str = "none"
    tracklets: str = "none"  # how the images of one were pooled; then queries and gallery are counted in these
    test_set: str | None = None  # of several, that which the figures at the top are of
    test_sets: dict[str, Figures] = Field(default_factory=dict)  # the figures of each
    not_evaluated: str | None = None  # why there are no figures


class PairedDifference(Record):
    """One figure of a method less another's, over the same queries."""

    difference: Points
    low: Points  # this and the next: 95 % interval by a paired bootstrap over queries
    high: Points
    p_value: Fraction  # share of resamples on the other side of 0, doubled

    @property
    def excludes_zero(self) -> bool:
        """Whether 0 lies outside the interval."""
        return self.low > 0 or self.high < 0
