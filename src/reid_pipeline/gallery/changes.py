"""Changes of a gallery, as manifests that are still to be committed: segments that they name are written already."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import ArrayLike

from reid_pipeline.gallery.kinds import Index
from reid_pipeline.gallery.manifest import Identity, IndexKind, Manifest, SegmentRecord
from reid_pipeline.gallery.rows import SCHEMA, Float32s, Ids, Mask, checked_vectors, digests_of, plain_name, table_of
from reid_pipeline.gallery.segments import Segment, capacity, indexed, indexes, joined, write_segment
from reid_pipeline.gallery.state import State
from reid_pipeline.geometry.compiled import in_threads
from reid_pipeline.schema.errors import UserError, first_few
from reid_pipeline.schema.origin import Origin

_GROWTH = 2  # a segment is written anew with new rows where it has at most so many times as many


def enrolled(state: State, vectors: Float32s, entries: pd.DataFrame, sources: Iterable[str]) -> tuple[Manifest, Ids]:
    """Return the gallery with new entries, and the id of each, `[n]`; what is enrolled already is not added again.

    Args:
        state: of the gallery.
        vectors: checked, `[n, d]`.
        entries: checked.
        sources: files that the vectors were read from.

    Raises:
        UserError: the same image is there, or given twice, under two names.
    """
    digests = digests_of(entries, vectors)
    ids = _ids_of(state, digests)
    _, firsts = np.unique(digests, return_index=True)
    new = np.intersect1d(firsts, np.flatnonzero(ids < 0))
    ids[new] = state.manifest.next_id + np.arange(len(new))
    of_digest = dict(zip(digests[ids >= 0].tolist(), ids[ids >= 0].tolist(), strict=True))
    ids = np.array([of_digest[digest] for digest in digests.tolist()], dtype=np.int64)
    manifest, keys = _with_names(state.manifest, entries)
    _refuse_two_names(state, entries, ids, keys[new], manifest)
    manifest = manifest.model_copy(
        update={"next_id": manifest.next_id + len(new), "sources": tuple(dict.fromkeys([*manifest.sources, *sources]))}
    )
    if len(new):
        table = table_of(entries.iloc[new], ids[new], keys[new], digests[new])
        manifest = _grown(state, manifest, vectors[new], table)
    return manifest, ids


def _ids_of(state: State, digests: Ids) -> Ids:
    """Return the id of the entry that has each digest, or -1."""
    found = np.full(len(digests), -1, dtype=np.int64)
    for segment in state.segments:
        known = np.asarray(segment.table["digest"])
        if (rows := np.flatnonzero(np.isin(known, digests))).size:
            ids = dict(zip(known[rows].tolist(), segment.ids[rows].tolist(), strict=True))
            found = np.array([ids.get(each, old) for each, old in zip(digests.tolist(), found, strict=True)])
    return found


def _with_names(manifest: Manifest, entries: pd.DataFrame) -> tuple[Manifest, Ids]:
    """Return the manifest with the identities of entries, and the key of each entry's."""
    identities, next_key = dict(manifest.identities), manifest.next_key
    key_of = {plain_name(each.name): key for key, each in identities.items() if each.into is None}
    for name, confirmed in entries.groupby("identity", sort=False)["confirmed"].any().items():
        if (key := key_of.get(str(name))) is None:
            identities[next_key] = Identity(name=str(name), confirmed=bool(confirmed))
            key_of[str(name)], next_key = next_key, next_key + 1
        elif confirmed and not identities[key].confirmed:
            identities[key] = identities[key].model_copy(update={"confirmed": True})
        elif not confirmed and identities[key].confirmed:
            raise UserError(
                f"{name!r} is a confirmed identity of the gallery; unconfirmed entries cannot be enrolled under its"
                " name. Give the cluster another name, and merge the two if they are one individual."
            )
    keys = np.array([key_of[name] for name in entries["identity"]], dtype=np.int64)
    return manifest.model_copy(update={"identities": identities, "next_key": next_key}), keys


def _refuse_two_names(state: State, entries: pd.DataFrame, ids: Ids, new_keys: Ids, manifest: Manifest) -> None:
    """Raise where an image that is there already, or given twice, has another name now."""
    first = state.manifest.next_id
    new_names = [manifest.identities[key].name for key in new_keys.tolist()]
    there = ids[ids < first]
    old_names = dict(zip(there.tolist(), state.entries(there)["identity"], strict=True))
    cases = []
    for path, name, entry in zip(entries["path"], entries["identity"], ids.tolist(), strict=True):
        known = old_names[entry] if entry < first else new_names[entry - first]
        if plain_name(known) != name:
            cases.append(f"{path} is {known!r} and now {name!r}")
    if cases:
        raise UserError(
            f"{len(cases)} images have two names: {first_few(cases)}. Drop the wrong ones; to correct what is in the"
            " gallery, merge or rename the identities, or forget one and enrol it anew."
        )


def _grown(state: State, manifest: Manifest, vectors: Float32s, table: pa.Table) -> Manifest:
    """Return the manifest with new rows in segments; small segments are written anew with them, into one."""
    most = capacity(manifest.width, manifest.index)
    absorbed: list[Segment] = []
    tail = len(vectors) % most
    for segment in sorted(state.segments, key=lambda each: each.record.rows):
        rows = segment.record.rows
        if tail and rows <= _GROWTH * tail and rows + tail <= most:
            absorbed.append(segment)
            tail += rows
    if absorbed:
        old_vectors, old_table = joined(absorbed)
        vectors = np.concatenate([old_vectors, vectors])
        table = pa.concat_tables([old_table, table])
    replaced = {each.record.name for each in absorbed}
    stay = [each.record for each in state.segments if each.record.name not in replaced]
    written = Written(state, manifest)
    for start in range(0, len(vectors), most):
        written.add(vectors[start : start + most], table.slice(start, most))
    return written.manifest(stay)


class Written:
    """Segments that are written for a manifest to come.

    Args:
        state: of the gallery, whose folder they go to.
        manifest: whose numbers go on.
    """

    def __init__(self, state: State, manifest: Manifest) -> None:
        self._state = state
        self._manifest = manifest
        self.records: list[SegmentRecord] = []

    def add(self, vectors: Float32s, table: pa.Table) -> None:
        """Write a further segment, in the order of its index."""
        self.records.append(self.put(len(self.records), *indexed(vectors, table, self._manifest.index)))

    def put(self, place: int, vectors: Float32s, table: pa.Table, index: Index | None) -> SegmentRecord:
        """Write the segment that is the `place`-th new one, as it is."""
        name = f"{self._manifest.next_segment + place:06d}"
        return write_segment(self._state.folder, name, vectors, table, index)

    def manifest(self, stay: Sequence[SegmentRecord]) -> Manifest:
        """Return the manifest with old segments that stay, and the new ones."""
        return self._manifest.model_copy(
            update={"segments": (*stay, *self.records), "next_segment": self._manifest.next_segment + len(self.records)}
        )


def rewritten(state: State, manifest: Manifest, stays: Callable[[Segment], Mask]) -> tuple[Manifest, list[Segment]]:
    """Return the gallery without some rows, and the segments that had them; only those are written anew.

    A segment whose index cannot do without rows is written without one: it is searched exactly until `reindexed`.
    """
    left = [stays(segment) for segment in state.segments]
    touched = [number for number, mask in enumerate(left) if not mask.all()]
    written = Written(state, manifest)

    def write(number: int, place: int) -> SegmentRecord:
        segment = state.segments[number]
        vectors, table = segment.vectors[left[number]], segment.table.filter(left[number])
        return written.put(place, vectors, table, segment.index.without(vectors, left[number]))

    # In threads, since each waits for the disk.
    thinner = [number for number in touched if left[number].any()]
    written.records += in_threads(lambda each: write(each[1], each[0]), enumerate(thinner))
    stay = [segment.record for number, segment in enumerate(state.segments) if number not in touched]
    return _without_empty(written.manifest(stay), state, left), [state.segments[number] for number in touched]


def _without_empty(manifest: Manifest, state: State, left: Sequence[Mask]) -> Manifest:
    """Return the manifest without the identities that had entries and have none left, and without their merges."""
    keys = [segment.keys[mask] for segment, mask in zip(state.segments, left, strict=True)]
    used = set(np.unique(np.concatenate(keys)).tolist())
    needed = set(used)
    for key in used:
        while (into := manifest.identities[key].into) is not None:
            needed.add(key := into)
    return manifest.model_copy(
        update={
            "identities": {key: each for key, each in manifest.identities.items() if key in needed},
            "merges": tuple(
                keys_left for merge in manifest.merges if (keys_left := tuple(key for key in merge if key in needed))
            ),
        }
    )


def regrouped(state: State, kind: IndexKind) -> Manifest:
    """Return the gallery with another index, in segments of the size that it wants; `reindexed` builds it."""
    width = state.manifest.width
    manifest = state.manifest.model_copy(update={"index": kind, "lists": 0, "lists_rows": 0})
    if (most := capacity(width, kind)) == capacity(width, state.manifest.index):
        return manifest
    written = Written(state, manifest)
    vectors, table = np.empty((0, width), dtype=np.float32), SCHEMA.empty_table()
    for segment in state.segments:
        vectors, table = np.concatenate([vectors, segment.vectors]), pa.concat_tables([table, segment.table])
        while len(vectors) >= most:
            written.add(vectors[:most], table.slice(0, most))
            vectors, table = vectors[most:], table.slice(most)
    if len(vectors):
        written.add(vectors, table)
    return written.manifest(())


def reindexed(state: State) -> Manifest | None:
    """Return the gallery with an index for each segment that lacks it; None where none does."""
    kind = state.manifest.index
    written = Written(state, state.manifest)
    stale = [
        each for each in state.segments if each.index.kind not in (kind, indexes(len(each.ids), kind))
    ]  # one that has grown small keeps its index
    if not stale:
        return None
    for segment in stale:
        written.add(np.asarray(segment.vectors), segment.table)
    names = {each.record.name for each in stale}
    return written.manifest([each.record for each in state.segments if each.record.name not in names])


def embedded_anew(state: State, ids: Ids, vectors: ArrayLike, model: str, origin: Origin | None) -> Manifest:
    """Return the gallery with a vector of another model for every entry; `Gallery.embed_anew` says of what.

    Raises:
        UserError: `ids` are not those of all entries, or vectors that cannot be enrolled.
    """
    given = np.asarray(ids, dtype=np.int64)
    order = np.argsort(given)
    if not np.array_equal(given[order], state.ids):
        missing = np.setdiff1d(state.ids, given)
        raise UserError(
            f"The new vectors are for {len(given)} entries, and gallery {state.folder.name} has {len(state.ids)}:"
            f" {first_few(missing.tolist()) or 'none'} are missing. Give one for each entry, once."
        )
    width = np.asarray(vectors).shape[-1] if np.ndim(vectors) else 0
    checked = checked_vectors(vectors, width, "new vectors")
    if len(checked) != len(given):
        raise UserError(f"There are {len(checked)} new vectors for {len(given)} ids; each entry needs one.")
    manifest = state.manifest.model_copy(
        update={"model": model, "width": width, "origin": origin, "calibration": None, "lists": 0, "lists_rows": 0}
    )
    written, most = Written(state, manifest), capacity(width, manifest.index)
    table = (
        pa.concat_tables([SCHEMA.empty_table(), *(each.table for each in state.segments)])
        .unify_dictionaries()
        .sort_by("id")
    )
    for start in range(0, len(given), most):
        rows, part = table.slice(start, most), checked[order[start : start + most]]
        digests = digests_of(rows.to_pandas(), part)
        written.add(part, rows.set_column(rows.schema.get_field_index("digest"), "digest", [digests]))
    return written.manifest(())
