"""From the manifest, as published, to the split table, as used, and what both tables note of their origin."""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from reid_pipeline.schema.columns import (
    CAMID,
    DISTRACTOR_PID,
    FAULT,
    JUNK_PID,
    NO_LABEL,
    PATH,
    PID,
    REPEAT,
    RULE,
    SHA256,
    SPLIT,
    SPLITS,
    SUBSET,
    TEST_SET,
    TEST_SETS,
    UNLABELLED_PID,
    VIEWID,
)
from reid_pipeline.schema.digests import digest_of_json
from reid_pipeline.schema.errors import UserError, first_few
from reid_pipeline.schema.given_labels import LABELS_FROM
from reid_pipeline.schema.parameters import IngestionParameters, SplitParameters
from reid_pipeline.schema.tables import SPLIT_TABLE
from reid_pipeline.schema.unreadable import readable
from reid_pipeline.splits.sampling import by_hash, sampled_galleries, sampled_identities, sampled_queries

DEV = "dev"
_ORIGIN = "origin"
_WHITE_VALUE = "white_value"
_AGAIN = "Make the tables anew: kedro run --pipeline=ingestion, with --env and --params as here."


@dataclass(frozen=True)
class SplitTables:
    """Tables as `schema.tables.SPLIT_TABLE` and `GALLERIES`, the second empty unless a pool was published."""

    split_table: pd.DataFrame
    galleries: pd.DataFrame


def normalise_splits(
    manifest: pd.DataFrame,
    image_facts: pd.DataFrame,
    parameters: SplitParameters,
    *,
    skip_unreadable: bool = False,
    drop_without_viewpoint: bool = False,
) -> SplitTables:
    """Give every image its split, every training identity its label, and every pool its galleries.

    Junk (pid -1) is dropped; distractors (pid 0) stay in the gallery and in no other split. Unlabelled images (pid -2)
    can be trained on and nothing else; those set aside for a test are dropped. Unassigned images become query and
    gallery where a training split is given, and all three otherwise: `test_fraction` of the identities for the test,
    or with `disjoint: false` that share of every identity's images. Pools (`test`) get `repeats` galleries of one
    image per identity. With `dev_fraction` above 0 that share of the training identities becomes `dev_query` and
    `dev_gallery`, and is not trained on. With `drop_without_viewpoint` what `lacks_viewpoint` is dropped. The column
    `rule` says who decided.

    Raises:
        UserError: images cannot be decoded, nothing is left to train on, or a split would be empty.
    """
    table = _usable(manifest, image_facts, skip=skip_unreadable)
    used = len(table)
    if drop_without_viewpoint:
        table = table[~lacks_viewpoint(table)].reset_index(drop=True)
    cause = _dropped_words(used - len(table))
    table = table.assign(split=table[SUBSET].astype(object), rule="published")
    _assign(table, parameters)
    if parameters.dev_fraction > 0:
        _cut_dev(table, parameters)
    train = table[SPLIT] == "train"
    pids = np.unique(table.loc[train & (table[PID] > DISTRACTOR_PID), PID].to_numpy())
    _check_training(table[train], len(pids), manifest, cause)
    _check_none_empty(table[SPLIT], manifest, parameters, cause)
    label = np.where(train & (table[PID] > DISTRACTOR_PID), np.searchsorted(pids, table[PID].to_numpy()), NO_LABEL)
    table = table.assign(label=label.astype("int64")).astype({SPLIT: "str", RULE: "str"})
    galleries = sampled_galleries(table[table[SPLIT] == "test"], parameters.repeats, parameters.seed)
    return SplitTables(table[list(SPLIT_TABLE.columns)], galleries)


def _usable(manifest: pd.DataFrame, image_facts: pd.DataFrame, *, skip: bool) -> pd.DataFrame:
    """Return the rows to be split, with their files' hashes, sorted by path."""
    table = manifest.merge(image_facts[[PATH, SHA256, FAULT]], on=PATH, how="left", validate="one_to_one")
    unknown = table.loc[table[SHA256].isna(), PATH].tolist()
    if unknown:
        raise UserError(
            f"{len(unknown)} of {len(table)} images of the manifest are not among the facts of image files:"
            f" {first_few(unknown)}. The two are of different runs: run the ingestion pipeline again."
        )
    usable = readable(table, skip=skip) & (table[PID] != JUNK_PID)
    usable &= (table[PID] != DISTRACTOR_PID) | (table[SUBSET] == "gallery")
    if (table[SUBSET] == "train").any():
        usable &= (table[PID] != UNLABELLED_PID) | (table[SUBSET] == "train")
    return table[usable].sort_values(PATH, kind="stable", ignore_index=True)


def lacks_viewpoint(table: pd.DataFrame) -> "pd.Series[bool]":
    """Return which rows have no viewpoint although others have one: others of the training, or of the test.

    Without key-point files of VeRi-776 nobody has one, and no row lacks it.
    """
    known = table[VIEWID].notna()
    lacking: pd.Series[bool] = ~known & known.groupby(table[SUBSET] == "train").transform("any")
    return lacking


def _dropped_words(count: int) -> str:
    """Return what may be the cause of an empty split, where images without a viewpoint were dropped."""
    if not count:
        return ""
    return (
        f" {count:,} images without a viewpoint were dropped, since others have one: --params"
        " ingestion.without_viewpoint=keep takes them."
    )


def _assign(table: pd.DataFrame, parameters: SplitParameters) -> None:
    """Sample what the collection leaves open, in place."""
    table.loc[table[SPLIT] == "test", RULE] = "repeated_galleries"
    open_rows = table[SPLIT] == "unassigned"
    if not open_rows.any():
        return
    pool = table[open_rows & (table[PID] > DISTRACTOR_PID)]
    unlabelled = open_rows & (table[PID] == UNLABELLED_PID)
    table.loc[unlabelled, SPLIT] = "train"
    if not (table[SUBSET] == "train").any():
        pool = _part_from_training(table, pool, parameters)
    queries, rule = sampled_queries(pool, parameters.seed, "query")
    table.loc[pool.index, [SPLIT, RULE]] = ["gallery", rule]
    table.loc[queries, SPLIT] = "query"


def _part_from_training(table: pd.DataFrame, pool: pd.DataFrame, parameters: SplitParameters) -> pd.DataFrame:
    """Give the training share of `pool` its split, in place; return the rest, which is tested on."""
    if parameters.disjoint:
        identities = pool[PID].nunique()
        count = min(max(1, round(parameters.test_fraction * identities)), max(identities - 1, 0))
        rule = "training_identities"
        tested = pool[PID].isin(sampled_identities(pool, count, parameters.seed, rule))
    else:
        rule = "training_images"
        place = by_hash(pool, parameters.seed, rule).groupby(PID).cumcount().loc[pool.index]
        images = pool.groupby(PID)[PATH].transform("size")
        share = (images * parameters.test_fraction).round().clip(upper=images - 1)
        tested = place < share
    table.loc[pool.index[~tested], [SPLIT, RULE]] = ["train", rule]
    return pool[tested]


def _cut_dev(table: pd.DataFrame, parameters: SplitParameters) -> None:
    """Turn the rows of sampled training identities into dev_query and dev_gallery, in place."""
    labelled = table[(table[SPLIT] == "train") & (table[PID] > DISTRACTOR_PID)]
    count = max(2, round(parameters.dev_fraction * labelled[PID].nunique()))
    rows = labelled[labelled[PID].isin(sampled_identities(labelled, count, parameters.dev_seed, DEV))]
    queries, _ = sampled_queries(rows, parameters.dev_seed, "dev query")
    table.loc[rows.index, [SPLIT, RULE]] = ["dev_gallery", DEV]
    table.loc[queries, SPLIT] = "dev_query"


def _check_training(train: pd.DataFrame, identities: int, manifest: pd.DataFrame, cause: str) -> None:
    unlabelled = int((train[PID] == UNLABELLED_PID).sum())
    if identities + unlabelled < 2:
        found = manifest.loc[manifest[PID] > DISTRACTOR_PID, PID].nunique()
        raise UserError(
            f"{identities} training identities are left of {found} in the manifest; at least 2 are needed.{cause}"
            " Lower splits.dev_fraction or splits.test_fraction, or check the training images' identities."
        )


def _check_none_empty(split: pd.Series, manifest: pd.DataFrame, parameters: SplitParameters, cause: str) -> None:
    """Refuse a test, or a dev split, that was asked for and has one side only."""
    tested = manifest[SUBSET].isin(["query", "gallery"])
    tested |= (manifest[SUBSET] == "unassigned") & (manifest[PID] > DISTRACTOR_PID)
    wanted = {"query", "gallery"} if tested.any() else set()
    if parameters.dev_fraction > 0:
        wanted |= {"dev_query", "dev_gallery"}
    empty = [name for name in SPLITS if name in wanted - set(split)]
    if empty:
        raise UserError(
            f"No image is left for {' and '.join(empty)}.{cause} A query needs an identity that another camera sees"
            " too, or without cameras a second image of it: raise splits.dev_fraction (0 cuts no dev split)"
            " or splits.test_fraction, or check the benchmark's folders."
        )


def data_hash(split_table: pd.DataFrame) -> str:
    """Return the SHA-256 of every image's path, bytes, pid, camera, viewpoint, split and test sets, and white value."""
    columns = split_table[[PATH, SHA256, PID, CAMID, VIEWID, SPLIT, TEST_SETS]].sort_values(PATH)
    text = columns.to_csv(index=False, lineterminator="\n")
    white = white_value(split_table)
    return hashlib.sha256((text if white is None else f"{text}{_WHITE_VALUE} {white}\n").encode()).hexdigest()


def images_hash(table: pd.DataFrame) -> str:
    """Return the SHA-256 of which images stand in a table with `path` and `sha256`, whatever their order and use."""
    text = table[[PATH, SHA256]].sort_values(PATH).to_csv(index=False, lineterminator="\n")
    return hashlib.sha256(text.encode()).hexdigest()


def white_value(table: pd.DataFrame) -> int | None:
    """Return the `ingestion.white_value` that the images of a split table, or of rows of one, are read with."""
    found: int | None = table.attrs.get(_WHITE_VALUE)
    return found


def with_white_value(table: pd.DataFrame, ingestion: IngestionParameters) -> pd.DataFrame:
    """Note in a table how its 16-bit images are read; without a white value nothing is noted, as before there was one.

    It travels with the table, so that whatever opens its images opens them alike.
    """
    if ingestion.white_value is not None:
        table.attrs[_WHITE_VALUE] = ingestion.white_value
    return table


def galleries_hash(galleries: pd.DataFrame) -> str:
    """Return the SHA-256 of sampled galleries: test set, repeat and path of every row, in order."""
    return digest_of_json([galleries[name].tolist() for name in (TEST_SET, REPEAT, PATH)])


def with_origin(
    tables: SplitTables, ingestion: IngestionParameters, splits: SplitParameters, labels: str | None = None
) -> SplitTables:
    """Note in both tables which parameters they were made with, in the galleries of which table they are.

    `labels` is the SHA-256 of the file that gave the identities, where they are not the collection's own.
    """
    with_white_value(tables.split_table, ingestion).attrs[_ORIGIN] = {
        "version": 1,
        "parameters": _parameters(ingestion, splits),
        **({} if labels is None else {LABELS_FROM: labels}),
    }
    tables.galleries.attrs[_ORIGIN] = {"version": 1, "data": data_hash(tables.split_table)}
    return tables


def require_tables(
    split_table: pd.DataFrame, galleries: pd.DataFrame | None, ingestion: IngestionParameters, splits: SplitParameters
) -> None:
    """Refuse (with a UserError) tables that were made with other parameters than a run's, or are not of each other."""
    made_with = split_table.attrs.get(_ORIGIN, {}).get("parameters")
    if made_with is None:
        raise UserError(
            "The split table does not say what it was made with: it was written by an earlier version of this"
            f" project. {_AGAIN}"
        )
    defaults = _parameters(IngestionParameters(reader=ingestion.reader), SplitParameters())
    # A parameter that there was not yet had its default.
    made = {block: {**values, **made_with.get(block, {})} for block, values in defaults.items()}
    if "without_viewpoint" not in made_with.get("ingestion", {}) and split_table[VIEWID].isna().nunique() < 2:
        made["ingestion"]["without_viewpoint"] = ingestion.without_viewpoint  # all have one, or none: it drops nothing
    differing = [
        f"{block}.{name} was {made[block][name]!r} and is {value!r}"
        for block, values in _parameters(ingestion, splits).items()
        for name, value in values.items()
        if made[block][name] != value
    ]
    if differing:
        raise UserError(
            f"The split table was made with other parameters than this run's: {first_few(differing)}."
            f" {_AGAIN} Or give the values that it was made with."
        )
    noted = {} if galleries is None else galleries.attrs.get(_ORIGIN, {})
    if "data" in noted and noted["data"] != data_hash(split_table):
        raise UserError(f"Galleries and split table are of different runs of ingestion. {_AGAIN}")


def left_without_viewpoint(manifest: pd.DataFrame, split_table: pd.DataFrame) -> "pd.Series[bool]":
    """Return which rows of the manifest are not in the split table because they lack a viewpoint."""
    ingestion = split_table.attrs.get(_ORIGIN, {}).get("parameters", {}).get("ingestion", {})
    dropped = dropped_without_viewpoint(manifest)
    return dropped if ingestion.get("without_viewpoint") == "drop" else dropped & False


def dropped_without_viewpoint(manifest: pd.DataFrame) -> "pd.Series[bool]":
    """Return which rows of a manifest `ingestion.without_viewpoint: drop` leaves out; junk is dropped anyway."""
    return lacks_viewpoint(manifest) & (manifest[PID] != JUNK_PID)


def _parameters(ingestion: IngestionParameters, splits: SplitParameters) -> dict[str, dict[str, Any]]:
    return {"ingestion": ingestion.model_dump(mode="json"), "splits": splits.model_dump(mode="json")}
