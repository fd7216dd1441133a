"""Weights on disk: self-describing embedders and checkpoints, embeddings, resumable training state, plain tensors.

The first three hold their origin, and with it the digest of their tensors, which is compared at every load.
"""

import base64
import contextlib
import itertools
import logging
import os
import pickle
import zlib
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from reid_pipeline.io.base import FileDataset, ReadOnlyDataset, UnreadableFile, reading
from reid_pipeline.machine_faults import machine_fault_text
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.origin import Origin
from reid_pipeline.schema.tensor_files import ORIGIN, TensorFileError, metadata_of, origin_in, read_tensor_file

if TYPE_CHECKING:
    from reid_pipeline.engine.checkpoint import Checkpoint
    from reid_pipeline.models.embedder import Embedder
    from reid_pipeline.schema.embeddings import Embeddings

_DIGEST, _STATE = "digest", "state"
_PATHS = "paths"

_log = logging.getLogger(__name__)


class _SafetensorsDataset(FileDataset[Any]):
    """A safetensors file with its origin in the header; one that is missing, of another kind or changed is refused."""

    _framework: ClassVar = "pt"
    _noun: ClassVar[str]
    _again: str

    def __init__(self, *, filepath: str, again: str = "", metadata: dict[str, Any] | None = None) -> None:
        super().__init__(filepath=filepath, metadata=metadata)
        self._again = again or self._again

    def load(self) -> Any:
        """Return what the file holds, on the CPU; what the first version wrote has no origin."""
        with reading(self._filepath, self._again, missing=f"There is no {self._noun} at {{file}}."):
            return self._made(*self._read())

    @abstractmethod
    def _made(self, tensors: dict[str, Any], header: dict[str, Any]) -> Any:
        """Return what tensors and header stand for."""

    def _read(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return tensors and header, or refuse a file that is no safetensors file."""
        try:
            return read_tensor_file(self._filepath, self._framework)
        except TensorFileError as error:
            raise self._refused(str(error)) from error

    def _origin(self, header: Mapping[str, Any], digest: str) -> Origin | None:
        """Return the origin in a header; refuse tensors of another digest than it records."""
        try:
            return origin_in(header, digest, self._filepath)
        except TensorFileError as error:
            raise self._refused(str(error)) from error

    def _refused(self, fault: str) -> UnreadableFile:
        return UnreadableFile(self._filepath, f"{self._filepath} {fault}", self._again)


class EmbedderDataset(_SafetensorsDataset):
    """An inference-only embedder: tensors as safetensors, its description and origin in the header."""

    _noun = "embedder"
    _again = "Export it again: run the pipeline from the node `export`, or the whole."

    def _made(self, tensors: dict[str, Any], header: dict[str, Any]) -> "Embedder":
        from reid_pipeline.evaluation.loaded_embedder import embedder_of

        try:
            return embedder_of(tensors, header, self._filepath)
        except TensorFileError as error:
            raise self._refused(str(error)) from error

    def _write(self, data: "Embedder", file: Path) -> None:
        from safetensors.torch import save_file

        state = {name: tensor.detach().cpu().contiguous() for name, tensor in data.state_dict().items()}
        save_file(state, file, metadata=metadata_of(data.origin, embedder=data.description()))


class CheckpointDataset(_SafetensorsDataset):
    """A trained stage: tensors as safetensors, its description and origin in the header."""

    _noun = "checkpoint"
    _again = "Train that stage again: run the whole pipeline."

    def _made(self, tensors: dict[str, Any], header: dict[str, Any]) -> "Checkpoint":
        from reid_pipeline.engine.checkpoint import Checkpoint, digest_of_tensors
        from reid_pipeline.schema.earlier_records import read_stage_description

        if "checkpoint" not in header:
            raise self._refused("does not describe a trained stage.")
        try:
            description = read_stage_description(header["checkpoint"], where=str(self._filepath), again="")
        except UserError as error:
            raise UnreadableFile(self._filepath, str(error).strip(), self._again) from error
        origin = self._origin({ORIGIN: description.origin.model_dump()}, digest_of_tensors(tensors))
        return Checkpoint(tensors, description.model_copy(update={"origin": origin}))

    def _write(self, data: "Checkpoint", file: Path) -> None:
        from safetensors.torch import save_file

        tensors = {name: tensor.contiguous() for name, tensor in data.tensors.items()}
        save_file(tensors, file, metadata=metadata_of(checkpoint=data.description.content()))


class EmbeddingsDataset(_SafetensorsDataset):
    """Embeddings [n, D] and the rows of the split table that they belong to; in the header paths and origin.

    Paths are compressed: a header has 100 MB at most. Files of earlier versions have none.
    """

    _framework = "np"
    _noun = "file of embeddings"
    _again = "Make them anew: run the pipeline from the node `extract`."

    def _made(self, tensors: dict[str, Any], header: dict[str, Any]) -> "Embeddings":
        from reid_pipeline.schema.digests import digest_of_arrays
        from reid_pipeline.schema.embeddings import Embeddings

        if set(tensors) != {"rows", "embeddings"}:
            raise self._refused("holds no embeddings.")
        origin = self._origin(header, digest_of_arrays(tensors))
        paths = _unpacked(header[_PATHS]) if _PATHS in header else None
        return Embeddings(tensors["rows"], tensors["embeddings"], origin, paths)

    def _write(self, data: "Embeddings", file: Path) -> None:
        from safetensors.numpy import save_file

        arrays = {"rows": data.rows, "embeddings": data.vectors}
        paths = {} if data.paths is None else {_PATHS: _packed(data.paths)}
        save_file(arrays, file, metadata=metadata_of(data.origin, **paths))


def _packed(paths: Sequence[str]) -> str:
    """Return paths as one text of ASCII, a tenth as long."""
    return base64.b64encode(zlib.compress("\0".join(paths).encode(), 6)).decode()


def _unpacked(text: str) -> tuple[str, ...]:
    joined = zlib.decompress(base64.b64decode(text)).decode()
    return tuple(joined.split("\0")) if joined else ()


class TrainingStateDataset(FileDataset["dict[str, Any] | None"]):
    """The state from which a killed run goes on, a `.pt` file and no DVC output; a finished run removes it."""

    _EPHEMERAL = True  # with `--only-missing-outputs`, a training without this file lacks nothing

    def load(self) -> dict[str, Any] | None:
        """Return the stored state on the CPU, or None where there is none; one that is of no use is set aside."""
        if not os.path.lexists(self._filepath):
            return None
        try:
            with reading(self._filepath):
                return self._state()
        except UnreadableFile as error:
            _log.warning("The state of a killed run is of no use. %s %s", error.fault, self._set_aside())
            return None

    def _state(self) -> dict[str, Any] | None:
        import torch

        from reid_pipeline.engine.checkpoint import digest_of_state

        try:
            stored: Any = torch.load(self._filepath, map_location="cpu", weights_only=True)
        except (pickle.UnpicklingError, RuntimeError) as error:  # torch advises to execute what the file holds
            if machine_fault_text(error):
                raise  # it may be good, and a new one would take its place
            raise self._refused("is damaged, or holds code, which is never executed.") from error
        if not isinstance(stored, dict) or not {_DIGEST, _STATE} <= stored.keys():
            raise self._refused("is not as this version writes it: an earlier one did, or something is missing.")
        if stored[_DIGEST] != digest_of_state(stored[_STATE]):
            raise self._refused("is damaged: its numbers are not those that were written.")
        state: dict[str, Any] | None = stored[_STATE]
        return state

    def _refused(self, fault: str) -> UnreadableFile:
        return UnreadableFile(self._filepath, f"{self._filepath} {fault}")

    def _set_aside(self) -> str:
        """Give the file another name, so that a new state can take its place; return what was done."""
        names = (f"{self._filepath.stem}.damaged-{number}{self._filepath.suffix}" for number in itertools.count(1))
        aside = next(file for name in names if not os.path.lexists(file := self._filepath.with_name(name)))
        try:
            self._filepath.rename(aside)
        except OSError as error:
            return f"It cannot be moved away ({error.strerror}): training starts anew."
        return f"It is now {aside.name}, which can be removed: training starts anew."

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


class WorkerFilesDataset(ReadOnlyDataset[Path]):
    """The scratch folder by which several processes train; loading gives its path and makes nothing."""

    _refusal = "{path} is filled by workers; {kind} was not written."

    def load(self) -> Path:
        """Return the path."""
        return self._filepath

    def _exists(self) -> bool:
        return True  # it is made when it is needed


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

        with reading(self._filepath):
            return dict(load_file(self._filepath))

    def _write(self, data: dict[str, Any], file: Path) -> None:
        from safetensors.torch import save_file

        save_file(data, file)
