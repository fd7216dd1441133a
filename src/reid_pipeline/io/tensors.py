"""Named tensors on disk, without a description."""

from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset

from reid_pipeline.io.atomic import replacing


class TensorsDataset(AbstractDataset["dict[str, Any]", "dict[str, Any]"]):
    """Named torch tensors as safetensors.

    Args:
        filepath: the `.safetensors` file.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> dict[str, Any]:
        """Return the tensors by name, on the CPU."""
        from safetensors.torch import load_file

        tensors: dict[str, Any] = load_file(self._filepath)
        return tensors

    def save(self, data: dict[str, Any]) -> None:
        """Write the tensors."""
        from safetensors.torch import save_file

        with replacing(self._filepath) as written:
            save_file(data, written)

    def _exists(self) -> bool:
        return self._filepath.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
