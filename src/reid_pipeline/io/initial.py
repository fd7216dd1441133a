"""The model that a training starts from: an embedder of this project, or a published ReID model."""

from typing import TYPE_CHECKING, Any

from reid_pipeline.io.base import ReadOnlyDataset
from reid_pipeline.io.weights import EmbedderDataset
from reid_pipeline.schema.errors import UserError

if TYPE_CHECKING:
    from reid_pipeline.models.embedder import Embedder
    from reid_pipeline.models.importers import PublishedModel

_SAFETENSORS = 8  # bytes before a safetensors file's header


class InitialModelDataset(ReadOnlyDataset["Embedder | PublishedModel | None"]):
    """A file whose content decides what it is; without a `filepath` there is none, and training starts as it does."""

    _refusal = "The model that a training starts from is read, not written; got {kind}."

    def __init__(self, *, filepath: str | None = None, metadata: dict[str, Any] | None = None) -> None:
        super().__init__(filepath=filepath or "", metadata=metadata)
        self._named = filepath is not None

    def load(self) -> "Embedder | PublishedModel | None":
        """Return the model, or None where none is named."""
        if not self._named:
            return None
        if self._is_ours():
            again = "Correct init_from, or make that embedder anew."
            embedder: Embedder = EmbedderDataset(filepath=str(self._filepath), again=again).load()
            return embedder
        from reid_pipeline.models.importers import read_published

        try:
            return read_published(self._filepath)
        except UserError as error:
            raise UserError(f"init_from: {error}") from error

    def _is_ours(self) -> bool:
        """Return whether the file is a safetensors file with a header of this project's."""
        from safetensors import SafetensorError, safe_open

        with self._filepath.open("rb") as file:
            begins_so = file.read(_SAFETENSORS + 1)[_SAFETENSORS:] == b"{"
        if not begins_so:
            return False
        try:
            with safe_open(self._filepath, framework="pt") as opened:
                return bool({"header", "embedder", "checkpoint"} & set(opened.metadata() or {}))
        except (SafetensorError, ValueError, TypeError):
            return False  # its reader says what is wrong

    def _exists(self) -> bool:
        return not self._named or self._filepath.is_file()
