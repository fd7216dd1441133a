"""What can be asked of a gallery without changing it."""

from collections.abc import Iterable
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from reid_pipeline.gallery.filters import Filters, passing
from reid_pipeline.gallery.manifest import Calibration, IndexKind
from reid_pipeline.gallery.rows import Float32s, Ids, checked_vectors
from reid_pipeline.gallery.search import Hits, measured_recall, search
from reid_pipeline.gallery.state import State, open_state
from reid_pipeline.gallery.summary import identities_of
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.origin import Origin


class ReadableGallery:
    """A committed state of a gallery, which stays as it is until `refresh`, whatever writers do.

    Attributes:
        folder: where the gallery lies; its name is the gallery's.
    """

    def __init__(self, folder: Path, state: State) -> None:
        self.folder = folder
        self._state = state

    @classmethod
    def open(cls, folder: str | Path) -> Self:
        """Open a gallery, to read it or to change it.

        Raises:
            UserError: there is none, which names those beside it; or files of it are missing.
        """
        place = Path(folder).absolute()
        return cls(place, open_state(place))

    def refresh(self) -> None:
        """See what others have committed since."""
        self._state = open_state(self.folder, self._state)

    def __len__(self) -> int:
        """Return how many entries there are."""
        return self._state.manifest.rows

    @property
    def model(self) -> str:
        """SHA-256 of the embedder whose vectors it holds."""
        return self._state.manifest.model

    @property
    def width(self) -> int:
        """Components of its vectors."""
        return self._state.manifest.width

    @property
    def index(self) -> IndexKind:
        """How it is searched."""
        return self._state.manifest.index

    @property
    def origin(self) -> Origin | None:
        """Of its embeddings, as given."""
        return self._state.manifest.origin

    @property
    def calibration(self) -> Calibration | None:
        """The last one, which may be of an earlier revision: `identify` makes it anew where it is."""
        return self._state.manifest.calibration

    @property
    def is_calibrated(self) -> bool:
        """Whether there is a calibration, and nothing has changed since."""
        return self.calibration is not None and self.calibration.revision == self._state.manifest.revision

    @property
    def ids(self) -> Ids:
        """Ids of all entries, ascending."""
        return self._state.ids.copy()

    def vectors(self, ids: Iterable[int] | None = None) -> Float32s:
        """Return the vectors of entries (None: of all, by id), `[n, d]` float32.

        Raises:
            UserError: there is no entry of an id.
        """
        return self._state.vectors(self._ids(ids))

    def entries(self, ids: Iterable[int] | None = None) -> pd.DataFrame:
        """Return entries (None: all, by id) as they were enrolled, under the names that they have now.

        Returns:
            columns id, path, identity, camera, time (ISO 8601, UTC), collection, trackid, confirmed; `[n]` rows.

        Raises:
            UserError: there is no entry of an id.
        """
        return self._state.entries(self._ids(ids))

    def identities(self) -> pd.DataFrame:
        """Return the identities by name: identity, images, cameras, first, last (ISO 8601 or empty), confirmed."""
        return identities_of(self._state)

    def search(self, vectors: ArrayLike, k: int = 10, *, filters: Filters | None = None) -> Hits:
        """Return the `k` entries most similar to each probe, the nearest first; equal ones by id.

        Args:
            vectors: unit rows of the gallery's model, `[q, width]`.
            k: how many entries, at least 1.
            filters: which entries may be found.

        Returns:
            ids `[q, k]` int64, -1 where nothing further meets the filters, and scores `[q, k]` float32, NaN there.

        Raises:
            UserError: vectors of another width, not unit or not finite; `k`; or a filter.
        """
        probes = checked_vectors(vectors, self.width, "probes")
        return search(self._state, probes, k, filters or Filters())

    def passing(self, filters: Filters) -> Ids:
        """Return the ids of the entries that meet filters, ascending; `not_camera`, which is by probe, is not asked.

        Raises:
            UserError: a filter.
        """
        masks = passing(self._state, filters.for_all_probes())
        pairs = zip(self._state.segments, masks, strict=True)
        met = [segment.ids if mask is None else segment.ids[mask] for segment, mask in pairs]
        return np.sort(np.concatenate([np.empty(0, np.int64), *met]))

    def recall(self, k: int = 10, probes: int = 200) -> float:
        """Return the share of the `k` true nearest that `search` finds, for entries as probes, each without itself."""
        return measured_recall(self._state, k, probes)

    def _ids(self, ids: Iterable[int] | None) -> Ids:
        return self._state.ids if ids is None else np.asarray(list(ids), dtype=np.int64)

    def require_model(self, model: str) -> None:
        """Raise `UserError` where vectors of a model cannot be compared with the gallery's."""
        if model != self.model:
            raise UserError(
                f"The vectors are of model {model[:12]}, and gallery {self.folder.name} holds those of model"
                f" {self.model[:12]}: vectors of two models cannot be compared. Embed the images with the gallery's"
                " model, or embed the gallery anew (`kedro run --pipeline=reembed`)."
            )
