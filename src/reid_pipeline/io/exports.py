"""Exports on disk: a folder with a model's files, their card and its page; and what an export is proved on."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reid_pipeline.io.all_cells import test_split_of
from reid_pipeline.io.base import FileDataset, ReadOnlyDataset
from reid_pipeline.io.records import RecordDataset
from reid_pipeline.schema.given_labels import images_of
from reid_pipeline.schema.raw_folder import RawFolder

if TYPE_CHECKING:
    from reid_pipeline.evaluation.cross_benchmark import TestSplit
    from reid_pipeline.export.exporting import Exported
    from reid_pipeline.schema.exports import ExportCard

CARD, PAGE = "card.json", "card.md"


class ExportsDataset(FileDataset[Any]):
    """A folder of exported files, replaced whole, so that its card is of the very files beside it."""

    def load(self) -> "ExportCard":
        """Return the card."""
        card: ExportCard = RecordDataset(filepath=str(self._filepath / CARD), record="ExportCard").load()
        return card

    def _write(self, data: "Exported", file: Path) -> None:
        file.mkdir()
        for name, content in data.files.items():
            (file / name).write_bytes(content)
        (file / CARD).write_text(json.dumps(data.card.content(), indent=2) + "\n", encoding="utf-8")
        (file / PAGE).write_text(data.page, encoding="utf-8")

    def _exists(self) -> bool:
        return (self._filepath / CARD).is_file()


class TestedCollectionDataset(ReadOnlyDataset["Callable[[str | None], TestSplit | None]"]):
    """The test split of a collection, found by its name; None for one without tables.

    Args:
        filepath: the folder of all collections' split tables; `raw` and `intermediate` are as in `TestSplitsDataset`.
        collection: that of the run, which the name None stands for.
        raw_root: the folder of its images, where that is given.
        raw: name of the folder of images beside `filepath`.
        intermediate: name of the folder beside it of what ingestion recorded.
        metadata: for kedro viz.
    """

    __test__ = False  # no test, for pytest

    def __init__(
        self,
        *,
        filepath: str,
        collection: str,
        raw: str,
        intermediate: str,
        raw_root: str | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(filepath=filepath, metadata=metadata)
        self._beside = self._filepath.with_name(raw), self._filepath.with_name(intermediate)
        self._collection, self._raw_root = collection, raw_root

    def load(self) -> "Callable[[str | None], TestSplit | None]":
        """Return what finds a test split; its tables are read when it is asked."""
        return self._find

    def _find(self, collection: str | None) -> "TestSplit | None":
        name = collection or self._collection
        raw, intermediate = self._beside[0] / images_of(name), self._beside[1] / name
        if self._raw_root is not None and name == self._collection:
            raw = Path(self._raw_root)
        table = self._filepath / name / "split_table.parquet"
        return test_split_of(table, RawFolder(raw, ()), intermediate) if table.is_file() else None
