"""What a collection holds, as found, as published and as split: the record behind the dataset page."""

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
    """Cameras found and published; None where there are none or it is not known."""

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
    """How many images identities have; `histogram` lists (images, identities with so many)."""

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
        images, identities, distractors, unlabelled, without_camera: how many.
        cameras: how many; None where no image has a camera.
        images_per_camera: by the name of the camera, in the order of their numbers.
        images_per_identity: None where there is no identity.
        one_camera: identities that one camera alone sees; None where no image has a camera.
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


class DrawnGalleries(Record):
    """The draws of a test set; `images` lists the size of every gallery."""

    test_set: str
    repeats: Count
    images: tuple[Count, ...]


class PixelRange(Record):
    """The least, the middle and the most, in pixels."""

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
    """How many queries can be answered; see `splits.matches.QueryMatches`.

    Attributes:
        sentences: the same in words; of the worst draw none.
    """

    num_queries: Count
    num_valid: Count
    absent_from_gallery: Count
    only_same_camera: Count
    examples: dict[str, tuple[str, ...]]
    splits: Literal["test", "dev"]
    draw: str
    num_draws: Count
    worst: "QueryFacts | None"
    sentences: tuple[str, ...] = ()


class DatasetSummary(Record):
    """summary.json: everything that a reader of the dataset page wants to know.

    "First" lists hold the first few cases, in the order of the table. Identities are those with a pid above
    0.

    Attributes:
        record_version: of this record; files of the first version have none.
        benchmark: what is known of the collection.
        reader, version: which reader made the manifest, and which version of the collection it saw.
        data_hash: `splits.data_hash` of the split table.
        images, identities: of the split table.
        cameras: of the split table.
        counts: found and published.
        splits: by name.
        rules: images by the rule that decided their split.
        galleries: by test set.
        sizes, modes: of all images that can be decoded; no sizes where none can.
        shared_identities: of training and test.
        duplicates: files with the same bytes.
        unreadable: files that cannot be decoded.
        skipped: all unreadable files that are not in the split table.
        left_out: images of the manifest that are not in the split table.
        junk: of the manifest.
        distractors, unlabelled: of the split table.
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
    galleries: tuple[DrawnGalleries, ...]
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
