"""Tracklets in the evaluation: the images of one, at one camera, as a single query or a single gallery entry."""

import numpy as np
import pandas as pd

from reid_pipeline.clustering.constraints import tracklets_of
from reid_pipeline.retrieval.pooling import agreement, pooled, tracklet_groups
from reid_pipeline.schema.columns import CAMID, PATH, PID, TRACKID
from reid_pipeline.schema.errors import UserError, first_few


def pooled_tracklets(
    vectors: np.ndarray, table: pd.DataFrame, *, by_quality: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Pool embeddings over tracklets; an image whose tracklet is unknown stays as it is.

    The same trackid at two cameras is two tracklets. With `by_quality` an image weighs as much as it agrees with the
    others of its tracklet (`retrieval.pooling.agreement`).

    Args:
        vectors: unit rows, float32 [n, D].
        table: the rows of the split table that they belong to.
        by_quality: whether images are weighted.

    Returns:
        the place of each tracklet's first image, int64 [t] in the order of the table, and unit rows, float32 [t, D].

    Raises:
        UserError: the images of a tracklet are of several individuals.
    """
    trackids, camids = (table[name].fillna(-1).to_numpy(np.int64) for name in (TRACKID, CAMID))
    tracklets = tracklets_of(trackids, camids)
    groups = np.arange(len(table)) if tracklets is None else tracklet_groups(tracklets)
    firsts = np.unique(groups, return_index=True)[1]
    _require_one_individual(table, groups, firsts)
    return firsts, pooled(vectors, groups, agreement(vectors, groups) if by_quality else None)


def _require_one_individual(table: pd.DataFrame, groups: np.ndarray, firsts: np.ndarray) -> None:
    pids = table[PID].to_numpy(np.int64)
    mixed = np.flatnonzero(pids != pids[firsts[groups]])
    if len(mixed):
        shown = table[PATH].iloc[[*firsts[groups[mixed[:1]]], *mixed[:4]]].tolist()
        raise UserError(
            f"Tracklets hold images of several individuals, and evaluation.tracklets pools the images of one: such as"
            f" {first_few(shown)}. Correct pid or trackid of these images, or set evaluation.tracklets to none."
        )
