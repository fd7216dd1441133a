"""HTML pages and other text files."""

from pathlib import Path

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
    """One HTML page."""
