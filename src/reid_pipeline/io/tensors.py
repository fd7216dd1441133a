"""Named tensors on disk, without a description."""

from pathlib import Path
from typing import Any

from reid_pipeline.io.base import FileDataset


class TensorsDataset(FileDataset[dict[str, Any]]):
    """Named torch tensors as safetensors, loaded to the CPU."""

    def load(self) -> dict[str, Any]:
        """Return the tensors by name."""
        from safetensors.torch import load_file

        return dict(load_file(self._filepath))

    def _write(self, data: dict[str, Any], file: Path) -> None:
        from safetensors.torch import save_file

        save_file(data, file)
