"""The threshold of a gallery for a false-alarm rate, made of its own identities (`retrieval.open_set`)."""

import numpy as np

from reid_pipeline.gallery.manifest import Calibration
from reid_pipeline.gallery.state import State
from reid_pipeline.retrieval.open_set import (
    UNKNOWN_CAMERA,
    conformal_threshold,
    identity_scores,
    needed_identities,
    require_enough,
)
from reid_pipeline.schema.errors import UserError, first_few

_SAME = 0.9999  # a similarity above it is that of one picture, enrolled twice


def calibrated(state: State, false_alarm: float, unsure: float | None, *, other_cameras: bool) -> Calibration:
    """Return the calibration of a gallery as it is now.

    Confirmed identities give the scores, each compared with all other entries. A cluster that nobody confirmed gives
    none, since a split individual is its own impostor; it is compared with, as `identify` does.

    Raises:
        UserError: there are too few confirmed identities for a rate, a rate is none, or so many identities share a
            picture with another that the threshold would be that of one picture.
    """
    needed_identities(false_alarm)
    if unsure is not None and (needed_identities(unsure) and unsure <= false_alarm):
        raise UserError(
            f"The rate of unsure answers is {unsure!r}, not above the false-alarm rate {false_alarm!r}: what passes"
            " the threshold of the greater rate alone is unsure. Give a greater one, or none."
        )
    keys = state.keys(state.ids)
    names = np.unique(keys)
    confirmed = np.array([state.manifest.identities[key].confirmed for key in names.tolist()], dtype=bool)
    _require_enough(int(confirmed.sum()), len(confirmed), false_alarm)
    if other_cameras and not state.texts("camera"):
        raise UserError(
            f"No entry of gallery {state.folder.name} has a camera, so other_cameras would leave no pair out. Enrol by"
            " a table with a column camera, or calibrate with other_cameras=false."
        )
    cameras = _cameras(state) if other_cameras else None
    scores = identity_scores(state.vectors(state.ids), keys, cameras)[confirmed]
    threshold = conformal_threshold(scores, false_alarm)
    if threshold > _SAME:
        twice = [state.manifest.identities[key].name for key in names[confirmed][scores > _SAME].tolist()]
        raise UserError(
            f"{len(twice)} of the {len(scores)} identities of gallery {state.folder.name} have a picture that another"
            f" identity has, too, so nobody could ever be known: {first_few(sorted(twice))}. Merge those who are one"
            " individual, or forget the wrong ones."
        )
    return Calibration(
        false_alarm=false_alarm,
        threshold=threshold,
        unsure=unsure,
        unsure_threshold=None if unsure is None else conformal_threshold(scores, unsure),
        other_cameras=other_cameras,
        identities=len(scores),
        revision=state.manifest.revision,
    )


def recalibrated(state: State, old: Calibration) -> Calibration:
    """Return a calibration for the same rates, of the gallery as it is now.

    Raises:
        UserError: too few confirmed identities are left.
    """
    if old.revision == state.manifest.revision:
        return old
    return calibrated(state, old.false_alarm, old.unsure, other_cameras=old.other_cameras)


def _require_enough(confirmed: int, identities: int, false_alarm: float) -> None:
    try:
        require_enough(confirmed, false_alarm)
    except UserError as error:
        if confirmed == identities:
            raise
        raise UserError(
            f"{error} Of the gallery's {identities:,} identities, {identities - confirmed:,} are clusters that nobody"
            " has confirmed, which do not count: rename them."
        ) from None


def _cameras(state: State) -> np.ndarray:
    """Return a number for each entry's camera, in the order of their ids."""
    names = state.texts("camera")
    codes = np.full(len(state.ids), UNKNOWN_CAMERA, dtype=np.int64)
    places = state.places(state.ids)
    for number, segment in enumerate(state.segments):
        of_code = np.array([names.index(name) if name else UNKNOWN_CAMERA for name in segment.distinct("camera")])
        those = places.segments == number
        codes[those] = of_code[segment.codes("camera")][places.rows[those]]
    return codes
