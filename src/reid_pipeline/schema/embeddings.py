"""Embeddings of rows of the split table, with their origin."""

from dataclasses import dataclass

import numpy as np

from reid_pipeline.schema.errors import UserError, first_few
from reid_pipeline.schema.origin import Origin


@dataclass(frozen=True)
class Embeddings:
    """Vectors and the rows that they belong to.

    Attributes:
        rows: int64 [n], row numbers of the split table.
        vectors: float32 [n, D], unit rows, in that order.
        origin: what they were made from; None where nobody noted it.

    Raises:
        UserError: there are not as many rows as vectors, or a row stands twice.
    """

    rows: np.ndarray
    vectors: np.ndarray
    origin: Origin | None = None

    def __post_init__(self) -> None:
        if self.rows.ndim != 1 or self.vectors.ndim != 2 or len(self.rows) != len(self.vectors):
            raise UserError(
                f"{self._name()}: {list(self.rows.shape)} rows do not fit vectors {list(self.vectors.shape)};"
                " rows [n] and vectors [n, D] are needed. Make them anew from the node `extract`."
            )
        if len(np.unique(self.rows)) < len(self.rows):
            raise UserError(f"{self._name()}: a row stands twice. Make them anew from the node `extract`.")

    def of(self, rows: np.ndarray) -> np.ndarray:
        """Return the vectors of `rows`, float32 [m, D].

        Raises:
            UserError: a row has none.
        """
        order = np.argsort(self.rows)
        places = np.searchsorted(self.rows, rows, sorter=order)
        found = order[np.minimum(places, len(order) - 1)] if len(order) else np.zeros(len(rows), np.int64)
        missing = rows[self.rows[found] != rows] if len(order) else rows
        if len(missing):
            raise UserError(
                f"{self._name()}: {len(missing)} of {len(rows)} rows that are tested have no embedding, such"
                f" as rows {first_few(missing.tolist())} of the split table. Make them anew from the node"
                " `extract`."
            )
        return self.vectors[found]

    def _name(self) -> str:
        file = self.origin.file if self.origin is not None else ""
        return f"Embeddings {file}" if file else "Embeddings"
