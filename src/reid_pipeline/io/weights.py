"""Weights on disk: self-describing embedders and checkpoints, embeddings, resumable training state, plain tensors.

The first three hold their origin, and with it the digest of their tensors, which is compared at every load.
"""

import contextlib
import json
import logging
import pickle
import zipfile
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from reid_pipeline.io.base import FileDataset
from reid_pipeline.machine_faults import machine_fault_text
from reid_pipeline.schema.digests import digest_of_json
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.origin import Origin

if TYPE_CHECKING:
    from reid_pipeline.engine.checkpoint import Checkpoint
    from reid_pipeline.models.embedder import Embedder
    from reid_pipeline.schema.embeddings import Embeddings

_ORIGIN, _DIGEST, _STATE = "origin", "digest", "state"
_UNREADABLE = (  # the errors of torch.load for bytes that it did not write
    AttributeError, EOFError, IndexError, KeyError, OSError, RuntimeError, TypeError, ValueError,
    pickle.UnpicklingError, zipfile.BadZipFile,
)  # fmt: skip
_HEADER, _SHA256 = "header", "sha256"
_FIRST = {"embedder", "checkpoint"}  # the header's entry in files of the first version

_log = logging.getLogger(__name__)


class _SafetensorsDataset(FileDataset[Any]):
    """A safetensors file with its origin in the header; one that is missing, of another kind or changed is refused."""

    _framework: ClassVar = "pt"
    _missing: ClassVar[str]
    _again: ClassVar[str]

    def _read(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return tensors and header, or refuse a file that is missing or no safetensors file."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self._filepath, framework=self._framework) as file:
                metadata = dict(file.metadata() or {})
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except FileNotFoundError as error:
            raise UserError(f"There is no {self._missing.format(path=self._filepath)}") from error
        except (SafetensorError, ValueError, TypeError) as error:  # a header that names unknown types
            raise self._refused(f"is no safetensors file: {error}.") from error
        return tensors, self._header(metadata)

    def _header(self, metadata: dict[str, str]) -> dict[str, Any]:
        """Return the entries of the header; the first version had one at most, and no digest of it."""
        if _HEADER not in metadata and metadata.keys() <= _FIRST:
            return {name: json.loads(text) for name, text in metadata.items()}
        try:
            header = dict(json.loads(metadata[_HEADER]))
            whole = header.pop(_SHA256) == digest_of_json(header)
        except (KeyError, TypeError, ValueError):
            whole = False
        if not whole:
            raise self._refused("is damaged or was changed: its description is not the one written.")
        return header

    def _origin(self, header: Mapping[str, Any], digest: str) -> Origin | None:
        """Return the origin in a header; refuse tensors of another digest than it records."""
        if _ORIGIN not in header:
            return None
        origin = Origin.model_validate(header[_ORIGIN]).replace(file=str(self._filepath))
        if origin.digest not in (None, digest):
            raise self._refused(
                f"is damaged or was changed: its tensors are not those that {origin.made_by} wrote"
                f" (SHA-256 {digest[:12]} instead of {str(origin.digest)[:12]})."
            )
        return origin.replace(digest=digest)

    def _refused(self, fault: str) -> UserError:
        return UserError(f"{self._filepath} {fault} {self._again}")


def _metadata(origin: Origin | None = None, **header: Any) -> dict[str, str]:
    """Return a header as one entry: the order of several entries is random in safetensors."""
    if origin is not None:
        header[_ORIGIN] = origin.model_dump(mode="json")
    return {_HEADER: json.dumps({**header, _SHA256: digest_of_json(header)}, sort_keys=True)}


class EmbedderDataset(_SafetensorsDataset):
    """An inference-only embedder: tensors as safetensors, its description and origin in the header."""

    _missing = "embedder at {path}. Train or build it first: run the whole pipeline."
    _again = "Export it again."

    def load(self) -> "Embedder":
        """Rebuild the embedder on the CPU from the file alone; one of the first version has no origin."""
        from reid_pipeline.engine.checkpoint import digest_of_tensors
        from reid_pipeline.models.embedder import embedder_from_description

        state, header = self._read()
        if "embedder" not in header:
            raise self._refused("does not describe an embedder.")
        origin = self._origin(header, digest_of_tensors(state))
        embedder = embedder_from_description(header["embedder"], state)
        embedder.origin = origin
        return embedder

    def _write(self, data: "Embedder", file: Path) -> None:
        from safetensors.torch import save_file

        state = {name: tensor.detach().cpu().contiguous() for name, tensor in data.state_dict().items()}
        save_file(state, file, metadata=_metadata(data.origin, embedder=data.description()))


class CheckpointDataset(_SafetensorsDataset):
    """A trained stage: tensors as safetensors, its description and origin in the header."""

    _missing = "checkpoint at {path}. Train that stage first: run the whole pipeline."
    _again = "Train it again."

    def load(self) -> "Checkpoint":
        """Return the checkpoint, on the CPU."""
        from reid_pipeline.engine.checkpoint import Checkpoint, digest_of_tensors
        from reid_pipeline.schema.earlier_records import read_stage_description

        tensors, header = self._read()
        if "checkpoint" not in header:
            raise self._refused("does not describe a trained stage.")
        description = read_stage_description(header["checkpoint"], where=str(self._filepath), again=self._again)
        origin = self._origin({_ORIGIN: description.origin.model_dump()}, digest_of_tensors(tensors))
        return Checkpoint(tensors, description.model_copy(update={"origin": origin}))

    def _write(self, data: "Checkpoint", file: Path) -> None:
        from safetensors.torch import save_file

        tensors = {name: tensor.contiguous() for name, tensor in data.tensors.items()}
        save_file(tensors, file, metadata=_metadata(checkpoint=data.description.content()))


class EmbeddingsDataset(_SafetensorsDataset):
    """Embeddings [n, D], the row numbers of the split table that they belong to, and their origin."""

    _framework = "np"
    _again = "Make them anew: run the pipeline from the node `extract`."
    _missing = f"file of embeddings at {{path}}. {_again}"

    def load(self) -> "Embeddings":
        """Return the embeddings; those of the first version have no origin."""
        from reid_pipeline.schema.digests import digest_of_arrays
        from reid_pipeline.schema.embeddings import Embeddings

        arrays, header = self._read()
        if set(arrays) != {"rows", "embeddings"}:
            raise self._refused("holds no embeddings.")
        return Embeddings(arrays["rows"], arrays["embeddings"], self._origin(header, digest_of_arrays(arrays)))

    def _write(self, data: "Embeddings", file: Path) -> None:
        from safetensors.numpy import save_file

        arrays = {"rows": data.rows, "embeddings": data.vectors}
        save_file(arrays, file, metadata=_metadata(data.origin))


class TrainingStateDataset(FileDataset["dict[str, Any] | None"]):
    """The state from which a killed run goes on, a `.pt` file and no DVC output; a finished run removes it."""

    _EPHEMERAL = True  # with `--only-missing-outputs`, a training without this file lacks nothing

    def load(self) -> dict[str, Any] | None:
        """Return the stored state on the CPU, or None where there is none, or (with a warning) no usable one."""
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
            if machine_fault_text(error):
                raise  # it may be good, and a new one would take its place
            return None, f"cannot be read ({type(error).__name__})"
        if not isinstance(stored, dict) or not {_DIGEST, _STATE} <= stored.keys():
            return None, "was written by an earlier version, which did not note the weights it started from"
        if stored[_DIGEST] != digest_of_state(stored[_STATE]):
            return None, "is damaged: its numbers are not those that were written"
        return stored[_STATE], ""

    def _write(self, data: dict[str, Any] | None, file: Path) -> None:
        import torch

        from reid_pipeline.engine.checkpoint import digest_of_state

        torch.save({_DIGEST: digest_of_state(data), _STATE: data}, file)

    def stamp(self) -> tuple[int, int] | None:
        """Return what distinguishes the file from one that replaces it; None where there is none."""
        try:
            found = self._filepath.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns

    def discard(self) -> None:
        """Remove the file, after the run that wrote it has finished."""
        self._filepath.unlink(missing_ok=True)


class SavedStates:
    """The training states that a run has saved, removed when no training can go on from them any more."""

    def __init__(self) -> None:
        self._stamps: dict[TrainingStateDataset, tuple[str, tuple[int, int] | None]] = {}
        self._exported: set[str] = set()

    def saved(self, method: str, dataset: object) -> None:
        """Record that a method's dataset was saved: of interest are training states and embedders."""
        if isinstance(dataset, TrainingStateDataset):
            self._stamps[dataset] = method, dataset.stamp()
        elif isinstance(dataset, EmbedderDataset):
            self._exported.add(method)

    def discard(self, locked: Callable[[str], AbstractContextManager[None]]) -> None:
        """Remove those of exported trainings, unless another run has replaced them; `locked` locks a method's cell."""
        for state, (method, stamp) in self._stamps.items():
            if stamp and method in self._exported:
                with contextlib.suppress(UserError), locked(method):
                    if stamp == state.stamp():
                        state.discard()


class TensorsDataset(FileDataset[dict[str, Any]]):
    """Named torch tensors as safetensors, loaded to the CPU."""

    def load(self) -> dict[str, Any]:
        """Return the tensors by name."""
        from safetensors.torch import load_file

        return dict(load_file(self._filepath))

    def _write(self, data: dict[str, Any], file: Path) -> None:
        from safetensors.torch import save_file

        save_file(data, file)
