"""The folder of decoded images, as the catalog gives it to nodes."""

from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset

from reid_pipeline.images.cache import ImageCache
from reid_pipeline.schema.errors import UserError


class ImageCacheDataset(AbstractDataset[Any, ImageCache]):
    """A cache of decoded images; loading gives its handle and opens nothing.

    It is neither an input nor a result: what it holds can be made again from the raw folder, and a run comes
    to the same without it.

    Args:
        filepath: the folder; it is made when the first image is written.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._folder = Path(filepath)
        self.metadata = metadata

    def load(self) -> ImageCache:
        """Return the handle."""
        return ImageCache(self._folder)

    def save(self, data: Any) -> None:
        """Refuse: the nodes that hold the handle fill the cache."""
        raise UserError(f"{self._folder} is filled through its handle; {type(data).__name__} was not written.")

    def _exists(self) -> bool:
        return True  # an empty cache is a cache

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._folder)}
