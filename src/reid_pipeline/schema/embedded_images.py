"""Any images embedded by one model: a vector for each file, and what is known of it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from reid_pipeline.schema.columns import CAMERA, IDENTITY, PATH, TIME, TRACKID
from reid_pipeline.schema.digests import digest_of_buffers
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.origin import Origin

EMBEDDED_COLUMNS = (PATH, IDENTITY, CAMERA, TIME, TRACKID)
"""Of the rows, in this order."""
UNIT_WITHIN = 1e-3
"""How far from 1 the length of a vector may be: half precision is within it."""


@dataclass(frozen=True)
class EmbeddedImages:
    """Vectors of image files, row by row.

    Attributes:
        rows: `schema.tables.EMBEDDED_IMAGES`.
        vectors: float32 [n, D], unit rows, in that order.
        origin: made_by, the embedder, its label use; the digest is that of rows and vectors.
        model: SHA-256 of the embedder's tensors: vectors of one model alone can be compared.
        root: the folder that relative paths begin at.

    Raises:
        UserError: there are not as many rows as vectors, or a vector is not finite, or no unit vector.
    """

    rows: pd.DataFrame
    vectors: np.ndarray
    origin: Origin
    model: str
    root: str

    def __post_init__(self) -> None:
        if self.vectors.ndim != 2 or self.vectors.dtype != np.float32 or len(self.rows) != len(self.vectors):
            raise self._error(
                f"{len(self.rows)} rows do not fit vectors {self.vectors.dtype} {list(self.vectors.shape)}; float32"
                f" [{len(self.rows)}, D] is needed"
            )
        lengths = np.sqrt(np.einsum("nd,nd->n", self.vectors, self.vectors, dtype=np.float64))
        bad = np.flatnonzero(~(np.abs(lengths - 1) <= UNIT_WITHIN))  # NaN is none
        if len(bad):
            first = self.rows[PATH].iloc[bad[0]]
            raise self._error(
                f"{len(bad)} of {len(lengths)} vectors are not finite unit vectors, such as that of {first}"
            )

    @property
    def width(self) -> int:
        """Numbers of a vector."""
        return int(self.vectors.shape[1])

    def files(self) -> list[Path]:
        """Return the file of every row."""
        root = Path(self.root)
        return [root / path for path in self.rows[PATH]]

    def digest(self) -> str:
        """Return the SHA-256 of rows, vectors, model and root."""
        return digest_of_buffers(self._buffers())

    def _buffers(self) -> Iterator[tuple[str, str, list[int], Any]]:
        yield "of", "json", [2], json.dumps([self.model, self.root]).encode()
        for name in EMBEDDED_COLUMNS:
            yield name, "json", [len(self.rows)], json.dumps(self.rows[name].tolist()).encode()
        flat = np.ascontiguousarray(self.vectors).reshape(-1).view(np.uint8).data
        yield "vector", "float32", list(self.vectors.shape), flat

    def _error(self, what: str) -> UserError:
        file = f" {self.origin.file}" if self.origin.file else ""
        return UserError(f"Embedded images{file}: {what}. Make them anew: kedro run --pipeline=embed.")
