"""HTML pages and other text files."""

from pathlib import Path

from reid_pipeline.io.base import FileDataset


class TextDataset(FileDataset[str]):
    """One text file, such as Markdown or CSV."""

    def load(self) -> str:
        """Return the text."""
        return self._filepath.read_text(encoding="utf-8")

    def _write(self, data: str, file: Path) -> None:
        file.write_text(data, encoding="utf-8")


class HTMLPageDataset(TextDataset):
    """One HTML page."""
