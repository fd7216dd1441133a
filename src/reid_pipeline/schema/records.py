"""What runs write and pages read: frozen, versioned records.

Every record file has a `version`, and a file of an earlier one is read by the converter in
`schema.earlier_records`. A fraction is finite and in 0..1, or None where nothing was tested.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from reid_pipeline.schema.origin import LabelUse, Origin
from reid_pipeline.schema.record import Count, Digest, Finite, Fraction, OriginatedRecord, Points, Record


class Figures(Record):
    """Retrieval figures of one test set; of repeated galleries means, with deviations (N - 1) beside them."""

    mAP: Fraction | None
    mINP: Fraction | None
    rank1: Fraction | None
    rank5: Fraction | None
    rank10: Fraction | None
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

    def value(self, metric: str) -> float | None:
        """Return the figure of that name: mAP, mINP, rank1, rank5 or rank10."""
        found: float | None = getattr(self, metric)
        return found

    def deviation(self, metric: str) -> float | None:
        """Return its standard deviation over repeated galleries, or None."""
        found: float | None = getattr(self, f"{metric}_std")
        return found


class Metrics(Figures, OriginatedRecord):
    """metrics.json: what a run came to, and by which protocol.

    Attributes:
        variant: name of the variant in the address; empty for the parameters of conf/.
        splits: what was tested on.
        camera_filter: whether gallery images of the query's own pid and camera were left out; None where
            nothing was tested.
        mAP_low, mAP_high, ...: 95 % interval over queries.
        test_set: which of several test sets the figures at the top are of.
        test_sets: the figures of each.
        not_evaluated: why there are no figures.
        label_use: whose identity labels training used; None in files of versions that did not note it.
    """

    version: Literal[1, 2] = 2
    benchmark: str
    method: str
    variant: str = ""
    seed: Count
    splits: Literal["test", "dev"]
    camera_filter: bool | None = None
    flip_averaging: bool = False
    camera_mean_subtraction: bool = False
    query_expansion: Count = 0
    rerank: str = "none"
    mAP_low: Fraction | None = None
    mAP_high: Fraction | None = None
    mINP_low: Fraction | None = None
    mINP_high: Fraction | None = None
    rank1_low: Fraction | None = None
    rank1_high: Fraction | None = None
    test_set: str | None = None
    test_sets: dict[str, Figures] = Field(default_factory=dict)
    not_evaluated: str | None = None
    label_use: LabelUse | None = None

    @model_validator(mode="after")
    def _reason(self) -> Self:
        missing = [name for name in ("mAP", "mINP", "rank1", "rank5", "rank10") if self.value(name) is None]
        if missing and not self.not_evaluated:
            raise ValueError(
                f"{', '.join(missing)} is null, and not_evaluated does not say why. A figure is a fraction in"
                " 0..1, or null with its reason"
            )
        return self

    def interval(self, metric: str) -> tuple[float, float] | None:
        """Return the 95 % interval of mAP, mINP or rank1 over queries, or None."""
        ends = getattr(self, f"{metric}_low", None), getattr(self, f"{metric}_high", None)
        return None if ends[0] is None or ends[1] is None else (ends[0], ends[1])


class SizeBin(Record):
    """How many clusters have from `low` to `high` images, both included."""

    low: Count
    high: Count
    clusters: Count


class ClusterSizes(Record):
    """Sizes of an epoch's clusters.

    Attributes:
        quantiles: minimum, quartiles and maximum; empty where there is no cluster.
        histogram: in powers of two.
    """

    quantiles: tuple[Finite, ...] = ()
    histogram: tuple[SizeBin, ...] = ()


class Agreement(Record):
    """How well pseudo labels agree with the identities; measured after the fact, never trained with."""

    ari: Finite
    nmi: Finite
    pairwise_precision: Fraction
    pairwise_recall: Fraction
    bcubed_precision: Fraction
    bcubed_recall: Fraction


class EpochRecord(Record):
    """A line of history.json.

    Attributes:
        version: of this record.
        run: fingerprint of the training that the epoch belongs to; None in earlier versions' files.
        epoch: from 1, within its stage.
        stage: name of the stage.
        learning_rate: of the epoch, before a group's own multiplier.
        trainable_parameters: how many numbers move.
        loss: mean over the steps.
        losses: its weighted terms, likewise.
        clusters, noise_share, cluster_sizes, proxies: of the pseudo labels, where a stage makes any.
        ground_truth: their agreement with the identities, where these are known.
        facts: whatever else the stage tells.
        seconds: by part; "epoch" is the whole.
    """

    version: Literal[1, 2] = 2
    run: Digest | None = None
    epoch: Annotated[int, Field(ge=1)]
    stage: str
    learning_rate: Finite
    trainable_parameters: Count
    loss: Finite
    losses: dict[str, Finite]
    clusters: Count | None = None
    noise_share: Fraction | None = None
    cluster_sizes: ClusterSizes | None = None
    proxies: Count | None = None
    ground_truth: Agreement | None = None
    facts: dict[str, Any] = Field(default_factory=dict)
    seconds: dict[str, Finite]

    @classmethod
    def of(cls, told: Mapping[str, Any], run: str) -> Self:
        """Return the record of an epoch as the loop tells it; what has no field goes to `facts`."""
        known = {name: value for name, value in told.items() if name in cls.model_fields}
        others = {name: value for name, value in told.items() if name not in cls.model_fields}
        return cls(**{**known, "run": run, **({"facts": others} if others else {})})


class Trained(Record):
    """Whom the training split showed: numbers of identities, cameras and viewpoints."""

    identities: Count
    cameras: Count = 0
    views: Count = 0


class StageDescription(Record):
    """What a checkpoint, or a resumable state, says of the stage of training that made it.

    Attributes:
        origin: of the checkpoint; its parameters are those that decide the stage's result.
        stage: name of the stage.
        population: whom the training split showed.
        label_map: the user's name of the identity behind every label.
    """

    version: Literal[1, 2] = 2
    origin: Origin
    stage: str
    population: Trained
    label_map: tuple[str, ...]


class SplitCount(Record):
    """Size of one split."""

    images: Count
    identities: Count


class Machine(Record):
    """Where a run was made."""

    system: str
    processor: str
    cpus: int | None


class RunCard(OriginatedRecord):
    """run_card.json: what the metrics came from, and what they cost.

    Attributes:
        variant: as in Metrics.
        differs: what the run's parameters have that conf's had not, by dotted name.
        data_hash: `splits.data_hash` of the split table.
        data: size of every split.
        weights: SHA-256 of the weights that training started from; "random" where these were drawn.
        label_use: whose identity labels training used.
        zero_shot: cell of zero_shot that the run is compared with, as "<benchmark>/<folder>/seed_<n>".
        device, precision, threads: as they were resolved.
        training_seconds: of all epochs, over kills and resumptions.
        wall_seconds, peak_memory_bytes, device_peak_memory_bytes: of the process, when the card was written.
        num_parameters: of the embedder.
        num_trainable_parameters: of the stage that trains most.
        reid_pipeline, git_commit, git_dirty, python, packages, machine, started: of the process.
        parameters: every parameter in force.
    """

    version: Literal[1, 2] = 2
    benchmark: str
    method: str
    variant: str = ""
    differs: dict[str, Any] = Field(default_factory=dict)
    seed: Count
    data_hash: Digest
    data: dict[str, SplitCount]
    weights: str | None = None
    label_use: LabelUse | None = None
    zero_shot: str | None = None
    device: str
    precision: str
    threads: Count | None = None
    training_seconds: Finite
    num_parameters: Count | None = None
    num_trainable_parameters: Count | None = None
    reid_pipeline: str
    git_commit: str | None
    git_dirty: bool | None
    python: str
    packages: dict[str, str | None]
    machine: Machine
    started: str
    wall_seconds: Finite
    peak_memory_bytes: Count
    device_peak_memory_bytes: Count | None = None
    parameters: dict[str, Any]


class Drawing(Record):
    """Which of several draws of galleries a breakdown is of."""

    test_set: str
    repeat: Count


class CameraPair(Record):
    """A camera's queries on one camera of the gallery; names are the user's."""

    query_camera: Count
    gallery_camera: Count
    query_camera_name: str | None = None
    gallery_camera_name: str | None = None
    mAP: Fraction
    rank1: Fraction
    num_valid_queries: Count


class IdentityFigures(Record):
    """One identity's queries; `identity` is the user's name of it."""

    pid: int
    identity: str | None = None
    mAP: Fraction
    mINP: Fraction
    rank1: Fraction
    num_valid_queries: Count


class Breakdown(OriginatedRecord):
    """breakdown.json: where the metrics come from, of the first draw.

    Attributes:
        draw: which draw; None where nothing was tested.
        camera_pairs: by pair of cameras; empty where a camera is unknown.
        identities: by identity, the worst first.
        average_precision: of every query in the order of the split table; None where it is not valid.
        first_match_rank: of every query, from 1, or None; empty in earlier versions' files.
        inverse_negative_penalty: of every query, or None; likewise.
        intervals: `<figure>_low` and `<figure>_high`, as in Metrics.
    """

    version: Literal[1, 2] = 2
    benchmark: str
    method: str
    variant: str = ""
    seed: Count
    draw: Drawing | None = None
    camera_pairs: tuple[CameraPair, ...] = ()
    identities: tuple[IdentityFigures, ...] = ()
    average_precision: tuple[Fraction | None, ...] = ()
    first_match_rank: tuple[Count | None, ...] = ()
    inverse_negative_penalty: tuple[Fraction | None, ...] = ()
    intervals: dict[str, Fraction] = Field(default_factory=dict)


class PairedDifference(Record):
    """One figure of a method less another's, over the same queries.

    Attributes:
        difference: first less second.
        low, high: 95 % interval by a paired bootstrap over queries.
        p_value: share of resamples on the other side of 0, doubled.
    """

    difference: Points
    low: Points
    high: Points
    p_value: Fraction

    @property
    def excludes_zero(self) -> bool:
        """Whether 0 lies outside the interval."""
        return self.low > 0 or self.high < 0


class Differences(OriginatedRecord):
    """differences.json: what a method has over the zero_shot that it is compared with.

    Attributes:
        other: the cell of zero_shot, as "<benchmark>/<folder>/seed_<n>".
        num_queries: valid queries that both have.
        figures: by metric: mAP, mINP, rank1, rank5, rank10.
        test_set: which test set's, where there are several.
        note: what the figures are of, if not of the whole test.
        why_not: why there is no figure.
    """

    version: Literal[2] = 2
    benchmark: str
    method: str
    variant: str = ""
    seed: Count
    other: str
    num_queries: Count
    figures: dict[str, PairedDifference]
    test_set: str | None = None
    note: str = ""
    why_not: str | None = None


@dataclass(frozen=True)
class Run:
    """A finished run, as its files say.

    Attributes:
        metrics: metrics.json.
        run_card: run_card.json.
        breakdown: breakdown.json, where it is there; git keeps the other two alone.
    """

    metrics: Metrics
    run_card: RunCard
    breakdown: Breakdown | None = None

    @property
    def method(self) -> str:
        """The method."""
        return self.metrics.method

    @property
    def variant(self) -> str:
        """Name of the variant in the address; empty for the parameters of conf/."""
        return self.metrics.variant

    @property
    def seed(self) -> int:
        """The seed."""
        return self.metrics.seed
