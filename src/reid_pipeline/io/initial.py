"""The model that a training starts from: an embedder of this project, or a published ReID model."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.io import AbstractDataset

from reid_pipeline.io.weights import EmbedderDataset
from reid_pipeline.schema.errors import UserError

if TYPE_CHECKING:
    from reid_pipeline.models.embedder import Embedder
    from reid_pipeline.models.importers import PublishedModel

_SAFETENSORS = 8  # bytes before a safetensors file's header


class InitialModelDataset(AbstractDataset[Any, "Embedder | PublishedModel | None"]):
    """A file whose content decides what it is; without a `filepath` there is none, and training starts as it does."""

    def __init__(self, *, filepath: str | None = None, metadata: dict[str, Any] | None = None) -> None:
        self._file = None if filepath is None else Path(filepath)
        self.metadata = metadata

    def load(self) -> "Embedder | PublishedModel | None":
        """Return the model, or None where none is named."""
        if self._file is None:
            return None
        if _is_ours(self._file):
            again = "Correct init_from, or make that embedder anew."
            embedder: Embedder = EmbedderDataset(filepath=str(self._file), again=again).load()
            return embedder
        from reid_pipeline.models.importers import read_published

        try:
            return read_published(self._file)
        except UserError as error:
            raise UserError(f"init_from: {error}") from error

    def save(self, data: Any) -> None:
        """Refuse to write."""
        raise UserError(f"The model that a training starts from is read, not written; got {type(data).__name__}.")

    def _exists(self) -> bool:
        return self._file is None or self._file.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": None if self._file is None else str(self._file)}


def _is_ours(path: Path) -> bool:
    """Return whether a file is a safetensors file with a header of this project's."""
    from safetensors import SafetensorError, safe_open

    with path.open("rb") as file:
        begins_so = file.read(_SAFETENSORS + 1)[_SAFETENSORS:] == b"{"
    if not begins_so:
        return False
    try:
        with safe_open(path, framework="pt") as opened:
            return bool({"header", "embedder", "checkpoint"} & set(opened.metadata() or {}))
    except (SafetensorError, ValueError, TypeError):
        return False  # its reader says what is wrong
