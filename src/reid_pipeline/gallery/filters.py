"""Which entries a search may find: by camera, time, collection and identity."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from reid_pipeline.gallery.rows import UNKNOWN_TIME, Mask, moment
from reid_pipeline.gallery.segments import Segment
from reid_pipeline.gallery.state import State
from reid_pipeline.schema.errors import UserError, first_few, nearest


@dataclass(frozen=True, kw_only=True)
class Filters:
    """Conditions that an entry meets, all of them; None sets none.

    Attributes:
        cameras: it is from one of these cameras.
        not_camera: the camera of each probe, whose own entries it does not find; "" leaves nothing out.
        since: its time is known, and not before this one (ISO 8601 in UTC, or a `datetime`).
        before: its time is known, and before this one.
        collections: it is from one of these collections.
        identities: it is of one of these identities.
    """

    cameras: Sequence[str] | None = None
    not_camera: Sequence[str] | None = None
    since: str | datetime | None = None
    before: str | datetime | None = None
    collections: Sequence[str] | None = None
    identities: Sequence[str] | None = None

    def __post_init__(self) -> None:
        for name in ("cameras", "not_camera", "collections", "identities"):
            if isinstance(value := getattr(self, name), str):
                raise UserError(f"The filter {name} is the text {value!r}; a list is needed: [{value!r}].")

    def for_all_probes(self) -> "Filters":
        """Return those conditions that are the same for every probe."""
        return replace(self, not_camera=None)


def passing(state: State, filters: Filters, own_camera: str = "") -> list[Mask | None]:
    """Return, for each segment, which rows meet the filters; None: all.

    Args:
        state: of the gallery.
        filters: conditions.
        own_camera: of the probe, where `not_camera` is asked for.

    Raises:
        UserError: a camera, collection or identity is unknown, or a time is none.
    """
    since, before = _times(filters)
    _require_known(state, filters)
    keys = None
    if filters.identities is not None:
        roots = {state.key_of(name) for name in filters.identities}
        keys = [key for key in state.manifest.identities if state.manifest.root(key) in roots]

    def of(segment: Segment) -> Mask | None:
        conditions = []
        if filters.cameras is not None:
            conditions.append(segment.is_one_of("camera", filters.cameras))
        if own_camera:
            conditions.append(~segment.is_one_of("camera", [own_camera]))
        if filters.collections is not None:
            conditions.append(segment.is_one_of("collection", filters.collections))
        if keys is not None:
            conditions.append(np.isin(segment.keys, keys))
        if since is not None:
            conditions.append(segment.times >= since)
        if before is not None:
            conditions.append((segment.times < before) & (segment.times != UNKNOWN_TIME))
        return np.logical_and.reduce(conditions) if conditions else None

    return [of(segment) for segment in state.segments]


def _times(filters: Filters) -> tuple[int | None, int | None]:
    since = None if filters.since is None else moment(filters.since, "The filter since")
    before = None if filters.before is None else moment(filters.before, "The filter before")
    if since is not None and before is not None and since >= before:
        raise UserError(f"No time is since {filters.since} and before {filters.before}: the filter since comes first.")
    return since, before


def _require_known(state: State, filters: Filters) -> None:
    """Refuse a camera or collection that no entry has: found by a wrong name, everybody would be new."""
    for column, wanted in (("camera", filters.cameras), ("collection", filters.collections)):
        known = state.texts(column) if wanted else []
        for name in wanted or ():
            if name not in {*known, ""} and len(state.ids):
                there = f"Its {column}s: {first_few(known)}." if known else f"No entry has a {column}."
                raise UserError(
                    f"The filter {column}s names {name!r}, and gallery {state.folder.name} has no such entry."
                    f"{nearest(str(name), known)} {there}"
                )
