"""What a collection holds, as found, as published and as split: the figures of the dataset page."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reid_pipeline.schema import summary as records
from reid_pipeline.schema.benchmark import Benchmark, Counts, Version
from reid_pipeline.schema.columns import (
    BRIGHTEST,
    CAMERA,
    CAMID,
    DISTRACTOR_PID,
    FAULT,
    HEIGHT,
    IDENTITY,
    JUNK_PID,
    MODE,
    PATH,
    PID,
    REPEAT,
    RULE,
    SHA256,
    SPLIT,
    SPLITS,
    SUBSET,
    SUBSETS,
    TEST_SET,
    UNLABELLED_PID,
    WIDTH,
)
from reid_pipeline.splits.matches import count_matches, sentences
from reid_pipeline.splits.normalise import SplitTables, data_hash, left_without_viewpoint, white_value
from reid_pipeline.splits.published import found_counts, version_meant

FEW = 5
"""records.Cases that are written out beside a count."""
_SIZE_BINS = 24
_WHITE = 65535  # of 16-bit pictures without a white value


def summarise(
    benchmark: Benchmark,
    reading: Mapping[str, Any],
    manifest: pd.DataFrame,
    image_facts: pd.DataFrame,
    tables: SplitTables,
    *,
    camera_filter: bool,
) -> records.DatasetSummary:
    """Return the figures of the dataset page; `reading` has `reader`, `version`, `notes` and `warnings` (on counts)."""
    split_table, readable = tables.split_table, image_facts[image_facts[FAULT] == ""]
    unreadable = image_facts.loc[image_facts[FAULT] != "", [PATH, FAULT]]
    return records.DatasetSummary(
        record_version=2,
        benchmark=records.CollectionFacts.model_validate(benchmark, from_attributes=True),
        reader=reading.get("reader"),
        version=reading.get("version"),
        data_hash=data_hash(split_table),
        images=len(split_table),
        identities=_identities(split_table),
        cameras=records.CameraCount(found=_cameras(split_table), published=benchmark.cameras),
        counts=_counts(benchmark.versions, reading.get("version"), manifest),
        splits={name: _split_facts(rows) for name in SPLITS if len(rows := split_table[split_table[SPLIT] == name])},
        rules=_numbers(split_table[RULE]),
        galleries=_galleries(tables.galleries),
        sizes=_sizes(readable),
        modes=_numbers(readable[MODE]),
        shared_identities=_shared_identities(split_table),
        duplicates=_duplicates(split_table),
        unreadable=records.Unreadable(count=len(unreadable), first=_files(unreadable[:FEW])),
        skipped=_files(unreadable[~_among(unreadable[PATH], split_table[PATH])]),
        left_out=_left_out(manifest, unreadable, split_table),
        junk=_with_pid(manifest, JUNK_PID),
        distractors=_with_pid(split_table, DISTRACTOR_PID),
        unlabelled=_with_pid(split_table, UNLABELLED_PID),
        queries=_queries(tables, "test", camera_filter=camera_filter),
        dev_queries=_queries(tables, "dev", camera_filter=camera_filter),
        deep=_deep(readable, white_value(split_table)),
        notes=tuple(reading.get("notes", ())),
        warnings=tuple(reading.get("warnings", ())),
    )


def _counts(versions: Sequence[Version], name: str | None, manifest: pd.DataFrame) -> records.CountsCompared:
    """Compare with the version `name`, else with the nearest by images; junk is counted, as published."""
    version = version_meant(versions, name, manifest) if versions else None
    published = {} if version is None else dict(version.counts)
    # Subsets of which nothing is published; a pool may be published as several test sets instead.
    others = [subset for subset in SUBSETS if subset not in published and (manifest[SUBSET] == subset).any()]
    shown = [subset for subset in others if subset != "test" or published.keys() <= set(SUBSETS)]
    found = found_counts(manifest, [*published, *shown])
    rows = tuple(_compared(part, counts, published.get(part)) for part, counts in found.items())
    return records.CountsCompared(version=None if version is None else version.name, subsets=rows)


def _deep(readable: pd.DataFrame, white: int | None) -> records.DeepPictures | None:
    brightest = readable[BRIGHTEST].dropna() if BRIGHTEST in readable else pd.Series(dtype="Int64")
    if brightest.empty:
        return None
    return records.DeepPictures(
        images=len(brightest), brightest=int(brightest.max()), white_value=_WHITE if white is None else white
    )


def _compared(name: str, found: Counts, published: Counts | None) -> records.SubsetCount:
    images, identities = (None, None) if published is None else (published.images, published.identities)
    return records.SubsetCount(
        subset=name,
        images=found.images,
        identities=found.identities,
        published_images=images,
        published_identities=identities,
        image_difference=None if images is None else found.images - images,
        identity_difference=None if identities is None else (found.identities or 0) - identities,
    )


def _split_facts(rows: pd.DataFrame) -> records.SplitFacts:
    named = rows[rows[PID] > DISTRACTOR_PID]
    cameras = _cameras(rows)
    seen_by = named.groupby(PID)[CAMID].nunique()
    return records.SplitFacts(
        images=len(rows),
        identities=_identities(rows),
        distractors=_with_pid(rows, DISTRACTOR_PID),
        unlabelled=_with_pid(rows, UNLABELLED_PID),
        cameras=cameras,
        images_per_camera=_images_per_camera(rows),
        without_camera=int(rows[CAMID].isna().sum()),
        images_per_identity=_spread(named),
        one_camera=None if cameras is None else _few(_names(rows, seen_by.index[seen_by == 1])),
        rules=_numbers(rows[RULE]),
    )


def _images_per_camera(rows: pd.DataFrame) -> dict[str, int]:
    """Return the images of each camera by its name, in the order of their camids."""
    images = rows.groupby(CAMID).agg(name=(CAMERA, "first"), images=(PATH, "size"))
    return dict(zip(images["name"], images["images"].tolist(), strict=True))


def _spread(named: pd.DataFrame) -> records.ImagesPerIdentity | None:
    numbers = named[PID].value_counts()
    images = numbers.to_numpy()
    if not len(images):
        return None
    first, median, third = np.percentile(images, [25, 50, 75]).tolist()
    values, identities = np.unique(images, return_counts=True)
    return records.ImagesPerIdentity(
        min=int(images.min()),
        first_quartile=first,
        median=median,
        mean=float(images.mean()),
        third_quartile=third,
        max=int(images.max()),
        histogram=tuple(zip(values.tolist(), identities.tolist(), strict=True)),
        largest=_names(named, numbers.index[numbers == numbers.max()])[0],
    )


def _sizes(readable: pd.DataFrame) -> records.ImageSizes | None:
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
    return records.ImageSizes(
        images=len(readable),
        distinct=len(sizes),
        width=_range(width),
        height=_range(height),
        common=tuple(map(records.SizeCount.model_validate, common.to_dict("records"))),
        histogram=tuple(
            records.SizeSpan(low=start, high=start + step - 1, width=wide, height=tall) for start, wide, tall in bins
        ),
    )


def _range(values: np.ndarray) -> records.PixelRange:
    return records.PixelRange(min=int(values.min()), median=float(np.median(values)), max=int(values.max()))


def _queries(tables: SplitTables, splits: Literal["test", "dev"], *, camera_filter: bool) -> records.QueryFacts | None:
    """Return the figures with their sentences; None where there is no query."""
    matches = count_matches(tables.split_table, tables.galleries, camera_filter=camera_filter, splits=splits)
    return matches.model_copy(update={"sentences": tuple(sentences(matches))}) if matches.num_queries else None


def _galleries(galleries: pd.DataFrame) -> tuple[records.SampledGalleries, ...]:
    sizes = galleries.groupby([TEST_SET, REPEAT], sort=False).size().reset_index(name="images")
    return tuple(
        records.SampledGalleries(test_set=str(name), repeats=len(rows), images=tuple(rows["images"].tolist()))
        for name, rows in sizes.groupby(TEST_SET, sort=False)
    )


def _shared_identities(split_table: pd.DataFrame) -> records.Cases:
    """Return the identities both learnt from (dev splits included: they tune the training) and tested on."""
    named = split_table[split_table[PID] > DISTRACTOR_PID]
    learnt = named[SPLIT].isin(["train", "dev_query", "dev_gallery"])
    tested = named[SPLIT].isin(["query", "gallery", "test"])
    return _few(_names(named, np.intersect1d(named.loc[learnt, PID], named.loc[tested, PID])))


def _duplicates(split_table: pd.DataFrame) -> records.Duplicates:
    """Return groups of files with the same bytes; a group can be of several kinds. Unlabelled images have no pid."""
    copies = split_table.loc[split_table.duplicated(SHA256, keep=False), [PATH, SHA256, SPLIT, PID]]
    within = copies[copies.duplicated([SHA256, SPLIT])]
    places = copies.drop_duplicates([SHA256, SPLIT])
    across = places[places.duplicated(SHA256)]
    labelled = copies[copies[PID] >= DISTRACTOR_PID].drop_duplicates([SHA256, PID])
    return records.Duplicates(
        within=_copies(copies, within),
        across=_copies(copies, across),
        conflicts=_copies(copies, labelled[labelled.duplicated(SHA256)]),
        between=_between(places[_among(places[SHA256], across[SHA256])]),
    )


def _between(places: pd.DataFrame) -> dict[str, int]:
    """Return how many groups lie in which splits; `places` has a row per group and split."""
    bit = places[SPLIT].map({name: 1 << place for place, name in enumerate(SPLITS)}).astype("int64")
    sets, groups = np.unique(bit.groupby(places[SHA256]).sum().to_numpy(), return_counts=True)
    return {
        " + ".join(name for place, name in enumerate(SPLITS) if bits >> place & 1): number
        for bits, number in zip(sets.tolist(), groups.tolist(), strict=True)
    }


def _copies(copies: pd.DataFrame, selected: pd.DataFrame) -> records.Copies:
    """Return how many groups and files the hashes in `selected` have, and the first groups' first paths."""
    files = copies[_among(copies[SHA256], selected[SHA256])]
    shown = files[files[SHA256].isin(files[SHA256].unique()[:FEW])].groupby(SHA256, sort=False)[PATH]
    first = tuple(tuple(paths.iloc[:FEW]) for _, paths in shown)
    return records.Copies(groups=int(selected[SHA256].nunique()), files=len(files), first=first)


def _left_out(manifest: pd.DataFrame, unreadable: pd.DataFrame, split_table: pd.DataFrame) -> records.LeftOut:
    """Return why images of the manifest are not in the split table."""
    absent = manifest[~_among(manifest[PATH], split_table[PATH])]
    junk = absent[PID] == JUNK_PID
    faulty = _among(absent[PATH], unreadable[PATH])
    viewless = left_without_viewpoint(manifest, split_table)[absent.index] & ~faulty
    return records.LeftOut(
        junk=int(junk.sum()),
        unreadable=int((faulty & ~junk).sum()),
        without_viewpoint=_numbers(absent.loc[viewless, SUBSET]),
        other=_few(absent.loc[~faulty & ~junk & ~viewless, PATH]),
    )


def _names(rows: pd.DataFrame, pids: Iterable[int]) -> list[str]:
    """Return the identities of `pids`, sorted by pid, as the collection writes them."""
    wanted = rows[rows[PID].isin(list(pids))].drop_duplicates(PID).sort_values(PID)
    return [name or str(pid) for name, pid in zip(wanted[IDENTITY], wanted[PID], strict=True)]


def _few(cases: Sequence[str] | pd.Series) -> records.Cases:
    return records.Cases(count=len(cases), first=tuple(cases[:FEW]))


def _among(texts: "pd.Series[str]", allowed: "pd.Series[str]") -> NDArray[np.bool_]:
    """Return which texts are among the allowed; many times faster than `isin`, which is slow on text."""
    found: NDArray[np.bool_] = pd.Index(allowed.unique()).get_indexer(texts) >= 0
    return found


def _files(rows: pd.DataFrame) -> tuple[records.FaultyFile, ...]:
    return tuple(map(records.FaultyFile.model_validate, rows.to_dict("records")))


def _with_pid(rows: pd.DataFrame, pid: int) -> int:
    return int((rows[PID] == pid).sum())


def _identities(rows: pd.DataFrame) -> int:
    return int(rows.loc[rows[PID] > DISTRACTOR_PID, PID].nunique())


def _cameras(rows: pd.DataFrame) -> int | None:
    return int(rows[CAMID].nunique()) or None


def _numbers(column: "pd.Series[str]") -> dict[str, int]:
    """Return how often each word occurs, the most frequent first."""
    found = column.value_counts().items()
    return {str(name): int(number) for name, number in sorted(found, key=lambda item: (-item[1], str(item[0])))}
