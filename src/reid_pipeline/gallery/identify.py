"""Known, new, or unsure: the answer for each probe, by the threshold of the gallery's calibration."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from reid_pipeline.gallery.filters import Filters
from reid_pipeline.gallery.manifest import Calibration
from reid_pipeline.gallery.rows import Float32s
from reid_pipeline.gallery.search import search
from reid_pipeline.gallery.state import State
from reid_pipeline.schema.errors import UserError


def identified(
    state: State, probes: Float32s, calibration: Calibration, cameras: Sequence[str] | None, k: int, filters: Filters
) -> pd.DataFrame:
    """Return the answer for each probe; `Gallery.identify` says what its columns are.

    A filter can only lower a probe's score, and so can an index that misses an entry: the promise stands. The
    reverse, pairs of one camera left out in calibration and met in use, would break it, so they are left out here too.

    Raises:
        UserError: the calibration left pairs of one camera out, and the cameras of the probes are not given.
    """
    if calibration.other_cameras:
        filters = replace(filters, not_camera=_own_cameras(cameras, filters.not_camera, len(probes)))
    hits = search(state, probes, k, filters)
    scores = np.where(hits.ids[:, 0] < 0, -np.inf, hits.scores[:, 0])
    lower = calibration.threshold if calibration.unsure_threshold is None else calibration.unsure_threshold
    answers = np.where(scores > calibration.threshold, "known", np.where(scores > lower, "unsure", "new"))
    nearest = [line[line >= 0] for line in hits.ids]
    entries = state.entries(np.unique(np.concatenate(nearest) if nearest else np.empty(0, np.int64))).set_index("id")
    names = [entries.at[ids[0], "identity"] if len(ids) else "" for ids in nearest]
    return pd.DataFrame(
        {
            "probe": np.arange(len(probes)),
            "answer": answers.astype(object),
            "identity": [name if answer != "new" else "" for name, answer in zip(names, answers, strict=True)],
            "score": hits.scores[:, 0],
            "threshold": np.float32(calibration.threshold),
            "confirmed": [bool(entries.at[ids[0], "confirmed"]) if len(ids) else False for ids in nearest],
            "nearest_identity": names,
            "nearest": [ids.tolist() for ids in nearest],
            "nearest_scores": [line[: len(ids)].tolist() for ids, line in zip(nearest, hits.scores, strict=True)],
        }
    )


def _own_cameras(cameras: Sequence[str] | None, filtered: Sequence[str] | None, probes: int) -> Sequence[str]:
    given = cameras if cameras is not None else filtered
    if given is None or len(given) != probes:
        raise UserError(
            f"The gallery was calibrated without pairs of one camera, so `identify` leaves them out too and needs the"
            f" camera of each of the {probes} probes; {'none' if given is None else len(given)} are given. Give"
            ' cameras, "" where one is unknown; or calibrate with other_cameras=False.'
        )
    if filtered is not None and list(filtered) != list(given):
        raise UserError("The filter not_camera and the cameras of the probes differ; give the cameras alone.")
    return given
