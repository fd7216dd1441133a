"""The labels that the last epochs of a training gave its images, as a table; no identity is read."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from reid_pipeline.schema.columns import BEFORE, PATH, PRESENT, SPLIT, TRAINING
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.origin import Origin
from reid_pipeline.schema.records import StageDescription

LABELS = "labels"
"""The entry of a resumable state: {"present": int64 [n], "before": int64 [n] or None}, by training row."""


def pseudo_label_table(state: Mapping[str, Any], split_table: pd.DataFrame) -> pd.DataFrame:
    """Return `schema.tables.PSEUDO_LABELS` of a finished stage; without a row where its state has no labels.

    Raises:
        ValueError: there are not as many labels as training images.
    """
    paths = split_table.loc[split_table[SPLIT] == "train", PATH].to_numpy(dtype=object)
    labels = state.get(LABELS) or {}
    present, before = (None if labels.get(name) is None else np.asarray(labels[name]) for name in (PRESENT, BEFORE))
    if present is None:
        paths, present = paths[:0], np.empty(0, dtype=np.int64)
    if len(present) != len(paths):
        raise ValueError(f"{len(present)} pseudo labels do not fit {len(paths)} training images")
    earlier = pd.array([pd.NA] * len(paths) if before is None else before, dtype="Int64")
    training = StageDescription.model_validate(state["description"]).origin.fingerprint
    columns = {PATH: paths, PRESENT: present.astype(np.int64), BEFORE: earlier, TRAINING: training}
    return pd.DataFrame(columns).astype({PATH: str, TRAINING: str})


def require_labels_of(pseudo_labels: pd.DataFrame, origin: Origin) -> None:
    """Raise a UserError where the labels are of another training than the embedder of that origin."""
    others = set(pseudo_labels[TRAINING]) - set(origin.made_from.values())
    if others:
        raise UserError(
            f"The pseudo labels are of another training than the embedder {origin.file}. Make both anew: run the"
            f" pipeline {origin.method}, with --env and --params as here."
        )
