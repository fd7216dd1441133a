"""Some of the images of a split, addressed by their place among these."""

from collections.abc import Sequence

import numpy as np
import torch

from reid_pipeline.images.reid_images import ReIDImages


class PartOfImages(ReIDImages):
    """The images of `rows`, int64 [m], of others: what these have decoded is read, and nothing is decoded twice."""

    def __init__(self, whole: ReIDImages, rows: np.ndarray) -> None:
        paths = [whole.paths[row] for row in rows.tolist()]
        super().__init__(whole.root, paths, whole.target, memory_limit=0, threads=1)
        self.pinned = whole.pinned
        self._whole, self._rows = whole, rows

    def batch(self, rows: Sequence[int] | np.ndarray) -> torch.Tensor:
        """Return the images at these places as `ReIDImages.batch` does."""
        return self._whole.batch(self._rows[np.asarray(rows, dtype=np.int64)])
