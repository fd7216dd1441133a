"""Tensors on disk as safetensors: self-describing embedders and checkpoints, and embeddings.

Each holds its origin, and with it the digest of its tensors, which is compared at every load.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.io import AbstractDataset

from reid_pipeline.io.atomic import replacing
from reid_pipeline.schema.digests import digest_of_json
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.origin import Origin

if TYPE_CHECKING:
    from reid_pipeline.engine.checkpoint import Checkpoint
    from reid_pipeline.models.embedder import Embedder
    from reid_pipeline.schema.embeddings import Embeddings

_ORIGIN = "origin"
_SEAL = "header_sha256"


class _SafetensorsDataset(AbstractDataset[Any, Any]):
    """One safetensors file.

    Args:
        filepath: the `.safetensors` file.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def _read(self, framework: str, *, missing: str, again: str) -> tuple[dict[str, Any], dict[str, str]]:
        """Return tensors and header.

        Raises:
            UserError: the file is not there, or no safetensors file; ends in `missing` or `again`.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self._filepath, framework=framework) as file:
                header = dict(file.metadata() or {})
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except FileNotFoundError as error:
            raise UserError(f"There is no {missing}") from error
        except (SafetensorError, ValueError, TypeError) as error:  # a header that names strange types
            raise UserError(f"{self._filepath} is no safetensors file: {error}. {again}") from error
        seal = header.pop(_SEAL, None)
        # The first version wrote one entry at most, and no digest of it.
        if seal != digest_of_json(header) and (seal is not None or len(header) > 1):
            raise UserError(
                f"{self._filepath} is damaged or was changed: its description is not the one written. {again}"
            )
        return tensors, header

    def _write(self, tensors: dict[str, Any], header: dict[str, str], save_file: Any) -> None:
        """Write tensors and header, and the header's digest."""
        with replacing(self._filepath) as written:
            save_file(tensors, written, metadata={**header, _SEAL: digest_of_json(header)})

    def _origin(self, header: Mapping[str, str], digest: str, again: str) -> Origin | None:
        """Return the origin in a header, after comparing its digest with that of the tensors.

        Raises:
            UserError: the tensors are not those that were written.
        """
        if _ORIGIN not in header:
            return None
        origin = Origin.model_validate_json(header[_ORIGIN]).replace(file=str(self._filepath))
        if origin.digest not in (None, digest):
            raise UserError(
                f"{self._filepath} is damaged or was changed: its tensors are not those that {origin.made_by}"
                f" wrote (SHA-256 {digest[:12]} instead of {str(origin.digest)[:12]}). {again}"
            )
        return origin.replace(digest=digest)

    def _exists(self) -> bool:
        return self._filepath.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}


class EmbedderDataset(_SafetensorsDataset):
    """An inference-only embedder: tensors as safetensors, its description and origin in the header.

    Args:
        filepath: the `.safetensors` file.
    """

    def load(self) -> "Embedder":
        """Rebuild the embedder on the CPU from the file alone.

        An embedder of the first version has no origin.

        Raises:
            UserError: the file is not one of ours, its tensors were changed, or do not fit its description.
        """
        from reid_pipeline.engine.checkpoint import digest_of_tensors
        from reid_pipeline.models.embedder import embedder_from_description

        again = "Export it again."
        missing = f"embedder at {self._filepath}. Train or build it first: run the whole pipeline."
        state, header = self._read("pt", missing=missing, again=again)
        if "embedder" not in header:
            raise UserError(f"{self._filepath} does not describe an embedder. {again}")
        origin = self._origin(header, digest_of_tensors(state), again)
        embedder = embedder_from_description(json.loads(header["embedder"]), state)
        embedder.origin = origin
        return embedder

    def save(self, data: "Embedder") -> None:
        """Write the embedder's tensors, description and origin."""
        from safetensors.torch import save_file

        state = {name: tensor.detach().cpu().contiguous() for name, tensor in data.state_dict().items()}
        header = {"embedder": json.dumps(data.description(), sort_keys=True)}
        if data.origin is not None:
            header[_ORIGIN] = _as_json(data.origin)
        self._write(state, header, save_file)


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


class CheckpointDataset(_SafetensorsDataset):
    """A trained stage: tensors as safetensors, its description as the JSON header.

    Args:
        filepath: the `.safetensors` file.
    """

    def load(self) -> "Checkpoint":
        """Return the checkpoint, on the CPU.

        Raises:
            UserError: the file is not there, not one of ours, or its tensors were changed.
        """
        from reid_pipeline.engine.checkpoint import Checkpoint, digest_of_tensors
        from reid_pipeline.schema.earlier_records import read_stage_description

        again = "Train it again."
        missing = f"checkpoint at {self._filepath}. Train that stage first: run the whole pipeline."
        tensors, header = self._read("pt", missing=missing, again=again)
        if "checkpoint" not in header:
            raise UserError(f"{self._filepath} does not describe a trained stage. {again}")
        description = read_stage_description(
            json.loads(header["checkpoint"]), where=str(self._filepath), again=again
        )
        stored = {_ORIGIN: description.origin.model_dump_json()}
        origin = self._origin(stored, digest_of_tensors(tensors), again)
        return Checkpoint(tensors, description.model_copy(update={"origin": origin}))

    def save(self, data: "Checkpoint") -> None:
        """Write the tensors and the description."""
        from safetensors.torch import save_file

        tensors = {name: tensor.contiguous() for name, tensor in data.tensors.items()}
        header = {"checkpoint": json.dumps(data.description.content(), sort_keys=True)}
        self._write(tensors, header, save_file)


class EmbeddingsDataset(_SafetensorsDataset):
    """Embeddings [n, D], the row numbers of the split table that they belong to, and their origin.

    Args:
        filepath: the `.safetensors` file.
    """

    def load(self) -> "Embeddings":
        """Return the embeddings; those of the first version have no origin.

        Raises:
            UserError: the file is not there, holds something else, or was changed.
        """
        from reid_pipeline.schema.digests import digest_of_arrays
        from reid_pipeline.schema.embeddings import Embeddings

        again = "Make them anew: run the pipeline from the node `extract`."
        arrays, header = self._read(
            "np", missing=f"file of embeddings at {self._filepath}. {again}", again=again
        )
        if set(arrays) != {"rows", "embeddings"}:
            raise UserError(f"{self._filepath} holds no embeddings. {again}")
        origin = self._origin(header, digest_of_arrays(arrays), again)
        return Embeddings(arrays["rows"], arrays["embeddings"], origin)

    def save(self, data: "Embeddings") -> None:
        """Write rows, vectors and origin."""
        from safetensors.numpy import save_file

        header = {} if data.origin is None else {_ORIGIN: _as_json(data.origin)}
        self._write({"rows": data.rows, "embeddings": data.vectors}, header, save_file)


def _as_json(origin: Origin) -> str:
    return json.dumps(origin.model_dump(mode="json"), sort_keys=True)
