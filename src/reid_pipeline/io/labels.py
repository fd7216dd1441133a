"""The file of identities that `labels_from` names, and the clusters that runs of this project have written."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset

from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.given_labels import CLUSTERS_FILE, LABELS_FROM, GivenLabels, images_of

_LONGEST = 100_000  # bytes in which the header and a row end


class GivenLabelsDataset(AbstractDataset[Any, "GivenLabels | None"]):
    """The file that is named, not yet read, with the runs of all `clusters.csv` below `path`; None without a file."""

    def __init__(
        self,
        *,
        filepath: str | None = None,
        path: str = "",
        collection: str = "",
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._file = None if filepath is None else Path(filepath)
        self._results, self._collection = Path(path), collection
        self.metadata = metadata

    def load(self) -> GivenLabels | None:
        """Return the file and the runs; None where none is named."""
        if self._file is None:
            return None
        return GivenLabels(self._file, self._collection, self._cells())

    def _cells(self) -> dict[str, str]:
        """Return a cell by run: one of this collection where several have the same images and model."""
        cells: dict[str, str] = {}
        for run, cell in _runs(self._results):
            if run not in cells or images_of(cell.split("/")[0]) == images_of(self._collection):
                cells[run] = cell
        return cells

    def save(self, data: Any) -> None:
        """Refuse to write."""
        raise UserError(f"What {LABELS_FROM} names is read, not written; got {type(data).__name__}.")

    def _exists(self) -> bool:
        return self._file is None or self._file.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": None if self._file is None else str(self._file)}


def _runs(results: Path) -> Iterator[tuple[str, str]]:
    """Yield the run of each file of clusters, as its first row has it, and the address of its cell."""
    for file in sorted(results.glob(f"*/*/seed_*/{CLUSTERS_FILE}")):
        try:
            with file.open("rb") as opened:
                text = opened.read(_LONGEST).decode("utf-8-sig", errors="replace")
        except OSError:
            continue
        lines = text.splitlines()[:2] or [""]
        header, first = [*csv.reader(lines, delimiter=max(",;\t", key=lines[0].count)), []][:2]
        if run := dict(zip(header, first, strict=False)).get("run", "").strip():
            yield run, file.parent.relative_to(results).as_posix()
