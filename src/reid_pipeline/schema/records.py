"""What runs write and pages read: frozen, versioned records.

Every record file has a `version`, and a file of an earlier one is read by the converter in
`schema.earlier_records`. A fraction is finite and in 0..1, or None where nothing was tested.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from reid_pipeline.schema.figures import FiveFigures, PairedDifference, ProtocolFigures
from reid_pipeline.schema.origin import LabelUse, Origin
from reid_pipeline.schema.population import Population
from reid_pipeline.schema.record import Count, Digest, Finite, Fraction, Record, RunRecord


class Metrics(RunRecord, ProtocolFigures):
    """metrics.json: the figures of a run.

    Attributes:
        mAP_low, mAP_high, ...: 95 % interval over queries.
        label_use: whose identity labels training used; None in files of versions that did not note it.
    """

    version: Literal[1, 2] = 2
    mAP_low: Fraction | None = None
    mAP_high: Fraction | None = None
    mINP_low: Fraction | None = None
    mINP_high: Fraction | None = None
    rank1_low: Fraction | None = None
    rank1_high: Fraction | None = None
    label_use: LabelUse | None = None

    @model_validator(mode="after")
    def _with_reason(self) -> Self:
        missing = [name for name in FiveFigures.model_fields if self.value(name) is None]
        if missing and not self.not_evaluated:
            raise ValueError(
                f"{', '.join(missing)} is null, and not_evaluated does not say why. A figure is a fraction in"
                " 0..1, or null with its reason"
            )
        return self

    def interval(self, metric: str) -> tuple[float, float] | None:
        """Return the 95 % interval of mAP, mINP or rank1 over queries, or None."""
        low, high = (getattr(self, f"{metric}_{end}", None) for end in ("low", "high"))
        return None if low is None or high is None else (low, high)


class SizeBin(Record):
    """How many clusters have from `low` to `high` images, both included."""

    low: Count
    high: Count
    clusters: Count


class ClusterSizes(Record):
    """Sizes of an epoch's clusters: minimum, quartiles and maximum (none without clusters), and in powers of two."""

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
        run: fingerprint of the training that the epoch belongs to; None in earlier versions' files.
        epoch: from 1, within its stage.
        learning_rate: of the epoch, before a group's own multiplier.
        loss, losses: mean over the steps, and its weighted terms likewise.
        clusters, noise_share, cluster_sizes, proxies: of the pseudo labels, where a stage makes any.
        ground_truth: their agreement with the identities, where these are known.
        facts: whatever else the stage reports.
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
    def of(cls, values: Mapping[str, Any], run: str) -> Self:
        """Return the record of an epoch that the loop reports; what has no field goes to `facts`."""
        known = {name: value for name, value in values.items() if name in cls.model_fields}
        others = {name: value for name, value in values.items() if name not in cls.model_fields}
        return cls(**{**known, "run": run, **({"facts": others} if others else {})})


class StageDescription(Record):
    """What a checkpoint, or a resumable state, says of the stage of training that made it.

    Attributes:
        origin: of the checkpoint; its parameters are those that decide the stage's result.
        label_map: the user's name of the identity behind every label.
    """

    version: Literal[1, 2] = 2
    origin: Origin
    stage: str
    population: Population
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


class RunCard(RunRecord):
    """run_card.json: what the metrics came from, and what they cost.

    Attributes:
        differs: what the run's parameters have that conf's had not, by dotted name.
        data_hash: `splits.data_hash` of the split table.
        weights: SHA-256 of the weights that training started from; "random" where these were sampled.
        label_use: whose identity labels training used.
        zero_shot: cell of zero_shot that the run is compared with, as "<benchmark>/<folder>/seed_<n>".
        device, precision, threads: as they were resolved.
        training_seconds: of all epochs, over kills and resumptions.
        wall_seconds, peak_memory_bytes, device_peak_memory_bytes: of the process, when the card was written.
        num_parameters: of the embedder.
        num_trainable_parameters: of the stage that trains most.
        reid_pipeline, git_commit, git_dirty, python, packages, machine, started: of the process.
        parameters: all in force.
    """

    version: Literal[1, 2] = 2
    differs: dict[str, Any] = Field(default_factory=dict)
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


class SampledGallery(Record):
    """Which of the repeated galleries of a test set a breakdown is of."""

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


class Breakdown(RunRecord):
    """breakdown.json: where the metrics come from, of the first gallery.

    Attributes:
        draw: which gallery; None where nothing was tested.
        camera_pairs: by pair of cameras; empty where a camera is unknown.
        identities: by identity, the worst first.
        average_precision: of every query in the order of the split table; None where it is not valid.
        first_match_rank, inverse_negative_penalty: likewise; ranks from 1. Empty in earlier versions' files.
        intervals: `<figure>_low` and `<figure>_high`, as in Metrics.
    """

    version: Literal[1, 2] = 2
    draw: SampledGallery | None = None
    camera_pairs: tuple[CameraPair, ...] = ()
    identities: tuple[IdentityFigures, ...] = ()
    average_precision: tuple[Fraction | None, ...] = ()
    first_match_rank: tuple[Count | None, ...] = ()
    inverse_negative_penalty: tuple[Fraction | None, ...] = ()
    intervals: dict[str, Fraction] = Field(default_factory=dict)


class Differences(RunRecord):
    """differences.json: what a method has over the zero_shot that it is compared with.

    Attributes:
        other: the cell of zero_shot, as "<benchmark>/<folder>/seed_<n>".
        num_queries: valid queries that both have.
        test_set: which test set's, where there are several.
        note: what the figures are of, if not of the whole test.
        why_not: why there is no figure.
    """

    version: Literal[2] = 2
    other: str
    num_queries: Count
    figures: dict[str, PairedDifference]
    test_set: str | None = None
    note: str = ""
    why_not: str | None = None


@dataclass(frozen=True)
class Run:
    """A finished run: metrics.json, run_card.json, and breakdown.json where it is there (git stores no such)."""

    metrics: Metrics
    run_card: RunCard
    breakdown: Breakdown | None = None

    @property
    def method(self) -> str:
        """The method."""
        return self.metrics.method

    @property
    def variant(self) -> str:
        """The variant; empty for the parameters of conf/."""
        return self.metrics.variant

    @property
    def seed(self) -> int:
        """The seed."""
        return self.metrics.seed
