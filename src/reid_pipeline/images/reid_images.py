"""The images of a split as arrays of one size: from the cache, from memory, or decoded on demand."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from reid_pipeline.images.decode import TargetSize, read_image


@dataclass(frozen=True)
class DecodedImages:
    """Decoded images, uint8 [m, height, width, 3], and the index of each row's among them, int64 [rows]; -1: none."""

    pixels: np.ndarray
    places: np.ndarray

    def gather(self, rows: np.ndarray, out: np.ndarray) -> np.ndarray:
        """Copy the decoded images of `rows` into `out`; return the positions in `rows` of the others."""
        places = self.places[rows]
        found = places >= 0
        if found.all():
            # With checks of the index, numpy would copy by way of a buffer.
            np.take(self.pixels, places, axis=0, out=out, mode="clip")
            return np.empty(0, dtype=np.int64)
        out[found] = self.pixels[places[found]]
        return np.flatnonzero(~found)


class ReIDImages:
    """Images of one size, addressed by row, returned as uint8 batches.

    Rows in the cache are copied from it. Of the others, as many as fit into `memory_limit` bytes are decoded
    once and stored; the rest is decoded at each use. One image takes height x width x 3 bytes.

    `paths` are one file a row, relative to `root`; `threads` decode; images in `cached` need no decoding.
    """

    def __init__(
        self,
        root: Path,
        paths: Sequence[str],
        size: tuple[int, int] | TargetSize,
        *,
        memory_limit: int = 2_000_000_000,
        threads: int = 4,
        cached: DecodedImages | None = None,
    ) -> None:
        self.root = root
        self.paths = list(paths)
        self.target = TargetSize(*size)
        self.pinned = False  # whether batches lie in page-locked memory, from which a CUDA device copies by itself
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")
        self._shape = (self.target.height, self.target.width, 3)
        nowhere = np.full(len(self.paths), -1, dtype=np.int64)
        self._cached = cached or DecodedImages(np.empty((0, *self._shape), dtype=np.uint8), nowhere)
        uncached = int((self._cached.places < 0).sum())
        # Memory that is not written to is not taken.
        buffer = np.empty((min(memory_limit // self.target.nbytes, uncached), *self._shape), dtype=np.uint8)
        self._stored = DecodedImages(buffer, nowhere.copy())
        self._stored_count = 0

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.target[:2]

    def batch(self, rows: Sequence[int] | np.ndarray) -> torch.Tensor:
        """Return the images of `rows` as uint8 [B, 3, height, width], channels last in memory.

        Raises:
            UserError: an image cannot be read; the message names the file.
        """
        wanted = np.asarray(rows, dtype=np.int64)
        made = torch.empty((len(wanted), *self._shape), dtype=torch.uint8, pin_memory=self.pinned)
        out = made.numpy()
        left = self._cached.gather(wanted, out)
        if len(left) == len(wanted):
            self._from_memory(wanted, out)
        elif len(left):
            others = np.empty((len(left), *self._shape), dtype=np.uint8)
            self._from_memory(wanted[left], others)
            out[left] = others
        return made.permute(0, 3, 1, 2)

    def batches(
        self, groups: Iterable[np.ndarray], part: Callable[[np.ndarray], np.ndarray] | None = None
    ) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
        """Yield (rows, images) for each group of rows, decoding one group ahead of the consumer.

        Where `part` says which of a group's rows are wanted, images are of these alone.
        """
        with ThreadPoolExecutor(1, thread_name_prefix="prefetch") as ahead:
            pending: deque[tuple[np.ndarray, Future[torch.Tensor]]] = deque()
            for rows in groups:
                pending.append((rows, ahead.submit(self.batch, rows if part is None else part(rows))))
                if len(pending) > 1:
                    first, images = pending.popleft()
                    yield first, images.result()
            for last, images in pending:
                yield last, images.result()

    def _from_memory(self, rows: np.ndarray, out: np.ndarray) -> None:
        """Copy the images of `rows` into `out`; decode those that are not stored, and store what fits."""
        unknown = list(dict.fromkeys(rows[self._stored.places[rows] < 0].tolist()))
        # A share for each thread: handing over image by image took a quarter of the time.
        shares = [unknown[start :: self._threads] for start in range(self._threads)]
        decoded = {
            row: image
            for share, images in zip(shares, self._pool.map(self._decode, shares), strict=True)
            for row, image in zip(share, images, strict=True)
        }
        for row in unknown[: len(self._stored.pixels) - self._stored_count]:
            self._stored.pixels[self._stored_count] = decoded[row]
            self._stored.places[row] = self._stored_count
            self._stored_count += 1
        for place in self._stored.gather(rows, out):
            out[place] = decoded[int(rows[place])]

    def _decode(self, rows: list[int]) -> list[np.ndarray]:
        return [read_image(self.root / self.paths[row], self.target) for row in rows]
