"""What a collection holds, as found, as published and as split: the record of the dataset page."""

from typing import Literal

from pydantic import ConfigDict, Field

from reid_pipeline.schema.given_labels import LabelFacts
from reid_pipeline.schema.record import Count, Digest, Finite, Record
from reid_pipeline.schema.sample import SampleFacts


class ReaderNotes(Record):
    """reading.json: what a reader found beside the images."""

    model_config = ConfigDict(extra="ignore")

    reader: str | None = None
    version: str | None = None
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    sample: SampleFacts | None = None  # None for a whole benchmark
    labels: LabelFacts | None = None  # None where identities are the collection's own


class CollectionFacts(Record):
    """What is known of the collection; see `schema.benchmark.Benchmark`."""

    title: str
    noun: str
    reference: str
    licence: str
    source: str


class CameraCount(Record):
    """Cameras; None where there are none or it is not known."""

    found: Count | None
    published: Count | None


class SubsetCount(Record):
    """A subset, or test set, as found and as published; differences are found less published."""

    subset: str
    images: Count
    identities: Count | None
    published_images: Count | None
    published_identities: Count | None
    image_difference: int | None
    identity_difference: int | None


class CountsCompared(Record):
    """The counts, and the version they are compared with: None where none is published."""

    version: str | None
    subsets: tuple[SubsetCount, ...]


class Cases(Record):
    """How many there are, and the first of them."""

    count: Count
    first: tuple[str, ...]


class ImagesPerIdentity(Record):
    """How many images identities have; `histogram` lists (images, identities)."""

    min: Count
    first_quartile: Finite
    median: Finite
    mean: Finite
    third_quartile: Finite
    max: Count
    histogram: tuple[tuple[Count, Count], ...]
    largest: str | None = None  # the identity with the most images


class SplitFacts(Record):
    """One split; `cameras`, `one_camera` and `images_per_identity` are None where there are none."""

    images: Count
    identities: Count
    distractors: Count
    unlabelled: Count
    cameras: Count | None
    images_per_camera: dict[str, Count]  # by the name of the camera, in the order of their numbers
    without_camera: Count
    images_per_identity: ImagesPerIdentity | None
    one_camera: Cases | None  # identities that a single camera sees
    rules: dict[str, Count]  # images by the rule that decided their split


class SampledGalleries(Record):
    """The repeated galleries of a test set; `images` lists their sizes."""

    test_set: str
    repeats: Count
    images: tuple[Count, ...]


class PixelRange(Record):
    """A range of widths or heights, in pixels."""

    min: Count
    median: Finite
    max: Count


class SizeCount(Record):
    """How many images have a size."""

    width: Count
    height: Count
    images: Count


class SizeSpan(Record):
    """How many images have a width, and how many a height, from `low` to `high`, both included."""

    low: Count
    high: Count
    width: Count
    height: Count


class ImageSizes(Record):
    """Sizes of all images that can be decoded, in pixels; `common` are the most frequent ones."""

    images: Count
    distinct: Count
    width: PixelRange
    height: PixelRange
    common: tuple[SizeCount, ...]
    histogram: tuple[SizeSpan, ...]


class Copies(Record):
    """Groups of files with the same bytes, and the paths of the first groups."""

    groups: Count
    files: Count
    first: tuple[tuple[str, ...], ...]


class Duplicates(Record):
    """Copies in one split, in different ones, under different identities; `between` counts by splits."""

    within: Copies
    across: Copies
    conflicts: Copies
    between: dict[str, Count]


class FaultyFile(Record):
    """A file that cannot be decoded, and why."""

    path: str
    fault: str


class Unreadable(Record):
    """How many files cannot be decoded, and the first of them."""

    count: Count
    first: tuple[FaultyFile, ...]


class DeepPictures(Record):
    """16-bit pictures that do not say which number is white, and the largest number in them."""

    images: Count
    brightest: Count
    white_value: Count  # that they are read with


class LeftOut(Record):
    """Images of the manifest that are not in the split table, by reason."""

    junk: Count
    unreadable: Count
    without_viewpoint: dict[str, Count] = Field(default_factory=dict)  # by subset: ingestion.without_viewpoint is drop
    other: Cases


class QueryFacts(Record):
    """How many queries can be answered, and why the others cannot."""

    num_queries: Count
    num_valid: Count  # with a match in the gallery
    absent_from_gallery: Count  # whose identity has no gallery image, or who have no identity
    only_same_camera: Count  # whose identity the gallery shows from their own camera alone, which the filter leaves out
    examples: dict[str, tuple[str, ...]]  # first few paths, by the two reasons
    splits: Literal["test", "dev"] = "test"
    draw: str = ""  # the sampled gallery that these figures are of; empty where none was sampled
    num_draws: Count = 0  # galleries sampled
    worst: "QueryFacts | None" = None  # of the gallery with the smallest valid share, unless it is this one
    sentences: tuple[str, ...] = ()  # the same in words; of the worst none

    @property
    def valid_share(self) -> float:
        """Share of the queries that are valid, in 0..1; 1 if there are none."""
        return self.num_valid / self.num_queries if self.num_queries else 1.0


class DatasetSummary(Record):
    """summary.json: the figures of the dataset page.

    Counts are of the split table where nothing else is given. "First" lists hold the first few cases, in the order
    of the table. Identities have a pid above 0.
    """

    record_version: Literal[1, 2] = 1  # of this record; files of the first version have none
    benchmark: CollectionFacts
    reader: str | None
    version: str | None  # of the collection, as the reader saw it
    data_hash: Digest  # `splits.data_hash` of the split table
    images: Count
    identities: Count
    cameras: CameraCount
    counts: CountsCompared
    splits: dict[str, SplitFacts]
    rules: dict[str, Count]  # images by the rule that decided their split
    galleries: tuple[SampledGalleries, ...]
    sizes: ImageSizes | None  # of all images that can be decoded
    modes: dict[str, Count]  # likewise
    shared_identities: Cases  # of training and test
    duplicates: Duplicates
    unreadable: Unreadable
    skipped: tuple[FaultyFile, ...]  # all unreadable files that are not in the split table
    left_out: LeftOut
    junk: Count  # of the manifest
    distractors: Count
    unlabelled: Count
    queries: QueryFacts | None
    dev_queries: QueryFacts | None
    deep: DeepPictures | None = None  # of all that can be decoded; None where there are none, or they were not counted
    sample: SampleFacts | None = None  # what all of this is a sample of; None for a whole benchmark
    notes: tuple[str, ...]  # the reader's sentences
    warnings: tuple[str, ...]  # sentences on counts
