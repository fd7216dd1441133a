"""Raw folder to split table."""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pandas as pd
from kedro.pipeline import Pipeline, node, pipeline

from reid_pipeline.readers import reader
from reid_pipeline.schema.columns import PATH
from reid_pipeline.schema.given_labels import GivenLabels
from reid_pipeline.schema.parameters import EvaluationParameters, IngestionParameters, SplitParameters
from reid_pipeline.schema.raw_folder import RawFolder
from reid_pipeline.schema.sample import SampleFacts
from reid_pipeline.schema.summary import DatasetSummary
from reid_pipeline.splits import SplitTables, normalise_splits, with_origin
from reid_pipeline.splits.matches import count_matches, require_some_match, sentences

Record = dict[str, Any]

OWN = "custom"
"""The reader of one's own collections."""
_log = logging.getLogger(__name__)


def read_manifest(
    raw_images: RawFolder,
    known_stamps: pd.DataFrame | None,
    ingestion: IngestionParameters,
    splits: SplitParameters | None = None,
    sample: int | None = None,
    given_labels: GivenLabels | None = None,
) -> tuple[pd.DataFrame, Record]:
    """List the images as published, or those of so many identities, and note what their reader found."""
    from reid_pipeline.images.unchanged import require_same_folder
    from reid_pipeline.readers.custom.labels import with_given_labels
    from reid_pipeline.splits.normalise import dropped_without_viewpoint
    from reid_pipeline.splits.published import check_counts
    from reid_pipeline.splits.sample import sampled_manifest

    if ingestion.reader == OWN:
        require_same_folder(raw_images.root, known_stamps)
    found = reader(ingestion.reader)
    reading = found.read(raw_images, ingestion)
    labelled = {}
    if given_labels is not None:
        reading, of_labels = with_given_labels(reading, given_labels, raw_images)
        labelled = {"labels": of_labels.model_dump(mode="json")}
    raw_images.require_text(reading.manifest[PATH])
    warnings = check_counts(found.BENCHMARK, reading, strict=ingestion.strict_counts)
    for warning in warnings:
        _log.warning("%s", warning)
    notes = [*raw_images.notes, *reading.notes]
    facts: Record = {"reader": ingestion.reader, "version": reading.version, **labelled}
    if sample is None:
        return reading.manifest, {**facts, "notes": notes, "warnings": warnings}
    drop = ingestion.without_viewpoint == "drop"
    manifest, of_whole = sampled_manifest(
        reading.manifest, splits or SplitParameters(), sample, drop_without_viewpoint=drop
    )
    if drop and (viewless := int(dropped_without_viewpoint(reading.manifest).sum())):
        notes.append(f"{viewless:,} images of the whole were dropped for want of a viewpoint before it was sampled.")
    _log.info("%s", of_whole.sentence)
    facts |= {"notes": [of_whole.sentence, *notes], "warnings": warnings}
    return manifest, {**facts, "sample": of_whole.model_dump(mode="json")}


def check_image_files(
    raw_images: RawFolder, manifest: pd.DataFrame, known: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Hash every image, and decode those whose bytes were not seen before; note sizes and times."""
    from reid_pipeline.engine.progress import progress_bar
    from reid_pipeline.images.check import check_images
    from reid_pipeline.images.unchanged import stamp_files

    paths = manifest[PATH].tolist()
    stamps = stamp_files(raw_images.root, paths)  # before they are read: what changes meanwhile is found
    with progress_bar() as bar:
        task = bar.add_task("decode images", total=len(paths), unit="images")
        facts = check_images(raw_images.root, paths, known=known, on_done=lambda done: bar.update(task, completed=done))
    return facts, stamps


def make_split_table(
    manifest: pd.DataFrame,
    image_facts: pd.DataFrame,
    reading: Record,
    ingestion: IngestionParameters,
    splits: SplitParameters,
    evaluation: EvaluationParameters,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Give every image its split, every training identity its label, every pool its galleries."""
    from reid_pipeline.splits.sample import with_sample

    skip = ingestion.on_unreadable == "skip"
    drop = ingestion.without_viewpoint == "drop"
    normalised = normalise_splits(manifest, image_facts, splits, skip_unreadable=skip, drop_without_viewpoint=drop)
    tables = with_origin(normalised, ingestion, splits, (reading.get("labels") or {}).get("sha256"))
    matches = count_matches(
        tables.split_table, tables.galleries, camera_filter=evaluation.camera_filter, splits=evaluation.splits
    )
    require_some_match(matches)
    level = logging.DEBUG if matches.num_valid == matches.num_queries else logging.WARNING
    for sentence in sentences(matches):
        _log.log(level, "%s", sentence)
    return with_sample(tables.split_table, reading.get("sample")), tables.galleries


def summarise_collection(
    reading: Record,
    manifest: pd.DataFrame,
    image_facts: pd.DataFrame,
    split_table: pd.DataFrame,
    galleries: pd.DataFrame,
    ingestion: IngestionParameters,
    evaluation: EvaluationParameters,
) -> DatasetSummary:
    """Count what is there and what is wrong with it."""
    from reid_pipeline.splits.summary import summarise

    published, tables = reader(ingestion.reader).BENCHMARK, SplitTables(split_table, galleries)
    sample = reading.get("sample")
    if sample:
        published = replace(published, versions=())  # the whole was compared when it was listed
    summary = summarise(published, reading, manifest, image_facts, tables, camera_filter=evaluation.camera_filter)
    return summary.model_copy(update={"sample": SampleFacts.model_validate(sample)}) if sample else summary


def make_dataset_page(summary: DatasetSummary, split_table: pd.DataFrame, raw_images: RawFolder) -> str:
    """Render the dataset page, with some of the images."""
    from reid_pipeline.evaluation.shown_dataset import dataset_pictures
    from reid_pipeline.reporting.dataset_page import render_dataset_page

    return render_dataset_page(summary, dataset_pictures(summary, split_table, raw_images))


TABLES = "tables"
"""Tag of the nodes that write the tables of a benchmark: one process at a time (`cell_locks`)."""


def create_pipeline() -> Pipeline:
    """Return raw folder -> manifest -> facts of the image files -> split table -> dataset page."""
    ingestion, splits, evaluation = "params:ingestion", "params:splits", "params:evaluation"
    folder, made = ["raw_images", "known_image_stamps"], ["manifest", "image_facts"]
    read: list[tuple[Callable[..., Any], list[str], str | list[str]]] = [
        (read_manifest, [*folder, ingestion, splits, "params:sample", "given_labels"], ["manifest", "reading"]),
        (check_image_files, ["raw_images", "manifest", "known_image_facts"], ["image_facts", "image_stamps"]),
        (make_split_table, [*made, "reading", ingestion, splits, evaluation], ["split_table", "galleries"]),
        (
            summarise_collection,
            ["reading", *made, "split_table", "galleries", ingestion, evaluation],
            "dataset_summary",
        ),
        (make_dataset_page, ["dataset_summary", "split_table", "raw_images"], "dataset_page"),
    ]
    return pipeline([node(each, inputs, outputs, name=each.__name__) for each, inputs, outputs in read], tags=TABLES)
