"""Weights on disk: embedders as self-describing safetensors, resumable training state, embeddings."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.io import AbstractDataset

from reid_pipeline.io.atomic import replacing
from reid_pipeline.schema.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from reid_pipeline.engine.checkpoint import Checkpoint
    from reid_pipeline.models.embedder import Embedder


class EmbedderDataset(AbstractDataset["Embedder", "Embedder"]):
    """An inference-only embedder: tensors as safetensors, its description as the JSON header.

    Args:
        filepath: the `.safetensors` file.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> "Embedder":
        """Rebuild the embedder on the CPU from the file alone.

        Raises:
            UserError: the file is not one of ours, or its tensors do not fit its description.
        """
        from safetensors import SafetensorError, safe_open

        from reid_pipeline.models.embedder import embedder_from_description

        try:
            with safe_open(self._filepath, framework="pt") as file:
                header = (file.metadata() or {}).get("embedder")
                state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except FileNotFoundError as error:
            raise UserError(
                f"There is no embedder at {self._filepath}. Train or build it first: run the whole pipeline."
            ) from error
        except SafetensorError as error:
            raise UserError(f"{self._filepath} is no safetensors file: {error}. Export it again.") from error
        if header is None:
            raise UserError(f"{self._filepath} does not describe an embedder. Export it again.")
        return embedder_from_description(json.loads(header), state)

    def save(self, data: "Embedder") -> None:
        """Write the embedder's tensors and description."""
        from safetensors.torch import save_file

        state = {name: tensor.detach().cpu().contiguous() for name, tensor in data.state_dict().items()}
        with replacing(self._filepath) as written:
            save_file(state, written, metadata={"embedder": json.dumps(data.description(), sort_keys=True)})

    def _exists(self) -> bool:
        return self._filepath.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}


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


class CheckpointDataset(AbstractDataset["Checkpoint", "Checkpoint"]):
    """A trained stage: tensors as safetensors, its description as the JSON header.

    Args:
        filepath: the `.safetensors` file.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> "Checkpoint":
        """Return the checkpoint, on the CPU.

        Raises:
            UserError: the file is not there, or not one of ours.
        """
        from safetensors import SafetensorError, safe_open

        from reid_pipeline.engine.checkpoint import Checkpoint

        try:
            with safe_open(self._filepath, framework="pt") as file:
                header = (file.metadata() or {}).get("checkpoint")
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except FileNotFoundError as error:
            raise UserError(
                f"There is no checkpoint at {self._filepath}. Train that stage first: run the whole pipeline."
            ) from error
        except SafetensorError as error:
            raise UserError(f"{self._filepath} is no safetensors file: {error}. Train it again.") from error
        if header is None:
            raise UserError(f"{self._filepath} does not describe a trained stage. Train it again.")
        return Checkpoint(tensors, json.loads(header))

    def save(self, data: "Checkpoint") -> None:
        """Write the tensors and the description."""
        from safetensors.torch import save_file

        tensors = {name: tensor.contiguous() for name, tensor in data.tensors.items()}
        header = {"checkpoint": json.dumps(data.description, sort_keys=True)}
        with replacing(self._filepath) as written:
            save_file(tensors, written, metadata=header)

    def _exists(self) -> bool:
        return self._filepath.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}


class TrainingStateDataset(AbstractDataset[dict[str, Any], "dict[str, Any] | None"]):
    """The state from which a killed run goes on; a scratch file that a finished run removes.

    It is no DVC output, since DVC deletes outputs before it runs a stage again.

    Args:
        filepath: the `.pt` file. Loading a file that is not there gives None: nothing to resume.
    """

    # To `--only-missing-outputs` a training lacks nothing if what is kept of it is there.
    _EPHEMERAL = True

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> dict[str, Any] | None:
        """Return the stored state on the CPU, or None."""
        import torch

        if not self._filepath.is_file():
            return None
        state: dict[str, Any] = torch.load(self._filepath, map_location="cpu", weights_only=True)
        return state

    def save(self, data: dict[str, Any]) -> None:
        """Write the state; tensors are copied as they are now."""
        import torch

        with replacing(self._filepath) as written:
            torch.save(data, written)

    def _release(self) -> None:
        """Keep the file: kedro releases datasets as soon as no node needs them."""

    def discard(self) -> None:
        """Remove the file, once the run that wrote it has finished."""
        self._filepath.unlink(missing_ok=True)

    def _exists(self) -> bool:
        return self._filepath.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}


class EmbeddingsDataset(AbstractDataset["dict[str, np.ndarray]", "dict[str, np.ndarray]"]):
    """Embeddings [n, D] and the row numbers of the split table that they belong to, as safetensors.

    Args:
        filepath: the `.safetensors` file.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> "dict[str, np.ndarray]":
        """Return the arrays by name."""
        from safetensors.numpy import load_file

        arrays: dict[str, np.ndarray] = load_file(self._filepath)
        return arrays

    def save(self, data: "dict[str, np.ndarray]") -> None:
        """Write the arrays."""
        from safetensors.numpy import save_file

        with replacing(self._filepath) as written:
            save_file(data, written)

    def _exists(self) -> bool:
        return self._filepath.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
