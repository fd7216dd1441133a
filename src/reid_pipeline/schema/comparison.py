"""What comparisons come to: methods on one benchmark, on all, and embedders on others' test splits."""

from typing import Annotated, Literal

from pydantic import Field

from reid_pipeline.schema.figures import FiveFigures, ProtocolFigures
from reid_pipeline.schema.origin import LabelUse
from reid_pipeline.schema.record import Count, Finite, Fraction, Points, Record
from reid_pipeline.schema.records import RunCard


class Spread(Record):
    """Mean over seeds, None where a run has not measured it, and standard deviation (N - 1), None of one run."""

    mean: Fraction | None
    std: Annotated[float, Field(ge=0, allow_inf_nan=False, strict=True)] | None


class PublishedValues(Record):
    """What a table shows of a published figure."""

    variant: str
    mAP: Fraction | None = None
    rank1: Fraction | None = None
    rank5: Fraction | None = None
    mark: str
    note: str
    traits: dict[str, str] = Field(default_factory=dict)  # what a run must have to stand beside it
    presumed: tuple[str, ...] = ()  # those of them that its source does not state
    unknown: tuple[str, ...] = ()  # traits that nobody wrote down

    def value(self, metric: str) -> float | None:
        """Return the figure of that name, or None where it was not published."""
        found: float | None = getattr(self, metric)
        return found


class RunsNamed(Record):
    """Which runs a mean is over."""

    method: str
    variant: str = ""  # in the address; empty for the parameters of conf/
    apart: tuple[str, ...]  # what sets these runs apart from other rows
    seeds: tuple[Count, ...]  # empty where the method was not run


class ComparisonRow(RunsNamed):
    """Runs that differ in nothing but the seed, a published figure, or both; None where nothing was run or noted."""

    label_use: LabelUse | None = None
    measured: dict[str, Spread]
    num_valid_queries: Count | None = None  # the fewest of a run
    published: PublishedValues | None
    difference: dict[str, Points | None]  # mean less published figure; empty for mark u and for another protocol
    # Why the two are not comparable, or no figure stands beside the runs; that the model was not trained here.
    notes: tuple[str, ...]
    training_seconds: Finite | None  # mean over the seeds
    peak_memory_bytes: Count | None  # this and the next two: the most of a run card
    num_parameters: Count | None
    num_trainable_parameters: Count | None

    def spread(self, metric: str) -> Spread:
        """Return mean and deviation of a metric; both None where nothing was run."""
        return self.measured.get(metric) or Spread(mean=None, std=None)


class DifferenceToBest(Record):
    """What the best method of a benchmark has over another one, by the mAP; see `PairedDifference`, `Differences`."""

    best: RunsNamed | None  # None where nothing can be compared with `other`
    other: RunsNamed
    difference: Points | None = None
    low: Points | None = None
    high: Points | None = None
    p_value: Fraction | None = None
    num_queries: Count | None = None
    note: str = ""
    why_not: str | None = None

    @property
    def excludes_zero(self) -> bool | None:
        """Whether 0 lies outside the interval; None where there is none."""
        return None if self.low is None or self.high is None else self.low > 0 or self.high < 0


class Comparison(Record):
    """comparison.json: all methods of a benchmark, over seeds, beside published figures.

    A group of runs that differ in nothing but the seed has a row for each figure that is published of its variant, and
    at least one; whatever is published or could be run and was not has one, too.
    """

    version: Literal[1, 2] = 2
    benchmark: str
    test_set: str | None  # of several
    rows: tuple[ComparisonRow, ...]
    differences: tuple[DifferenceToBest, ...]  # of the best method to the others


class ListedRun(Record):
    """A run in the leaderboard, with its card."""

    method: str
    variant: str = ""
    seed: Count
    metrics: FiveFigures
    run_card: RunCard


class ListedBenchmark(Comparison):
    """A benchmark in the leaderboard."""

    runs: tuple[ListedRun, ...]


class Leaderboard(Record):
    """leaderboard.json: the comparison of every benchmark, and the cards of its runs."""

    version: Literal[1, 2] = 2
    benchmarks: tuple[ListedBenchmark, ...]


class CrossResult(ProtocolFigures):
    """An embedder, by the benchmark, method, variant and seed of its run, on a test split."""

    mAP: Fraction | None = None
    mINP: Fraction | None = None
    rank1: Fraction | None = None
    rank5: Fraction | None = None
    rank10: Fraction | None = None
    num_queries: Count = 0
    num_valid_queries: Count = 0
    num_gallery: Count = 0
    splits: Literal["test", "dev"] = "test"
    trained_on: str
    method: str
    variant: str = ""
    seed: Count
    tested_on: str
    why_not: str | None = None  # why there are no figures


class CrossBenchmark(Record):
    """cross_benchmark.json: every trained embedder on every test split; `benchmarks` are those tested on."""

    version: Literal[1, 2] = 2
    benchmarks: tuple[str, ...]
    results: tuple[CrossResult, ...]
