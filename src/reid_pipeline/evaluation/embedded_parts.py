"""What a killed embedding has finished: parts of whole batches, found again by what they were made from.

A part's name is a digest of all that decides its vectors, the images' bytes among it: whatever changed since is
embedded anew, and nothing else. A file is replaced whole, and holds the digest of its numbers.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout

from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.tables import IMAGE_FACTS

_DIGEST_BYTES = 32
_FACTS = "image_facts.parquet"


@dataclass(frozen=True)
class EmbeddedParts:
    """A folder of finished parts, which need not exist.

    Attributes:
        folder: of one output; it is removed with all parts when that is written.
    """

    folder: Path

    @contextmanager
    def only_writer(self) -> Iterator[None]:
        """Keep other processes from embedding under the same name; a UserError where one is at it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder.with_suffix(".lock"), fallback_to_soft=False)
        try:
            lock.acquire(blocking=False)
        except Timeout as error:
            raise UserError(
                f"Another process is embedding under the name {self.folder.name}. Wait until it has ended, or give"
                " this run a name of its own: --params name=<name>."
            ) from error
        try:
            yield
        finally:
            lock.release()

    def vectors(self, name: str, count: int, width: int) -> np.ndarray | None:
        """Return the vectors of a finished part, float32 [count, width]; None where there is none that is whole."""
        try:
            content = (self.folder / name).read_bytes()
        except FileNotFoundError:
            return None
        digest, numbers = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
        if hashlib.sha256(numbers).digest() != digest or len(numbers) != 4 * count * width:
            return None
        return np.frombuffer(numbers, np.float32).reshape(count, width)

    def keep_vectors(self, name: str, vectors: np.ndarray) -> None:
        """Store the vectors of a part for good."""
        numbers = np.ascontiguousarray(vectors, dtype=np.float32).tobytes()
        self._replace(name, hashlib.sha256(numbers).digest() + numbers)

    def facts(self) -> pd.DataFrame | None:
        """Return `schema.tables.IMAGE_FACTS` of an earlier process, None where there is none that can be used."""
        try:
            return IMAGE_FACTS.validate(pd.read_parquet(self.folder / _FACTS))
        except Exception:  # what it would have saved is done anew
            return None

    def keep_facts(self, facts: pd.DataFrame) -> None:
        """Store what decoding the image files showed."""
        self._replace(_FACTS, facts.to_parquet())

    def _replace(self, name: str, content: bytes) -> None:
        unfinished = self.folder / f".{name}"
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(self.folder / name)
