"""Embeddings of rows of the split table, with the images' paths and their origin."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from reid_pipeline.schema.errors import UserError, first_few
from reid_pipeline.schema.origin import Origin


@dataclass(frozen=True)
class Embeddings:
    """Vectors and the rows that they belong to.

    Raises:
        UserError: there are not as many rows, or paths, as vectors, or a row stands twice.
    """

    rows: np.ndarray  # int64 [n], row numbers of the split table
    vectors: np.ndarray  # float32 [n, D], unit rows, in that order
    origin: Origin | None = None  # None if unknown
    paths: tuple[str, ...] | None = None  # of the images, below the raw folder; None in files of earlier versions

    def __post_init__(self) -> None:
        if self.rows.ndim != 1 or self.vectors.ndim != 2 or len(self.rows) != len(self.vectors):
            raise self._error(
                f"{list(self.rows.shape)} rows do not fit vectors {list(self.vectors.shape)};"
                " rows [n] and vectors [n, D] are needed"
            )
        if self.paths is not None and len(self.paths) != len(self.rows):
            raise self._error(f"{len(self.paths)} paths do not fit {len(self.rows)} rows")
        if len(np.unique(self.rows)) < len(self.rows):
            raise self._error("a row stands twice")

    def of(self, rows: np.ndarray) -> np.ndarray:
        """Return the vectors of `rows`, float32 [m, D]; a UserError where a row has none."""
        found = pd.Index(self.rows).get_indexer(rows)
        missing = rows[found < 0]
        if len(missing):
            raise self._error(
                f"{len(missing)} of {len(rows)} rows that are tested have no embedding, such"
                f" as rows {first_few(missing.tolist())} of the split table"
            )
        vectors: np.ndarray = self.vectors[found]
        return vectors

    def _error(self, what: str) -> UserError:
        file = f" {self.origin.file}" if self.origin is not None and self.origin.file else ""
        return UserError(f"Embeddings{file}: {what}. Make them anew from the node `extract`.")
