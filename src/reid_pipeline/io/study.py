"""Where a study is kept."""

from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset

from reid_pipeline.schema.errors import UserError


class StudyFileDataset(AbstractDataset[Any, str]):
    """The file that a study writes itself, trial by trial and from several processes; loading gives its path.

    Args:
        filepath: the file; its folder is made.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> str:
        """Make the folder and return the path."""
        self._filepath.parent.mkdir(parents=True, exist_ok=True)
        return str(self._filepath)

    def save(self, data: Any) -> None:
        """Refuse: the study writes its file."""
        raise UserError(f"{self._filepath} is the study's own; {type(data).__name__} was not written.")

    def _exists(self) -> bool:
        return True  # a study that has not begun is an empty one, so that there is always something to load

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
