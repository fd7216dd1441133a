"""The images of a split as arrays of one size, decoded when asked for and kept while memory allows."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

from reid_pipeline.images.decode import read_image
from reid_pipeline.schema.parameters import Resize


class ReIDImages:
    """Images of one size, addressed by row, returned as uint8 batches.

    Decoding releases the interpreter lock, so threads serve; there are no worker processes to seed or to
    fork. Rows whose arrays fit in `memory_limit` bytes together are decoded once and kept; the others are
    decoded whenever they are asked for. One image takes height x width x 3 bytes.

    Args:
        root: folder that `paths` are relative to.
        paths: one file a row.
        size: height, width of the arrays, in pixels.
        resize: the filter.
        memory_limit: bytes of decoded images to keep.
        threads: decoding threads.
    """

    def __init__(
        self,
        root: Path,
        paths: Sequence[str],
        size: tuple[int, int],
        *,
        resize: Resize = "bicubic",
        memory_limit: int = 2_000_000_000,
        threads: int = 4,
    ) -> None:
        self.root = root
        self.paths = list(paths)
        self.size = size
        self.resize = resize
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")
        self._room_left = memory_limit // (size[0] * size[1] * 3)
        self._kept: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self.paths)

    def batch(self, rows: Sequence[int] | np.ndarray) -> torch.Tensor:
        """Return the images of `rows` as uint8 [B, 3, height, width].

        Raises:
            UserError: an image cannot be read; the message names the file.
        """
        wanted = [int(row) for row in rows]
        distinct = list(dict.fromkeys(wanted))
        images = dict(zip(distinct, self._pool.map(self._image, distinct), strict=True))
        for row, image in images.items():
            if row not in self._kept and self._room_left > 0:
                self._kept[row] = image
                self._room_left -= 1
        stacked = np.stack([images[row] for row in wanted])
        return torch.from_numpy(stacked).permute(0, 3, 1, 2)

    def batches(self, groups: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
        """Yield (rows, images) for each group of rows, decoding one group ahead of the consumer."""
        with ThreadPoolExecutor(1, thread_name_prefix="prefetch") as ahead:
            pending = None
            for rows in groups:
                following = (rows, ahead.submit(self.batch, rows))
                if pending is not None:
                    yield pending[0], pending[1].result()
                pending = following
            if pending is not None:
                yield pending[0], pending[1].result()

    def _image(self, row: int) -> np.ndarray:
        kept = self._kept.get(row)
        return read_image(self.root / self.paths[row], self.size, self.resize) if kept is None else kept
