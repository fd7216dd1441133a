"""A gallery under its two names in the catalog: `gallery` is read, `changed_gallery` takes a change."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.io import AbstractDataset

from reid_pipeline.io.listing import subfolders
from reid_pipeline.schema.errors import UserError, first_few, nearest

if TYPE_CHECKING:
    from reid_pipeline.gallery import Gallery
    from reid_pipeline.gallery.operations import Changed, Operation

NO_GALLERY = "no_gallery"
"""What the catalog calls a gallery that was not named."""


class GalleryDataset(AbstractDataset[Any, "Gallery | None"]):
    """The folder of a gallery, which is read."""

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> "Gallery | None":
        """Return the gallery as it is now, or None where there is none yet."""
        from reid_pipeline.gallery import Gallery

        return Gallery.open(self._filepath) if Gallery.exists(self._filepath) else None

    def save(self, data: Any) -> None:
        """Refuse to write."""
        raise UserError(f"{self._filepath} is read only here; a change is saved as changed_gallery, not {data!r}.")

    def require(self, *, may_be_new: bool = False) -> None:
        """Refuse a gallery that was not named, or is not there unless it `may_be_new`, before anything reads it."""
        others = [folder.name for folder in subfolders(self._filepath.parent)] if self._filepath.parent.is_dir() else []
        there = f" There are: {first_few(others)}." if others else " There is none yet: enrol images first."
        if self._filepath.name == NO_GALLERY:
            raise UserError(f"Which gallery? Give --params gallery=<name>.{there}")
        if not may_be_new and not self._exists():
            name = self._filepath.name
            raise UserError(f"There is no gallery {name!r} in {self._filepath.parent}.{nearest(name, others)}{there}")

    def _exists(self) -> bool:
        from reid_pipeline.gallery import Gallery

        return os.path.lexists(self._filepath) and Gallery.exists(self._filepath)

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}


class ChangedGalleryDataset(AbstractDataset["Operation", "Changed"]):
    """The same folder, which takes a change.

    Kedro refuses a node whose output is its input, and a node has no effect beside its outputs. So a node reads
    `gallery` and returns a change (`gallery.operations`) as `changed_gallery`. Saving it carries it out by one operation
    of the gallery, which holds the gallery's lock and is safe against a kill.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata
        self._done: tuple[str, ...] = ()

    def load(self) -> "Changed":
        """Return the gallery after the change, and what that did."""
        from reid_pipeline.gallery import Gallery
        from reid_pipeline.gallery.operations import Changed

        return Changed(Gallery.open(self._filepath), self._done)

    def save(self, data: "Operation") -> None:
        """Carry the change out."""
        self._done = tuple(data.carry_out(self._filepath))

    def _exists(self) -> bool:
        return self._filepath.is_dir()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
