"""The folder of decoded images, as the catalog gives it to nodes."""

from reid_pipeline.images.cache import ImageCache
from reid_pipeline.io.base import ReadOnlyDataset


class ImageCacheDataset(ReadOnlyDataset[ImageCache]):
    """A cache of decoded images, made again from the raw folder at need; loading gives its handle and opens nothing."""

    _refusal = "{path} is filled through its handle; {kind} was not written."

    def load(self) -> ImageCache:
        """Return the handle."""
        return ImageCache(self._filepath)

    def _exists(self) -> bool:
        return True  # an empty cache is a cache
