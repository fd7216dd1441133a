"""Weights on disk: self-describing embedders and checkpoints, resumable training state, embeddings.

Each holds its origin, and with it the digest of its tensors, which is compared at every load.
"""

import json
import logging
import pickle
import zipfile
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
_DIGEST, _STATE = "digest", "state"
_UNREADABLE = (
    AttributeError, EOFError, IndexError, KeyError, OSError, RuntimeError, TypeError, ValueError,
    pickle.UnpicklingError, zipfile.BadZipFile,
)  # fmt: skip
"""What torch.load says of bytes that are not what it wrote."""
_HEADER, _SHA256 = "header", "sha256"
_FIRST = {"embedder", "checkpoint"}
"""The header's entry in files of the first version."""

_log = logging.getLogger(__name__)


class _SafetensorsDataset(AbstractDataset[Any, Any]):
    """One safetensors file.

    Args:
        filepath: the `.safetensors` file.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def _read(self, framework: str, *, missing: str, again: str) -> tuple[dict[str, Any], dict[str, Any]]:
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
        return tensors, self._header(header, again)

    def _header(self, metadata: dict[str, str], again: str) -> dict[str, Any]:
        """Return the entries of the header; the first version had one at most, and no digest of it."""
        if _HEADER not in metadata and metadata.keys() <= _FIRST:
            return {name: json.loads(text) for name, text in metadata.items()}
        try:
            header = dict(json.loads(metadata[_HEADER]))
            whole = header.pop(_SHA256) == digest_of_json(header)
        except (KeyError, TypeError, ValueError):
            whole = False
        if not whole:
            raise UserError(
                f"{self._filepath} is damaged or was changed: its description is not the one written. {again}"
            )
        return header

    def _write(self, tensors: dict[str, Any], header: dict[str, Any], save_file: Any) -> None:
        """Write tensors and header, in one entry: of several, safetensors leaves the order to chance."""
        text = json.dumps({**header, _SHA256: digest_of_json(header)}, sort_keys=True)
        with replacing(self._filepath) as written:
            save_file(tensors, written, metadata={_HEADER: text})

    def _origin(self, header: Mapping[str, Any], digest: str, again: str) -> Origin | None:
        """Return the origin in a header, after comparing its digest with that of the tensors.

        Raises:
            UserError: the tensors are not those that were written.
        """
        if _ORIGIN not in header:
            return None
        origin = Origin.model_validate(header[_ORIGIN]).replace(file=str(self._filepath))
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
        embedder = embedder_from_description(header["embedder"], state)
        embedder.origin = origin
        return embedder

    def save(self, data: "Embedder") -> None:
        """Write the embedder's tensors, description and origin."""
        from safetensors.torch import save_file

        state = {name: tensor.detach().cpu().contiguous() for name, tensor in data.state_dict().items()}
        header = {"embedder": data.description()}
        if data.origin is not None:
            header[_ORIGIN] = data.origin.model_dump(mode="json")
        self._write(state, header, save_file)


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
        where = str(self._filepath)
        description = read_stage_description(header["checkpoint"], where=where, again=again)
        stored = {_ORIGIN: description.origin.model_dump()}
        origin = self._origin(stored, digest_of_tensors(tensors), again)
        return Checkpoint(tensors, description.model_copy(update={"origin": origin}))

    def save(self, data: "Checkpoint") -> None:
        """Write the tensors and the description."""
        from safetensors.torch import save_file

        tensors = {name: tensor.contiguous() for name, tensor in data.tensors.items()}
        header = {"checkpoint": data.description.content()}
        self._write(tensors, header, save_file)


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
        """Return the stored state on the CPU, or None; one that is damaged, or of the first version, is none.

        Such a state is said by a warning, and overwritten after the first epoch.
        """
        if not self._filepath.is_file():
            return None
        state, fault = self._read()
        if fault:
            _log.warning("The state of a killed run in %s %s: training starts anew.", self._filepath, fault)
        return state

    def _read(self) -> tuple[dict[str, Any] | None, str]:
        """Return the state, or None and what is wrong with the file."""
        import torch

        from reid_pipeline.engine.checkpoint import digest_of_state

        try:
            stored: Any = torch.load(self._filepath, map_location="cpu", weights_only=True)
        except _UNREADABLE as error:
            return None, f"cannot be read ({type(error).__name__})"
        if not isinstance(stored, dict) or not {_DIGEST, _STATE} <= stored.keys():
            return None, "was written by an earlier version, which did not note the weights it started from"
        if stored[_DIGEST] != digest_of_state(stored[_STATE]):
            return None, "is damaged: its numbers are not those that were written"
        return stored[_STATE], ""

    def save(self, data: dict[str, Any]) -> None:
        """Write the state and its digest; tensors are copied as they are now."""
        import torch

        from reid_pipeline.engine.checkpoint import digest_of_state

        with replacing(self._filepath) as written:
            torch.save({_DIGEST: digest_of_state(data), _STATE: data}, written)

    def _release(self) -> None:
        """Keep the file: kedro releases datasets as soon as no node needs them."""

    def discard(self) -> None:
        """Remove the file, once the run that wrote it has finished."""
        self._filepath.unlink(missing_ok=True)

    def _exists(self) -> bool:
        return self._filepath.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}


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
        arrays, header = self._read("np", missing=f"file of embeddings at {self._filepath}. {again}", again=again)
        if set(arrays) != {"rows", "embeddings"}:
            raise UserError(f"{self._filepath} holds no embeddings. {again}")
        origin = self._origin(header, digest_of_arrays(arrays), again)
        return Embeddings(arrays["rows"], arrays["embeddings"], origin)

    def save(self, data: "Embeddings") -> None:
        """Write rows, vectors and origin."""
        from safetensors.numpy import save_file

        header = {} if data.origin is None else {_ORIGIN: data.origin.model_dump(mode="json")}
        self._write({"rows": data.rows, "embeddings": data.vectors}, header, save_file)
