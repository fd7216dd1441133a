"""What runs write and pages read: frozen, versioned records; `earlier_records` reads files of earlier versions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from reid_pipeline.schema.figures import FiveFigures, PairedDifference, ProtocolFigures
from reid_pipeline.schema.open_set import OpenSetFigures, ScoreHistogram
from reid_pipeline.schema.origin import LabelUse, Origin
from reid_pipeline.schema.population import Population
from reid_pipeline.schema.record import Count, Digest, Finite, Fraction, Record, RunRecord


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


class LabelFigures(Record):
    """What a stage's pseudo labels look like; all None where it makes none."""

    clusters: Count | None = None
    noise_share: Fraction | None = None
    cluster_sizes: ClusterSizes | None = None
    largest_cluster: Fraction | None = None  # share of the images in one cluster; earlier versions: where over half
    cluster_quality: Finite | None = None  # `clustering.cluster_quality`: by it the best model is found
    silhouette: Finite | None = None  # mean over all images, on the Jaccard graph; noise 0
    stability: Finite | None = None  # adjusted Rand index with the labels before
    camera_balance: Fraction | None = None  # 0: clusters of one camera each; 1: as mixed as the collection
    eps: Finite | None = None  # the cut in force
    split_clusters: Count | None = None  # those split because they were too large
    ground_truth: Agreement | None = None  # with the identities, where these are known
    ground_truth_images: Count | None = None  # over which, where not all have an identity; None: over all


class ExportedModel(Record):
    """Which model a training exports that looks for its best one, and by what; `measures[i]` is that after epoch i.

    None: the epoch that followed did not measure, for it did not embed all images by that model.
    """

    epoch: Count  # after which; 0: before training
    epochs: Count  # planned
    measures: tuple[Finite | None, ...]  # larger is better
    ended: str = ""  # why training ended early, if it did
    labels: LabelFigures | None = None  # of the exported model

    @property
    def measure(self) -> float:
        """The measure of the exported model."""
        if (measure := self.measures[self.epoch]) is None:
            raise ValueError(f"the model after epoch {self.epoch} is exported, and was not measured")
        return measure


class Metrics(RunRecord, ProtocolFigures):
    """metrics.json: the figures of a run; a figure is a fraction, or None where nothing was tested."""

    version: Literal[1, 2] = 2
    mAP_low: Fraction | None = None  # this and the next: 95 % intervals over queries
    mAP_high: Fraction | None = None
    mINP_low: Fraction | None = None
    mINP_high: Fraction | None = None
    rank1_low: Fraction | None = None
    rank1_high: Fraction | None = None
    open_set: OpenSetFigures | None = None  # of the first gallery; None in files of versions that had none
    label_use: LabelUse | None = None  # None in files of versions that did not note it
    exported: ExportedModel | None = None  # which of a training's models was tested; None: the last

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


class EpochRecord(LabelFigures):
    """A line of history.json. Its labels are those that the epoch was trained with: of the model before it."""

    version: Literal[1, 2] = 2
    run: Digest | None = None  # fingerprint of the training that the epoch belongs to; None in earlier versions' files
    epoch: Annotated[int, Field(ge=1)]  # within its stage
    stage: str
    learning_rate: Finite  # before a group's own multiplier
    trainable_parameters: Count
    loss: Finite  # mean over the steps
    losses: dict[str, Finite]  # its weighted terms, likewise
    proxies: Count | None = None
    clustered_in: Count | None = None  # the epoch whose clustering gave the labels; None: this one
    embedded_share: Fraction | None = None  # of the images, embedded anew for its clustering; None: all
    mean_age: Finite | None = None  # of the vectors that were clustered, in epochs; this and the next None: 0
    oldest_age: Count | None = None
    after: LabelFigures | None = None  # of the model after this epoch; with `exported`, unless training ended early
    exported: ExportedModel | None = None  # in the last record of a training that looks for its best model
    facts: dict[str, Any] = Field(default_factory=dict)  # whatever else the stage reports
    seconds: dict[str, Finite]  # by part; "epoch" is the whole

    @classmethod
    def of(cls, values: Mapping[str, Any], run: str) -> Self:
        """Return the record of an epoch that the loop reports; what has no field goes to `facts`."""
        known = {name: value for name, value in values.items() if name in cls.model_fields}
        others = {name: value for name, value in values.items() if name not in known}
        return cls(**{**known, "run": run, **({"facts": others} if others else {})})


class StageDescription(Record):
    """What a checkpoint, or a resumable state, says of the stage of training that made it."""

    version: Literal[1, 2] = 2
    origin: Origin  # its parameters are those that decide the stage's result
    stage: str
    population: Population
    label_map: tuple[str, ...]  # the user's name of the identity behind every label


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
    """run_card.json: what the metrics came from, and what they cost."""

    version: Literal[1, 2] = 2
    differs: dict[str, Any] = Field(default_factory=dict)  # the run's parameters that conf/ has not, by dotted name
    auto: tuple[str, ...] = ()  # of the method's `parameters`, by dotted name, what the data decided (plan: auto)
    chunk_size: Count | None = None  # images at once through the tower, where this machine's memory decided that
    data_hash: Digest  # `splits.data_hash` of the split table
    data: dict[str, SplitCount]
    weights: str | None = None  # SHA-256 of the weights that training started from; "random" where these were sampled
    label_use: LabelUse | None = None
    imported: Digest | None = None  # SHA-256 of the published checkpoint that was imported; None where it was trained
    init_from: str | None = None  # the model that training started from; None for pretrained weights
    # As "<benchmark>/<folder>/seed_<n>".
    zero_shot: str | None = None  # address of the zero_shot that the run is compared with
    device: str  # this and the next two: as resolved
    precision: str
    threads: Count | None = None
    exported: ExportedModel | None = None  # which of the training's models; None: the last
    training_seconds: Finite  # of all epochs, over kills and resumptions
    whole_training_seconds: Finite | None = None  # of a sample: what training on the whole will take, as measured
    num_parameters: Count | None = None  # of the embedder
    num_trainable_parameters: Count | None = None  # of the stage that trains most
    reid_pipeline: str  # version
    git_commit: str | None
    git_dirty: bool | None
    python: str
    packages: dict[str, str | None]
    machine: Machine
    started: str
    wall_seconds: Finite  # this and the next two: of the process, when the card was written
    peak_memory_bytes: Count
    device_peak_memory_bytes: Count | None = None
    parameters: dict[str, Any]  # all in force


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

    Values of every query are in the order of the split table, None where it is not valid; empty in earlier versions'
    files, but for the average precision.
    """

    version: Literal[1, 2] = 2
    draw: SampledGallery | None = None  # None where nothing was tested
    camera_pairs: tuple[CameraPair, ...] = ()  # empty where a camera is unknown
    identities: tuple[IdentityFigures, ...] = ()  # the worst first
    average_precision: tuple[Fraction | None, ...] = ()
    first_match_rank: tuple[Count | None, ...] = ()  # from 1
    inverse_negative_penalty: tuple[Fraction | None, ...] = ()
    intervals: dict[str, Fraction] = Field(default_factory=dict)  # `<figure>_low` and `<figure>_high`, as in Metrics
    open_set: ScoreHistogram | None = None  # of known and new probes


class Differences(RunRecord):
    """differences.json: what a method has over the zero_shot that it is compared with."""

    version: Literal[2] = 2
    other: str  # address of zero_shot
    num_queries: Count  # valid queries that both have
    figures: dict[str, PairedDifference]
    test_set: str | None = None  # where there are several
    note: str = ""  # what the figures are of, if not of the whole test
    why_not: str | None = None  # why there is no figure


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
