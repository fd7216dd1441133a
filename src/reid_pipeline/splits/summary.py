"""What a collection holds, as found, as published and as split: the figures of the dataset page.

Everything is counted by groups of rows: time and memory grow linearly with images.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from reid_pipeline.schema.benchmark import Benchmark, Counts, Version
from reid_pipeline.schema.columns import (
    CAMERA,
    CAMID,
    DISTRACTOR_PID,
    FAULT,
    HEIGHT,
    JUNK_PID,
    MODE,
    PATH,
    PID,
    REPEAT,
    RULE,
    SPLIT,
    SPLITS,
    SUBSET,
    SUBSETS,
    TEST_SET,
    UNLABELLED_PID,
    WIDTH,
)
from reid_pipeline.schema.summary import (
    CameraCount,
    CollectionFacts,
    CountsCompared,
    DatasetSummary,
    DrawnGalleries,
    ImageSizes,
    ImagesPerIdentity,
    PixelRange,
    QueryFacts,
    SizeCount,
    SizeSpan,
    SplitFacts,
    SubsetCount,
)
from reid_pipeline.splits.faults import FEW, duplicates, few, names, not_used, shared_identities
from reid_pipeline.splits.matches import QueryMatches, count_matches, sentences
from reid_pipeline.splits.normalise import data_hash
from reid_pipeline.splits.published import found_counts, version_meant

_SIZE_BINS = 24


def summarise(
    benchmark: Benchmark,
    reading: Mapping[str, Any],
    manifest: pd.DataFrame,
    image_facts: pd.DataFrame,
    split_table: pd.DataFrame,
    galleries: pd.DataFrame,
    *,
    camera_filter: bool,
) -> DatasetSummary:
    """Count everything that a reader of the dataset page wants to know.

    Args:
        benchmark: what is published.
        reading: `reader`, `version`, `notes` and `warnings` (sentences about counts).
        manifest: as `schema.tables.MANIFEST`.
        image_facts: as `schema.tables.IMAGE_FACTS`, of the manifest's images.
        split_table: as `schema.tables.SPLIT_TABLE`.
        galleries: as `schema.tables.GALLERIES`.
        camera_filter: of the evaluation, for the queries' matches.
    """
    readable = image_facts[image_facts[FAULT] == ""]
    unused = not_used(manifest, image_facts, split_table)
    dev_matches = count_matches(split_table, galleries, camera_filter=camera_filter, splits="dev")
    return DatasetSummary(
        record_version=2,
        benchmark=_collection(benchmark),
        reader=reading.get("reader"),
        version=reading.get("version"),
        data_hash=data_hash(split_table),
        images=len(split_table),
        identities=_identities(split_table),
        cameras=CameraCount(found=_cameras(split_table), published=benchmark.cameras),
        counts=_counts(benchmark.versions, reading.get("version"), manifest),
        splits=_by_split(split_table),
        rules=_numbers(split_table[RULE]),
        galleries=_drawn(galleries),
        sizes=_sizes(readable),
        modes=_numbers(readable[MODE]),
        shared_identities=shared_identities(split_table),
        duplicates=duplicates(split_table),
        unreadable=unused.unreadable,
        skipped=unused.skipped,
        left_out=unused.left_out,
        junk=int((manifest[PID] == JUNK_PID).sum()),
        distractors=int((split_table[PID] == DISTRACTOR_PID).sum()),
        unlabelled=int((split_table[PID] == UNLABELLED_PID).sum()),
        queries=_queries(count_matches(split_table, galleries, camera_filter=camera_filter)),
        dev_queries=_queries(dev_matches),
        notes=tuple(reading.get("notes", ())),
        warnings=tuple(reading.get("warnings", ())),
    )


def _collection(benchmark: Benchmark) -> CollectionFacts:
    return CollectionFacts(
        title=benchmark.title,
        noun=benchmark.noun,
        reference=benchmark.reference,
        licence=benchmark.licence,
        source=benchmark.source,
    )


def _counts(versions: Sequence[Version], name: str | None, manifest: pd.DataFrame) -> CountsCompared:
    """Compare with the version `name`, else with the nearest by images; junk is counted, as published."""
    version = version_meant(versions, name, manifest) if versions else None
    told = {} if version is None else dict(version.counts)
    # Subsets of which nothing is published; a pool may be published as several test sets instead.
    untold = [subset for subset in SUBSETS if subset not in told and (manifest[SUBSET] == subset).any()]
    shown = [subset for subset in untold if subset != "test" or told.keys() <= set(SUBSETS)]
    found = found_counts(manifest, [*told, *shown])
    rows = tuple(_compared(part, counts, told.get(part)) for part, counts in found.items())
    return CountsCompared(version=None if version is None else version.name, subsets=rows)


def _compared(name: str, found: Counts, published: Counts | None) -> SubsetCount:
    told = None if published is None else published.identities
    return SubsetCount(
        subset=name,
        images=found.images,
        identities=found.identities,
        published_images=None if published is None else published.images,
        published_identities=told,
        image_difference=None if published is None else found.images - published.images,
        identity_difference=None if told is None else (found.identities or 0) - told,
    )


def _by_split(split_table: pd.DataFrame) -> dict[str, SplitFacts]:
    parts = {name: split_table[split_table[SPLIT] == name] for name in SPLITS}
    return {name: _split_facts(rows) for name, rows in parts.items() if len(rows)}


def _split_facts(rows: pd.DataFrame) -> SplitFacts:
    named = rows[rows[PID] > DISTRACTOR_PID]
    cameras = _cameras(rows)
    seen_by = named.groupby(PID)[CAMID].nunique()
    return SplitFacts(
        images=len(rows),
        identities=_identities(rows),
        distractors=int((rows[PID] == DISTRACTOR_PID).sum()),
        unlabelled=int((rows[PID] == UNLABELLED_PID).sum()),
        cameras=cameras,
        images_per_camera=_images_per_camera(rows),
        without_camera=int(rows[CAMID].isna().sum()),
        images_per_identity=_spread(named),
        one_camera=None if cameras is None else few(names(rows, seen_by.index[seen_by == 1])),
        rules=_numbers(rows[RULE]),
    )


def _images_per_camera(rows: pd.DataFrame) -> dict[str, int]:
    """Return the images of each camera by its name, in the order of their camids."""
    images = rows[rows[CAMID].notna()].groupby(CAMID).agg(name=(CAMERA, "first"), images=(PATH, "size"))
    return {str(name): int(number) for name, number in zip(images["name"], images["images"], strict=True)}


def _spread(named: pd.DataFrame) -> ImagesPerIdentity | None:
    images = named[PID].value_counts().to_numpy()
    if not len(images):
        return None
    low, first, middle, third, high = np.percentile(images, [0, 25, 50, 75, 100]).tolist()
    values, identities = np.unique(images, return_counts=True)
    return ImagesPerIdentity(
        min=int(low),
        first_quartile=first,
        median=middle,
        mean=float(images.mean()),
        third_quartile=third,
        max=int(high),
        histogram=tuple(zip(values.tolist(), identities.tolist(), strict=True)),
    )


def _sizes(readable: pd.DataFrame) -> ImageSizes | None:
    """Return the spread of widths and heights in pixels, a histogram in shared bins, and the usual sizes."""
    if readable.empty:
        return None
    width, height = readable[WIDTH].to_numpy(np.int64), readable[HEIGHT].to_numpy(np.int64)
    low, high = int(min(width.min(), height.min())), int(max(width.max(), height.max()))
    step = max(1, -(-(high - low + 1) // _SIZE_BINS))
    edges = np.arange(low, high + step + 1, step)
    columns = [np.histogram(values, edges)[0].tolist() for values in (width, height)]
    bins = zip(edges[:-1].tolist(), *columns, strict=True)
    sizes = pd.DataFrame({WIDTH: width, HEIGHT: height}).value_counts().reset_index(name="images")
    common = sizes.sort_values(["images", WIDTH, HEIGHT], ascending=[False, True, True])[:FEW]
    return ImageSizes(
        images=len(readable),
        distinct=len(sizes),
        width=_range(width),
        height=_range(height),
        common=tuple(
            SizeCount(width=wide, height=tall, images=number) for wide, tall, number in common.to_numpy().tolist()
        ),
        histogram=tuple(
            SizeSpan(low=start, high=start + step - 1, width=wide, height=tall) for start, wide, tall in bins
        ),
    )


def _range(values: np.ndarray) -> PixelRange:
    return PixelRange(min=int(values.min()), median=float(np.median(values)), max=int(values.max()))


def _queries(matches: QueryMatches) -> QueryFacts | None:
    """Return the figures, and the sentences that say them; None where there is no query."""
    if not matches.num_queries:
        return None
    return QueryFacts.model_validate({**asdict(matches), "sentences": sentences(matches)})


def _drawn(galleries: pd.DataFrame) -> tuple[DrawnGalleries, ...]:
    sizes = galleries.groupby([TEST_SET, REPEAT], sort=False).size().reset_index(name="images")
    return tuple(
        DrawnGalleries(test_set=str(name), repeats=len(rows), images=tuple(rows["images"].tolist()))
        for name, rows in sizes.groupby(TEST_SET, sort=False)
    )


def _identities(rows: pd.DataFrame) -> int:
    return int(rows.loc[rows[PID] > DISTRACTOR_PID, PID].nunique())


def _cameras(rows: pd.DataFrame) -> int | None:
    return int(rows[CAMID].nunique()) or None


def _numbers(column: "pd.Series[str]") -> dict[str, int]:
    """Return how often each word occurs, the most frequent first."""
    found = {str(name): int(number) for name, number in column.value_counts().items()}
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))
