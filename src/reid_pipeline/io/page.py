"""HTML pages and other text files."""

from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset

from reid_pipeline.io.atomic import replacing


class TextDataset(AbstractDataset[str, str]):
    """One text file, such as Markdown or CSV.

    Args:
        filepath: the file.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> str:
        """Return the text."""
        return self._filepath.read_text(encoding="utf-8")

    def save(self, data: str) -> None:
        """Write the text."""
        with replacing(self._filepath) as written:
            written.write_text(data, encoding="utf-8")

    def _exists(self) -> bool:
        return self._filepath.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}


class HTMLPageDataset(TextDataset):
    """One HTML page.

    Args:
        filepath: the `.html` file.
    """
