"""What a gallery holds at one moment, as its last committed manifest says; nobody changes it."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from reid_pipeline.gallery.manifest import SEGMENTS, Manifest, parsed, read_content
from reid_pipeline.gallery.rows import Float32s, Ids, iso_times, plain_name
from reid_pipeline.gallery.segments import Segment, open_segment
from reid_pipeline.schema.errors import UserError, first_few, nearest

_TRIES = 20


class Places(NamedTuple):
    """Where entries lie: the number of a segment, and the row in it, `[n]` each."""

    segments: Ids
    rows: Ids


@dataclass(frozen=True)
class State:
    """An open manifest, as it is stored, and its open segments."""

    folder: Path
    manifest: Manifest
    segments: tuple[Segment, ...]
    content: bytes

    @cached_property
    def _sorted(self) -> tuple[Ids, Places]:
        """Ids of all entries, ascending, and where each lies."""
        ids = np.concatenate([np.empty(0, np.int64), *(each.ids for each in self.segments)])
        numbers = np.repeat(np.arange(len(self.segments)), [len(each.ids) for each in self.segments])
        rows = np.concatenate([np.empty(0, np.int64), *(np.arange(len(each.ids)) for each in self.segments)])
        order = np.argsort(ids)
        return ids[order], Places(numbers[order], rows[order])

    @cached_property
    def centres(self) -> tuple[Float32s, Ids]:
        """Centres of the lists of all segments, `[L, d]`, and where those of each segment begin, `[S + 1]`."""
        none = np.empty((0, self.manifest.width), dtype=np.float32)
        found = [none if segment.index.centres is None else segment.index.centres for segment in self.segments]
        return np.concatenate([none, *found]), np.cumsum([0, *map(len, found)], dtype=np.int64)

    @property
    def ids(self) -> Ids:
        """Ids of all entries, ascending."""
        return self._sorted[0]

    def places(self, ids: Ids) -> Places:
        """Return where entries lie.

        Raises:
            UserError: there is no entry of an id.
        """
        known, places = self._sorted
        found = np.searchsorted(known, ids)
        there = known[np.minimum(found, len(known) - 1)] == ids if len(known) else np.zeros(len(ids), dtype=bool)
        if not there.all():
            raise UserError(
                f"Gallery {self.folder.name} has no entries with the ids {first_few(ids[~there].tolist())};"
                " they were forgotten, or never were."
            )
        return Places(places.segments[found], places.rows[found])

    def vectors(self, ids: Ids) -> Float32s:
        """Return the vectors of entries, `[n, d]`."""
        found = np.empty((len(ids), self.manifest.width), dtype=np.float32)
        places = self.places(ids)
        for number in np.unique(places.segments):
            those = places.segments == number
            found[those] = self.segments[number].vectors[places.rows[those]]
        return found

    def keys(self, ids: Ids) -> Ids:
        """Return the keys that the identities of entries stand under after all merges, `[n]`."""
        places, found = self.places(ids), np.empty(len(ids), dtype=np.int64)
        for number in np.unique(places.segments):
            those = places.segments == number
            found[those] = self.segments[number].keys[places.rows[those]]
        distinct, which = np.unique(found, return_inverse=True)
        return np.array([self.manifest.root(key) for key in distinct.tolist()], dtype=np.int64)[which]

    def entries(self, ids: Ids) -> pd.DataFrame:
        """Return what was enrolled with entries: id, path, identity, camera, time, collection, trackid, confirmed."""
        places, parts = self.places(ids), []
        for number in np.unique(places.segments):
            those = np.flatnonzero(places.segments == number)
            table = self.segments[number].table.drop_columns(["digest"]).take(places.rows[those])
            parts.append(table.to_pandas().astype({"camera": object, "collection": object}).set_index(those))
        if not parts:
            return pd.DataFrame({name: [] for name in ("id", *_SHOWN)})
        found = pd.concat(parts).sort_index()
        keys = {key: self.manifest.root(key) for key in found["identity"].unique().tolist()}
        roots = [self.manifest.identities[keys[key]] for key in found["identity"]]
        found["identity"] = [root.name for root in roots]
        found["confirmed"] = [root.confirmed for root in roots]
        found["time"] = iso_times(found["time"].to_numpy())
        return pd.DataFrame(found[["id", *_SHOWN]])

    def texts(self, column: str) -> list[str]:
        """Return what entries have in a column of texts (camera, collection), sorted; empty ones are none."""
        return sorted({text for segment in self.segments for text in segment.distinct(column)} - {""})

    def key_of(self, name: str) -> int:
        """Return the key of the identity of a name.

        Raises:
            UserError: there is none; names the nearest.
        """
        wanted = plain_name(str(name))
        for key, identity in self.manifest.identities.items():
            if identity.into is None and plain_name(identity.name) == wanted:
                return key
        names = sorted({each.name for each in self.manifest.identities.values() if each.into is None})
        there = f"It has {len(names)} identities: {first_few(names)}." if names else "It is empty."
        raise UserError(f"Gallery {self.folder.name} has no identity {name!r}.{nearest(str(name), names)} {there}")


_SHOWN = ("path", "identity", "camera", "time", "collection", "trackid", "confirmed")


def open_state(folder: Path, known: State | None = None) -> State:
    """Read the manifest of a gallery and open its segments; those that are open in `known` stay so.

    A writer may replace a segment between the two: then the manifest is read again.

    Raises:
        UserError: there is no gallery, or files of it are missing.
    """
    for tried in range(_TRIES):
        content = read_content(folder)
        if known is not None and known.content == content:
            return known
        manifest = parsed(folder, content)
        try:
            return state_of(folder, manifest, content, known)
        except FileNotFoundError:
            time.sleep(0.01 * tried)
    stems = [folder / SEGMENTS / each.name for each in manifest.segments]
    missing = [stem.name for stem in stems if not all(stem.with_suffix(end).exists() for end in (".npy", ".arrow"))]
    raise UserError(
        f"Gallery {folder.name} lacks files of its segments, below {SEGMENTS}/: {first_few(missing) or 'indexes'}."
        " Somebody else has removed them: bring the folder back whole, from a copy."
    )


def state_of(folder: Path, manifest: Manifest, content: bytes, known: State | None) -> State:
    """Open the segments of a manifest, which is stored as `content`, but for those that are open in `known`.

    Raises:
        FileNotFoundError: a file of a segment is gone.
    """
    opened: Mapping[str, Segment] = {each.record.name: each for each in known.segments} if known else {}
    segments = tuple(opened.get(each.name) or open_segment(folder, each) for each in manifest.segments)
    return State(folder, manifest, segments, content)
