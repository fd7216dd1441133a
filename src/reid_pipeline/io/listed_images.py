"""The images that a run names: a folder, a list of paths, a table, or one file."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset

from reid_pipeline.io.listing import list_files
from reid_pipeline.readers.custom.listed_images import images_of_file, images_of_folder
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.listed_images import ListedImages
from reid_pipeline.schema.user_paths import user_file

_FORMS = "a folder, an image, a list of paths (.txt), or a table (.csv) with a column path"
_log = logging.getLogger(__name__)


class ListedImagesDataset(AbstractDataset[Any, ListedImages]):
    """What `images` names, listed; no image is opened.

    Args:
        images: the folder or file, in full; None where none is named, which loading refuses.
        metadata: for kedro viz.
    """

    def __init__(self, *, images: str | None = None, metadata: dict[str, Any] | None = None) -> None:
        self._images = None if images is None else Path(images)
        self.metadata = metadata

    def load(self) -> ListedImages:
        """Return the images; a UserError says what is wrong with what was named."""
        if self._images is None:
            raise UserError(f"There are no images to embed. Give --params images=<{_FORMS}>.")
        found = read_listed(self._images)
        for note in found.notes:
            _log.info("%s", note)
        return found

    def save(self, data: Any) -> None:
        """Refuse to write."""
        raise UserError(f"What images names is read, not written; got {type(data).__name__}.")

    def _exists(self) -> bool:
        return self._images is None or self._images.exists()

    def _describe(self) -> dict[str, Any]:
        return {"images": None if self._images is None else str(self._images)}


def read_listed(images: Path) -> ListedImages:
    """Return the images of a folder or file; relative paths begin at its folder.

    Args:
        images: a folder, an image, a list of paths (.txt), or a table (.csv, .tsv, .parquet).

    Raises:
        UserError: it is not there, cannot be read, or lists what is not there.
    """
    place = images.absolute()
    if place.is_dir():
        return replace(images_of_folder(list_files(place)), given=str(place))
    file = user_file(place, "Parameter images is", f"Give {_FORMS}.")
    return replace(images_of_file(file), given=str(place))
