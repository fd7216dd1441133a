"""HTML pages, which know each other, and other text files."""

import os
from pathlib import Path
from typing import Any

from reid_pipeline.io.base import FileDataset, reading
from reid_pipeline.schema.regular_files import read_regular


class TextDataset(FileDataset[str]):
    """One text file, such as Markdown or CSV."""

    def load(self) -> str:
        """Return the text."""
        with reading(self._filepath):
            return read_regular(self._filepath).decode("utf-8")

    def _write(self, data: str, file: Path) -> None:
        file.write_text(data, encoding="utf-8")


class HTMLPageDataset(TextDataset):
    """One HTML page; saving it renews the index of all pages, and puts plotly.js beside that if the page has figures.

    Args:
        filepath: the page.
        root: the folder of all pages as seen from the page's folder, such as `../..`.
    """

    def __init__(self, *, filepath: str, root: str = ".", metadata: dict[str, Any] | None = None) -> None:
        super().__init__(filepath=filepath, metadata=metadata)
        self._root = root

    def _describe(self) -> dict[str, Any]:
        return {**super()._describe(), "root": self._root}

    def _write(self, data: str, file: Path) -> None:
        from reid_pipeline.reporting.page import ROOT

        super()._write(data.replace(ROOT, f"{self._root}/"), file)

    def _written(self, data: str) -> None:
        from reid_pipeline.io.index_page import put_plotly, renew_index
        from reid_pipeline.reporting.page import ROOT, plotly_file

        folder = Path(os.path.normpath(self._filepath.parent / self._root))
        if f"{ROOT}{plotly_file()}" in data:
            put_plotly(folder)
        if ROOT in data:
            renew_index(folder)
