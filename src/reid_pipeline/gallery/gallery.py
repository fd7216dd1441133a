"""A gallery: unit vectors with the user's names, on disk, that grows, answers, and forgets."""

import contextlib
import logging
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

import pandas as pd
from numpy.typing import ArrayLike

from reid_pipeline.gallery import changes, names
from reid_pipeline.gallery.calibration import calibrated, recalibrated
from reid_pipeline.gallery.durable import sync_folder
from reid_pipeline.gallery.filters import Filters
from reid_pipeline.gallery.forgetting import Forgotten, copies, staying
from reid_pipeline.gallery.identify import identified
from reid_pipeline.gallery.kinds import KINDS, require_faiss
from reid_pipeline.gallery.lock import writing
from reid_pipeline.gallery.manifest import (
    MANIFEST,
    SEGMENTS,
    Calibration,
    IndexKind,
    Manifest,
    commit,
    read_manifest,
    remove_unnamed,
)
from reid_pipeline.gallery.readable import ReadableGallery
from reid_pipeline.gallery.rows import Ids, checked_entries, checked_vectors
from reid_pipeline.gallery.search import with_lists
from reid_pipeline.gallery.state import State, state_of
from reid_pipeline.schema.errors import UserError, nearest
from reid_pipeline.schema.origin import Origin

EXACT_UP_TO = 200_000
"""Entries up to which comparing all of them is quick enough for anybody: some tens of milliseconds for a probe."""
_log = logging.getLogger(__name__)


class Gallery(ReadableGallery):
    """Unit vectors of one model, each with a path and an identity; get one by `create` or `open`.

    What a method changed is on the disk, for good, when it returns; a process that is killed at any moment leaves the
    gallery as it was before, or as it is after. One writer changes it at a time, others wait. Readers go on with
    what they opened, until `refresh`.

    Attributes:
        patience: seconds that a change waits for another writer before it is refused.
    """

    patience = 60.0

    @classmethod
    def create(
        cls, folder: str | Path, *, model: str, width: int, origin: Origin | None = None, index: IndexKind = "exact"
    ) -> "Gallery":
        """Make an empty gallery.

        Args:
            folder: where; it does not exist, or is empty.
            model: SHA-256 of the embedder (`LoadedEmbedder.digest`); vectors of others are refused from now on.
            width: components of its vectors.
            origin: of the embeddings.
            index: how it is searched: "exact" compares all entries, "ivf" some lists of them, "hnsw" walks a graph.

        Raises:
            UserError: there is something already, an unknown index, or one that needs faiss where it is absent.
        """
        _require_index(index)
        if isinstance(width, bool) or not isinstance(width, int) or width < 1:
            raise UserError(f"The width is {width!r}; a whole number of at least 1 is needed.")
        place = Path(folder).absolute()
        with writing(place, cls.patience):
            if (place / MANIFEST).exists():
                raise UserError(f"There is a gallery in {place} already. Open it, or give another name.")
            if place.exists() and any(not each.name.startswith((SEGMENTS, MANIFEST)) for each in place.iterdir()):
                raise UserError(f"{place} holds files that are no gallery's. Give another name.")
            (place / SEGMENTS).mkdir(parents=True, exist_ok=True)
            commit(place, Manifest(model=model, width=width, origin=origin, index=index))
            sync_folder(place.parent)
        return cls.open(place)

    def enrol(
        self, vectors: ArrayLike, entries: pd.DataFrame, *, model: str, sources: Iterable[str | Path] = ()
    ) -> Ids:
        """Add entries.

        An image that is there already, with the same path, collection, time, trackid and vector, is not added again:
        what was interrupted can be repeated.

        Args:
            vectors: unit rows, `[n, width]`.
            entries: `[n]` rows with path and identity, and optionally camera, time (ISO 8601, UTC), collection,
                trackid, and confirmed: False for the clusters of an unlabelled run, which have no name yet.
            model: SHA-256 of the embedder that made the vectors.
            sources: files that the vectors were read from; `forget` names them.

        Returns:
            the id of each entry, `[n]` int64; ids are never used again.

        Raises:
            UserError: vectors of another model or width, not unit or not finite, entries without an identity, or an
                image that has another name already.
        """
        self.require_model(model)
        checked = checked_vectors(vectors, self.width, "vectors to enrol")
        rows = checked_entries(entries, len(checked))
        with self._changing() as state:
            self.require_model(model)
            manifest, ids = changes.enrolled(state, checked, rows, [str(Path(each).absolute()) for each in sources])
            if manifest != state.manifest:
                self._commit(manifest)
                self._reindex()
        if self.index == "exact" and len(self) > EXACT_UP_TO >= state.manifest.rows:
            text = (
                "Gallery %s has more than %s entries: index ivf would search it faster, at a recall that is measured."
            )
            _log.info(text, self.folder.name, f"{EXACT_UP_TO:,}")
        return ids

    def identify(
        self, vectors: ArrayLike, *, cameras: Sequence[str] | None = None, k: int = 5, filters: Filters | None = None
    ) -> pd.DataFrame:
        """Say of each probe whether it is known, new or unsure, by the threshold of `calibrate`.

        Where the gallery has changed since it was calibrated, that is done anew first, for the same rates.

        Args:
            vectors: unit rows of the gallery's model, `[q, width]`.
            cameras: of the probes, "" where unknown; needed where calibration left out pairs of one camera.
            k: how many of the nearest entries to name as evidence.
            filters: which entries may be found.

        Returns:
            `[q]` rows: probe (its number), answer (known, unsure, new), identity (empty where new), score (of the
            nearest entry, NaN where none meets the filters), threshold, confirmed (False: the nearest is of a
            cluster that nobody has named), nearest_identity, nearest (ids of up to k entries) and nearest_scores.

        Raises:
            UserError: the gallery is not calibrated, has too few identities by now, or the arguments.
        """
        probes = checked_vectors(vectors, self.width, "probes")
        return identified(self._state, probes, self._current_calibration(), cameras, k, filters or Filters())

    def calibrate(self, false_alarm: float, *, unsure: float | None = None, other_cameras: bool = False) -> Calibration:
        """Set the threshold above which `identify` takes a probe for known, and store it.

        Source: `retrieval.open_set.conformal_threshold`, which says what the promise is.

        Args:
            false_alarm: the share of new individuals that may be taken for a known one, on average.
            unsure: a greater share; what passes only its threshold is answered "unsure". None: no such answer.
            other_cameras: compare images of different cameras only, here and in `identify`.

        Raises:
            UserError: there are fewer confirmed identities than the rate needs (19 for 10 %, 199 for 1 %).
        """
        with self._changing() as state:
            found = calibrated(state, false_alarm, unsure, other_cameras=other_cameras)
            self._store(state.manifest.model_copy(update={"calibration": found}))
        return found

    def merge(self, into: str, *identities: str) -> None:
        """Let the entries of `identities` be those of `into`; `undo` takes it back.

        Raises:
            UserError: an identity is unknown, or there is nothing to merge.
        """
        with self._changing() as state:
            self._commit(names.merged(state, into, identities))

    def undo(self) -> tuple[str, tuple[str, ...]]:
        """Take the last merge back; entries that were enrolled under its name since stay there.

        Returns:
            the identity that it was into, and those that stand apart again.

        Raises:
            UserError: there is none.
        """
        with self._changing() as state:
            manifest, into, apart = names.unmerged(state)
            self._commit(manifest)
        return into, apart

    def rename(self, old: str, new: str) -> None:
        """Give an identity another name, which confirms it: so a cluster gets its name.

        Raises:
            UserError: it is unknown, or the new name is empty or another identity's.
        """
        with self._changing() as state:
            self._commit(names.renamed(state, old, new))

    def forget(
        self, *, identity: str | None = None, camera: str | None = None, before: str | datetime | None = None
    ) -> Forgotten:
        """Remove the entries that meet each condition that is given, from all files of the gallery.

        Args:
            identity: whose entries.
            camera: entries of this camera.
            before: entries whose time is known and before this one.

        Returns:
            how many entries and segments, and which files elsewhere may still hold the vectors.

        Raises:
            UserError: no condition is given, nothing meets them, or a name is unknown.
        """
        with self._changing() as state:
            stays = staying(state, identity, camera, before)
            manifest, touched = changes.rewritten(state, state.manifest, stays)
            self._commit(manifest)
            self._reindex()
        found = copies(self.folder, manifest.sources, [each.record.name for each in touched])
        return Forgotten(state.manifest.rows - manifest.rows, len(touched), found)

    def set_index(self, index: IndexKind) -> None:
        """Search the gallery by another index from now on.

        Raises:
            UserError: an unknown index, or one that needs faiss where it is absent.
        """
        _require_index(index)
        with self._changing() as state:
            self._store(changes.regrouped(state, index))
            self._reindex()

    def embed_anew(self, ids: Ids, vectors: ArrayLike, *, model: str, origin: Origin | None = None) -> None:
        """Give every entry a vector of another model; ids, names and merges stay, the calibration goes.

        Args:
            ids: of all entries.
            vectors: unit rows of the new model, `[n, d]`, in the order of `ids`.
            model: SHA-256 of the new embedder.
            origin: of the new embeddings.

        Raises:
            UserError: `ids` are not those of all entries, or vectors that `enrol` would refuse.
        """
        with self._changing() as state:
            self._commit(changes.embedded_anew(state, ids, vectors, model, origin))
            self._reindex()

    @contextlib.contextmanager
    def _changing(self) -> Iterator[State]:
        """Hold the lock, and yield the last committed state; files that no manifest names are removed."""
        with writing(self.folder, self.patience):
            self.refresh()
            remove_unnamed(self.folder, self._state.manifest)
            try:
                yield self._state
            except BaseException:
                remove_unnamed(self.folder, read_manifest(self.folder))
                raise

    def _commit(self, manifest: Manifest) -> None:
        """Store another content."""
        self._store(manifest.model_copy(update={"revision": manifest.revision + 1}))

    def _store(self, manifest: Manifest) -> None:
        content = commit(self.folder, manifest)
        self._state = state_of(self.folder, manifest, content, self._state)
        remove_unnamed(self.folder, manifest)

    def _reindex(self) -> None:
        """Build the indexes that are missing, and look how they are best searched; the entries are safe before."""
        for renewed in (changes.reindexed, with_lists):
            if (manifest := renewed(self._state)) is not None:
                self._store(manifest)

    def _current_calibration(self) -> Calibration:
        """Return the calibration for what is open, and store it where nobody is writing."""
        old = self.calibration
        if old is None:
            raise UserError(
                f"Gallery {self.folder.name} has no threshold: `calibrate` sets it for a false-alarm rate, such as"
                " 0.01. `search` ranks without one, and promises nothing."
            )
        found = recalibrated(self._state, old)
        if found != old:
            with contextlib.suppress(UserError, OSError), writing(self.folder, 0):  # a reader may not write
                present = read_manifest(self.folder)
                if present.revision == found.revision:
                    self._store(present.model_copy(update={"calibration": found}))
        return found


def _require_index(index: str) -> None:
    if index not in KINDS:
        raise UserError(f"The index is {index!r}.{nearest(str(index), KINDS)} It is one of {', '.join(KINDS)}.")
    if index != "exact":
        require_faiss(index)
