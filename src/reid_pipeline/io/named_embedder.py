"""The embedder that a run names by `model`: a cell, or a file."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.io import AbstractDataset

from reid_pipeline.io.weights import EmbedderDataset
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.model_files import FORMS

if TYPE_CHECKING:
    from reid_pipeline.models.embedder import Embedder

_AGAIN = "Correct model, or make that embedder anew; a published model is imported first, --pipeline=import_model."


class NamedEmbedderDataset(AbstractDataset[Any, "Embedder"]):
    """The embedder of a file; `model` is its path, None where none is named, which loading refuses."""

    def __init__(self, *, model: str | None = None, metadata: dict[str, Any] | None = None) -> None:
        self._model = None if model is None else Path(model)
        self.metadata = metadata

    def load(self) -> "Embedder":
        """Return the embedder, on the CPU."""
        if self._model is None:
            raise UserError(
                f"There is no model to embed with. Give --params model={FORMS}, or the path of an embedder."
            )
        embedder: Embedder = EmbedderDataset(filepath=str(self._model), again=_AGAIN).load()
        return embedder

    def save(self, data: Any) -> None:
        """Refuse to write."""
        raise UserError(f"What model names is read, not written; got {type(data).__name__}.")

    def _exists(self) -> bool:
        return self._model is None or self._model.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"model": None if self._model is None else str(self._model)}
