"""What a collection holds, as found, as published and as split: the record of the dataset page."""

from typing import Literal

from reid_pipeline.schema.record import Count, Digest, Finite, Record


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


class SplitFacts(Record):
    """One split.

    Attributes:
        cameras, one_camera: how many, and the identities that one alone sees; None where no image has a camera.
        images_per_camera: by the name of the camera, in the order of their numbers.
        images_per_identity: None where there is no identity.
        rules: images by the rule that decided their split.
    """

    images: Count
    identities: Count
    distractors: Count
    unlabelled: Count
    cameras: Count | None
    images_per_camera: dict[str, Count]
    without_camera: Count
    images_per_identity: ImagesPerIdentity | None
    one_camera: Cases | None
    rules: dict[str, Count]


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


class LeftOut(Record):
    """Images of the manifest that are not in the split table, by reason."""

    junk: Count
    unreadable: Count
    other: Cases


class QueryFacts(Record):
    """How many queries can be answered, and why the others cannot.

    Attributes:
        num_valid: those with a match in the gallery.
        absent_from_gallery: those whose identity has no gallery image, or who have no identity.
        only_same_camera: those whose identity was seen in the gallery by the query's own camera alone, which
            the camera filter does not count.
        examples: the first few paths, by the two reasons.
        draw: which sampled gallery these figures are of; empty where none was sampled.
        num_draws: galleries sampled.
        worst: the figures of the gallery with the smallest share of valid queries, unless it is this one's.
        sentences: the same in words; of the worst none.
    """

    num_queries: Count
    num_valid: Count
    absent_from_gallery: Count
    only_same_camera: Count
    examples: dict[str, tuple[str, ...]]
    splits: Literal["test", "dev"] = "test"
    draw: str = ""
    num_draws: Count = 0
    worst: "QueryFacts | None" = None
    sentences: tuple[str, ...] = ()

    @property
    def valid_share(self) -> float:
        """Share of the queries that are valid, in 0..1; 1 if there are none."""
        return self.num_valid / self.num_queries if self.num_queries else 1.0


class DatasetSummary(Record):
    """summary.json: the figures of the dataset page.

    "First" lists hold the first few cases, in the order of the table. Identities have a pid above 0.

    Attributes:
        record_version: of this record; files of the first version have none.
        reader, version: which reader made the manifest, and which version of the collection it saw.
        data_hash: `splits.data_hash` of the split table.
        images, identities, cameras, distractors, unlabelled: of the split table.
        splits: by name.
        rules: images by the rule that decided their split.
        sizes, modes: of all images that can be decoded; no sizes where none can.
        shared_identities: of training and test.
        skipped: all unreadable files that are not in the split table.
        junk: of the manifest.
        queries, dev_queries: None without such.
        notes, warnings: sentences of the reader, and about counts.
    """

    record_version: Literal[1, 2] = 1
    benchmark: CollectionFacts
    reader: str | None
    version: str | None
    data_hash: Digest
    images: Count
    identities: Count
    cameras: CameraCount
    counts: CountsCompared
    splits: dict[str, SplitFacts]
    rules: dict[str, Count]
    galleries: tuple[SampledGalleries, ...]
    sizes: ImageSizes | None
    modes: dict[str, Count]
    shared_identities: Cases
    duplicates: Duplicates
    unreadable: Unreadable
    skipped: tuple[FaultyFile, ...]
    left_out: LeftOut
    junk: Count
    distractors: Count
    unlabelled: Count
    queries: QueryFacts | None
    dev_queries: QueryFacts | None
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
