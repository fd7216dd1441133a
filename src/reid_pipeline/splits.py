"""From the manifest, as published, to the split table, as used."""

import hashlib
from typing import Any

import numpy as np
import pandas as pd

from reid_pipeline.schema.columns import (
    CAMID,
    DISTRACTOR_PID,
    JUNK_PID,
    LABEL,
    NO_LABEL,
    PATH,
    PID,
    SHA256,
    SPLIT,
    SPLITS,
    SUBSET,
)
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.parameters import SplitParameters


def normalise_splits(manifest: pd.DataFrame, parameters: SplitParameters) -> pd.DataFrame:
    """Give every image its split and every training identity its label.

    Junk (pid -1) is dropped; distractors (pid 0) stay in the gallery and in no other split. With
    `dev_fraction` above 0 that share of the training identities, chosen by `dev_seed`, becomes
    `dev_query` (one image per identity and camera) and `dev_gallery` (the rest), and is not trained on.

    Args:
        manifest: as `schema.tables.MANIFEST`.
        parameters: the share and seed of the dev identities.

    Returns:
        The split table, sorted by path, as `schema.tables.SPLIT_TABLE`; labels are the ranks of the
        training pids.

    Raises:
        UserError: nothing is left to train on, or a split would be empty.
    """
    table = manifest[manifest[PID] != JUNK_PID].sort_values(PATH, kind="stable", ignore_index=True)
    table = table[~((table[PID] == DISTRACTOR_PID) & (table[SUBSET] != "gallery"))].reset_index(drop=True)
    split = table[SUBSET].to_numpy(dtype=object).copy()
    if parameters.dev_fraction > 0:
        _cut_dev(table, split, parameters)
    train_pids = np.unique(table.loc[split == "train", PID].to_numpy())
    if len(train_pids) < 2:
        raise UserError(
            f"{len(train_pids)} training identities are left of {manifest[PID].nunique()} in the manifest;"
            " at least 2 are needed. Lower splits.dev_fraction, or check the training folder."
        )
    _check_none_empty(split, parameters)
    label = np.where(split == "train", np.searchsorted(train_pids, table[PID].to_numpy()), NO_LABEL)
    return table.drop(columns=[SUBSET]).assign(**{SPLIT: split.astype(str), LABEL: label.astype("int64")})


def _cut_dev(table: pd.DataFrame, split: np.ndarray, parameters: SplitParameters) -> None:
    """Turn the rows of the chosen identities into dev_query and dev_gallery, in place.

    A query is left out where it would take the last image that another camera's query can be matched with:
    of an identity with several images in fewer than two cameras, the fullest camera gives no query.
    """
    generator = np.random.default_rng(parameters.dev_seed)
    pids = np.unique(table.loc[split == "train", PID].to_numpy())
    count = max(2, round(parameters.dev_fraction * len(pids)))
    chosen = generator.choice(pids, size=min(count, len(pids)), replace=False)
    rows = np.flatnonzero((split == "train") & table[PID].isin(chosen).to_numpy())
    split[rows] = "dev_gallery"
    order = generator.permutation(rows)
    seen = pd.DataFrame({PID: table[PID], CAMID: table[CAMID].fillna(-1).astype("int64")})
    drawn = seen.iloc[order].drop_duplicates([PID, CAMID])
    kept_back = _kept_back(seen.iloc[rows], has_cameras=bool(table[CAMID].notna().any()))
    asked = [pair not in kept_back for pair in zip(drawn[PID], drawn[CAMID], strict=True)]
    split[drawn.index[asked]] = "dev_query"


def _kept_back(seen: pd.DataFrame, *, has_cameras: bool) -> set[tuple[int, int]]:
    """Return the (pid, camera) pairs whose images all stay in the gallery."""
    images = seen.groupby([PID, CAMID]).size()
    if not has_cameras:
        return set(images.index[images < 2])
    several = (images > 1).groupby(level=PID).sum()
    fullest: list[Any] = [images.loc[[pid]].idxmax() for pid in several.index[several < 2]]
    return set(fullest)


def _check_none_empty(split: np.ndarray, parameters: SplitParameters) -> None:
    wanted = SPLITS if parameters.dev_fraction > 0 else [name for name in SPLITS if name[:4] != "dev_"]
    empty = [name for name in wanted if not (split == name).any()]
    if empty:
        raise UserError(
            f"No image is left for {' and '.join(empty)}. A query needs an identity that another camera sees"
            " too: raise splits.dev_fraction (0 cuts no dev split), or check the benchmark's folders."
        )


def data_hash(split_table: pd.DataFrame) -> str:
    """Return the SHA-256 of what the split table says: every image's path, bytes, pid, camera and split."""
    columns = split_table[[PATH, SHA256, PID, CAMID, SPLIT]].sort_values(PATH)
    text = columns.to_csv(index=False, lineterminator="\n")
    return hashlib.sha256(text.encode()).hexdigest()
