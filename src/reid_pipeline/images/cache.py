"""Images of one size on disk: decoded and resized once, then mapped into memory.

For each size there is a folder of two files that only grow: `pixels` is an array of uint8 [n, height, width, 3],
and `hashes` has the SHA-256 of the n files that they were decoded from, written after the pixels have reached the
disk: what a killed process leaves is a tail that no hash names. One process writes at a time, under a lock.
"""

import hashlib
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from reid_pipeline.images.decode import READING, TargetSize, decode_image, read_file
from reid_pipeline.schema.errors import UserError

_HASH_BYTES = 32
_AT_A_TIME = 64_000_000  # bytes of pixels that are written before their hashes are


@dataclass(frozen=True)
class ImageCache:
    """A folder with a folder for each size and way of resizing; it need not exist."""

    folder: Path

    def of_size(self, target: TargetSize) -> "SizedImages":
        """Return the images of a size; those of earlier versions of the decoder are not found."""
        white = "" if target.white_value is None else f"_white{target.white_value}"
        name = f"{target.height}x{target.width}_{target.resize_filter}_{READING}{white}"
        return SizedImages(self, self.folder / name, target)

    def nbytes(self) -> int:
        """Return the bytes that all sizes take on disk."""
        return sum(path.stat().st_size for path in self.folder.glob("*/*"))


@dataclass(frozen=True)
class SizedImages:
    """The cached images of one size, in a folder of two files."""

    cache: ImageCache
    folder: Path
    target: TargetSize

    @property
    def bytes_each(self) -> int:
        """Bytes that an image takes on disk."""
        return self.target.nbytes + _HASH_BYTES

    def places(self) -> dict[str, int]:
        """Return the index into `pixels` by SHA-256 in hexadecimal digits; empty where nothing is stored."""
        try:
            hashes = (self.folder / "hashes").read_bytes()
            whole = (self.folder / "pixels").stat().st_size // self.target.nbytes
        except FileNotFoundError:
            return {}
        count = min(len(hashes) // _HASH_BYTES, whole)
        return {hashes[_HASH_BYTES * place :][:_HASH_BYTES].hex(): place for place in range(count)}

    def pixels(self) -> np.ndarray:
        """Map the images that were ever written, read only: uint8 [n, height, width, 3]."""
        count = (self.folder / "pixels").stat().st_size // self.target.nbytes
        mapped = np.memmap(self.folder / "pixels", np.uint8, "r", shape=(count, *self.target[:2], 3))
        return mapped.view(np.ndarray)  # numpy gathers from a plain array without a detour through Python

    def fill(
        self,
        files: Mapping[str, Path],
        *,
        limit: int,
        on_done: Callable[[int], None] | None = None,
        on_wait: Callable[[], None] | None = None,
        threads: int = 4,
    ) -> None:
        """Decode and write the images that are missing, as far as the limit allows.

        `files` are by SHA-256 of their content in hexadecimal digits, and `limit` is in bytes of the whole cache.
        `on_done` is called in this thread with the number of images of `files` that are stored, `on_wait` if
        another process is writing; this one goes on after it.

        Raises:
            UserError: an image cannot be read, or a file is not the one that was hashed.
            OSError: the folder cannot be written, or the disk is full; what was written stays good.
        """
        with self._only_writer(on_wait), ThreadPoolExecutor(threads, thread_name_prefix="fill") as pool:
            places = self.places()
            # What a killed process left is removed; the hashes first, they vouch for the pixels.
            for name, size in (("hashes", _HASH_BYTES), ("pixels", self.target.nbytes)):
                if (self.folder / name).exists():
                    os.truncate(self.folder / name, size * len(places))
            missing = [(digest, path) for digest, path in files.items() if digest not in places]
            done = len(files) - len(missing)
            fitting = max(0, limit - self.cache.nbytes()) // self.bytes_each
            wanted = iter(missing[:fitting])
            while chunk := list(islice(wanted, max(1, _AT_A_TIME // self.target.nbytes))):
                images = list(pool.map(lambda item: self._decode(*item), chunk))
                self._append("pixels", [image.data for image in images])
                self._append("hashes", [bytes.fromhex(digest) for digest, _ in chunk])
                done += len(chunk)
                if on_done is not None:
                    on_done(done)

    def _decode(self, digest: str, path: Path) -> np.ndarray:
        content = read_file(path)
        if hashlib.sha256(content).hexdigest() != digest:
            raise UserError(
                f"Image {path} is not the file that the split table was made of: its content has changed."
                " Run ingestion again, or put the old file back."
            )
        return decode_image(content, path, self.target)

    def _append(self, name: str, parts: list[bytes] | list[memoryview]) -> None:
        with (self.folder / name).open("ab") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())

    def _only_writer(self, on_wait: Callable[[], None] | None) -> AbstractContextManager[object]:
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.cache.folder / "lock", fallback_to_soft=False)
        try:
            return lock.acquire(blocking=False)
        except Timeout:
            if on_wait is not None:
                on_wait()
            return lock.acquire()
